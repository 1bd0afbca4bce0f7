// BTF made on the spot: a kfunc with an implicit argument as a sound build describes it, and as a damaged one does.
#include <bpf/btf.h>
#include <gtest/gtest.h>

#include "bpf/kernel_image.h"

namespace ktstr {
namespace {

class Types {
 public:
  Types() : btf_(btf__new_empty()) {
    int_ = btf__add_int(btf_, "int", 4, BTF_INT_SIGNED);
    const int aux = btf__add_struct(btf_, "bpf_prog_aux", 4);
    btf__add_field(btf_, "id", int_, 0, 0);
    aux_ = btf__add_ptr(btf_, btf__add_const(btf_, aux));
  }
  ~Types() { btf__free(btf_); }
  int function(const char* name, bool implicit) {
    const int prototype = btf__add_func_proto(btf_, int_);
    btf__add_func_param(btf_, "dsq_id", int_);
    if (implicit) btf__add_func_param(btf_, "aux", aux_);
    return btf__add_func(btf_, name, BTF_FUNC_STATIC, prototype);
  }
  void tag(int function) { btf__add_decl_tag(btf_, "bpf_kfunc", function, -1); }
  std::vector<std::string> damaged() const {
    uint32_t size = 0;
    const auto* bytes = static_cast<const uint8_t*>(btf__raw_data(btf_, &size));
    return damaged_kfuncs({bytes, size});
  }

 private:
  btf* btf_;
  int int_ = 0, aux_ = 0;
};

TEST(DamagedKfuncs, ASoundKernelHasAnImplementationBesideEachKfunc) {
  Types types;
  types.tag(types.function("scx_bpf_create_dsq", false));
  types.function("scx_bpf_create_dsq_impl", true);
  types.tag(types.function("scx_bpf_nr_cpu_ids", false));
  types.function("scx_exit_bstr", true);  // no kfunc
  EXPECT_TRUE(types.damaged().empty());
}

TEST(DamagedKfuncs, OneThatKeptItsImplicitArgumentIsNamed) {
  Types types;
  types.tag(types.function("scx_bpf_nr_cpu_ids", false));
  types.function("scx_bpf_create_dsq", true);
  types.function("bpf_iter_scx_dsq_new", true);
  types.function("scx_bpf_kick_cpu", true);
  EXPECT_EQ(types.damaged(),
            (std::vector<std::string>{"scx_bpf_create_dsq", "bpf_iter_scx_dsq_new", "scx_bpf_kick_cpu"}));
  EXPECT_EQ(kfuncs_text(types.damaged()), "scx_bpf_create_dsq, bpf_iter_scx_dsq_new and 1 more");
}

TEST(DamagedKfuncs, AKernelThatTagsNoKfuncsAndDamagedBytesSayNothing) {
  Types types;
  types.function("scx_bpf_create_dsq", true);
  EXPECT_TRUE(types.damaged().empty());
  const uint8_t rubbish[] = {1, 2, 3};
  EXPECT_TRUE(damaged_kfuncs(rubbish).empty());
  EXPECT_TRUE(damaged_kfuncs({}).empty());
}

}  // namespace
}  // namespace ktstr
