// A test spec in TOML, and a filter expression.
#include "spec/filter.h"
#include "spec/spec.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {

std::vector<Input> seeds() {
  return {input_of("[scheduler.mine]\nbinary = \"scx_x\"\nargs = [\"-v\"]\n\n[[test]]\nname = "
                   "\"a\"\nscheduler = \"mine\"\n"
                   "llcs = 2\ncores = 2\nthreads = 1\nduration_s = 10\nexpect_err = true\n"
                   "expect_scx_bpf_error_contains = \"no such cell\"\n  [[test.cgroup]]\n  name = \"io\"\n"
                   "  workers = 4\n  work = \"PipeIo\"\n  cpuset = \"2-3\"\n"),
          input_of("[default]\nduration_s = 1.5\n[[test]]\nname = \"b\"\nmatrix.llcs = [1, "
                   "2]\n[[test.step]]\nat_s = 1\n"
                   "[[test.step.op]]\nop = \"stop\"\ngroup = \"io\"\n"),
          input_of("test(=a) and not (test(/b.*/) or kernel(7.2))"), input_of("test(x) or test(y)")};
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  const auto text = fuzz::text_of({data, size});
  if (auto tests = parse_tests(text, "fuzz.toml", {}); !tests) (void)tests.error().to_string();
  if (auto filter = Filter::parse(text); !filter) (void)filter.error().to_string();
  return 0;
}
