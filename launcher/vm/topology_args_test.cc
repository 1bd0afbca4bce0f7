// The arguments only; what a guest sees is for the end-to-end tests.

#include "launcher/vm/topology_args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ktstr {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

TopologyRequest request(uint32_t numa_nodes, uint32_t llcs, uint32_t cores, uint32_t threads) {
  TopologyRequest r;
  r.topology.numa_nodes = numa_nodes;
  r.topology.llcs = llcs;
  r.topology.cores = cores;
  r.topology.threads = threads;
  return r;
}

TEST(TopologyArgs, LlcsAreDiesAndNodesAreSockets) {
  auto args = topology_args(request(2, 6, 4, 2));
  ASSERT_TRUE(args.ok());
  EXPECT_EQ(args->smp, "48,sockets=2,dies=3,cores=4,threads=2");
  EXPECT_EQ(vcpu_count(request(2, 6, 4, 2).topology), 48u);
}

TEST(TopologyArgs, OneNodeIsOneBackendOnTheRamFile) {
  auto r = request(1, 1, 4, 1);
  r.ram_fd = 7;
  auto args = topology_args(r);
  EXPECT_EQ(args->machine, "q35,memory-backend=ram");
  EXPECT_THAT(
      args->more,
      ElementsAre("-object", "memory-backend-file,id=ram,size=1024M,share=on,mem-path=/proc/self/fd/7"));
}

TEST(TopologyArgs, NodesShareOneRamFileBeforeAndAfterQemu81) {
  auto r = request(2, 2, 3, 1);
  r.ram_fd = 7;
  r.memory_mb = 1025;
  auto old = topology_args(r);
  EXPECT_EQ(old->machine, "pc-q35-5.0,memory-backend=ram");
  EXPECT_THAT(old->more, Contains("node,nodeid=0,cpus=0-2,mem=512M"));
  EXPECT_THAT(old->more, Contains("node,nodeid=1,cpus=3-5,mem=513M"));
  for (auto [major, minor] : {std::pair{8, 1}, {9, 0}, {10, 2}}) {
    r.qemu_major = major;
    r.qemu_minor = minor;
    auto fresh = topology_args(r);
    EXPECT_EQ(fresh->machine, "q35");
    EXPECT_THAT(
        fresh->more,
        Contains("memory-backend-file,id=ram1,size=513M,share=on,mem-path=/proc/self/fd/7,offset=512M"));
    EXPECT_THAT(fresh->more, Contains("node,nodeid=1,cpus=3-5,memdev=ram1"));
  }
}

TEST(TopologyArgs, TheCpuShowsItsL3) {
  auto r = request(1, 2, 2, 1);
  EXPECT_THAT(topology_args(r)->cpu, HasSubstr("vendor=GenuineIntel"));
  r.kvm = true;
  EXPECT_EQ(topology_args(r)->cpu.find("vendor"), std::string::npos);
  r.host_amd = true;
  EXPECT_THAT(topology_args(r)->cpu, HasSubstr("topoext=on"));
}

TEST(TopologyArgs, RefusesWhatCannotBe) {
  auto message = [](TopologyRequest r) {
    auto args = topology_args(r);
    return args.ok() ? std::string("accepted") : args.error().message();
  };
  EXPECT_THAT(message(request(1, 1, 0, 1)), HasSubstr("1 to 256"));
  EXPECT_THAT(message(request(0, 1, 1, 1)), HasSubstr("1 to 256"));
  EXPECT_THAT(message(request(1, 1, 4000000000u, 1)), HasSubstr("1 to 256"));
  EXPECT_THAT(message(request(2, 3, 1, 1)), HasSubstr("not a multiple"));
  EXPECT_THAT(message(request(1, 8, 16, 4)), HasSubstr("too many CPUs"));
  EXPECT_THAT(message(request(1, 5, 5, 5)), HasSubstr("too many CPUs")) << "8 * 8 * 8 ids";
  EXPECT_EQ(message(request(1, 4, 16, 2)), "accepted");
  EXPECT_THAT(message(request(1, 1, 256, 1)), HasSubstr("too many CPUs"));
  auto r = request(4, 4, 1, 1);
  r.memory_mb = 200;
  EXPECT_THAT(message(r), HasSubstr("memory_mb"));
}

}  // namespace
}  // namespace ktstr
