#include "launcher/vm/guest_ram.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ktstr {
namespace {

TEST(GuestRam, IsReachableByItsPathWhileItLives) {
  std::string path;
  {
    auto ram = GuestRam::create(8u << 20);
    ASSERT_TRUE(ram.ok());
    path = ram->path();
    ASSERT_EQ(pwrite(ram->fd(), "mark", 4, 4096), 4);
    int fd = open(path.c_str(), O_RDONLY);
    ASSERT_GE(fd, 0);
    char text[5] = {};
    EXPECT_EQ(pread(fd, text, 4, 4096), 4);
    EXPECT_STREQ(text, "mark");
    struct stat st;
    ASSERT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_size, 8 << 20);
    EXPECT_EQ(st.st_nlink, 0u) << "it must have no name anywhere";
    close(fd);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(GuestRam, LowmemSplit) {
  EXPECT_EQ(lowmem_bytes(1ull << 30), 1ull << 30);
  EXPECT_EQ(lowmem_bytes(0xb0000000 - 1), 0xb0000000 - 1);
  EXPECT_EQ(lowmem_bytes(0xb0000000), 0x80000000u);
  EXPECT_EQ(lowmem_bytes(8ull << 30), 0x80000000u);
}

}  // namespace
}  // namespace ktstr
