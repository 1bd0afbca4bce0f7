#include "reproer/decode.h"

#include <gtest/gtest.h>

#include "reproer/testing/makers.h"
#include "schemas/probe_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

ValueSpecT spec(ValueFormat format, uint16_t size) {
  ValueSpecT s;
  s.format = format;
  s.size = size;
  return s;
}

TEST(Decode, Numbers) {
  EXPECT_EQ(decode_value(spec(ValueFormat::Signed, 4), bytes_of<int32_t>(-22)), "-22");
  EXPECT_EQ(decode_value(spec(ValueFormat::Signed, 4), bytes_of<uint64_t>(0xdeadbeef00000005)), "5")
      << "a register's upper half is not the argument's";
  EXPECT_EQ(decode_value(spec(ValueFormat::Unsigned, 8), bytes_of<uint64_t>(~0ull)), "18446744073709551615");
  EXPECT_EQ(decode_value(spec(ValueFormat::Hex, 4), bytes_of<uint32_t>(0x200)), "0x200");
  EXPECT_EQ(decode_value(spec(ValueFormat::Pointer, 8), bytes_of<uint64_t>(0)), "NULL");
  EXPECT_EQ(decode_value(spec(ValueFormat::Bool, 1), bytes_of<uint64_t>(0xff00)), "false");
  EXPECT_EQ(decode_value(spec(ValueFormat::Unsigned, 8), {}), "?");
}

TEST(Decode, BitFields) {
  ValueSpecT s = spec(ValueFormat::Unsigned, 1);
  s.bit_offset = 3;
  s.bit_size = 5;
  EXPECT_EQ(decode_value(s, bytes_of<uint8_t>(0xa8)), "21");
  s.format = ValueFormat::Signed;
  EXPECT_EQ(decode_value(s, bytes_of<uint8_t>(0xf8)), "-1");
}

TEST(Decode, TextIsMadeSafe) {
  EXPECT_EQ(decode_value(spec(ValueFormat::String, 16),
                         bytes_of<std::array<char, 8>>({'p', 'i', 'p', 'e', 0, 'x', 'x', 'x'})),
            "\"pipe\"");
  EXPECT_EQ(decode_value(spec(ValueFormat::String, 4), bytes_of<std::array<char, 4>>({'a', 'b', 'c', 'd'})),
            "\"abcd\"")
      << "no NUL";
  EXPECT_EQ(decode_value(spec(ValueFormat::String, 8),
                         bytes_of<std::array<char, 8>>({'\x1b', '[', '3', '1', 'm', 'x', 0, 0}))
                .find('\x1b'),
            std::string::npos);
}

TEST(Decode, CpuMasks) {
  EXPECT_EQ(decode_value(spec(ValueFormat::CpuMask, 8), bytes_of<uint64_t>(0x2f)), "0-3,5");
  EXPECT_EQ(decode_value(spec(ValueFormat::CpuMask, 8), bytes_of<uint64_t>(0)), "none");
}

TEST(Decode, EnumsAndFlags) {
  ValueSpecT s = spec(ValueFormat::Enum, 4);
  s.enum_names = {"SCX_EXIT_NONE", "MINUS"};
  s.enum_values = {0, ~0ull};
  EXPECT_EQ(decode_value(s, bytes_of<int32_t>(-1)), "MINUS (0xffffffff)");
  EXPECT_EQ(decode_value(s, bytes_of<int32_t>(7)), "0x7");

  ValueSpecT f = spec(ValueFormat::Flags, 4);
  f.enum_names = {"STATE_MASK", "QUEUED", "INIT", "READY", "ENABLED"};
  f.enum_values = {0x300, 1, 0x100, 0x200, 0x300};
  EXPECT_EQ(decode_value(f, bytes_of<uint32_t>(0x301)), "ENABLED|QUEUED") << "a field is matched whole";
  EXPECT_EQ(decode_value(f, bytes_of<uint32_t>(0x1101)), "INIT|QUEUED|0x1000");
  EXPECT_EQ(decode_value(f, bytes_of<uint32_t>(0)), "0");
}

TEST(Decode, QueuesAreNamedAsInTheRestOfTheReport) {
  const ValueSpecT s = spec(ValueFormat::DsqId, 8);
  for (const uint64_t id : {uint64_t{0x100}, uint64_t{0x8000000000000002}, uint64_t{0xc000000000000003}})
    EXPECT_EQ(decode_value(s, bytes_of(id)), dsq_name(id));
  EXPECT_EQ(decode_value(s, bytes_of(uint64_t{0xc000000000000003})), "local DSQ of CPU 3");
}

}  // namespace
}  // namespace ktstr
