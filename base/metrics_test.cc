#include "base/metrics.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

std::string shown(std::string_view line) {
  std::string text;
  for (const Metric& m : metrics_of(line)) {
    char one[128];
    std::snprintf(one, sizeof one, "%s=%g ", m.name.c_str(), m.value);
    text += one;
  }
  return text;
}

TEST(Metrics, WordsWithNumbersAreTakenAndAllElseIsPassedOver) {
  EXPECT_EQ(shown("cpu some avg10=1.50 avg60=0.25 total=1234"), "avg10=1.5 avg60=0.25 total=1234 ");
  EXPECT_EQ(shown("run=3,wait=-2.5e3;idle=99%"), "run=3 wait=-2500 idle=99 ");
  EXPECT_EQ(shown("state=enabled =7 x= y==3 latency=12us z=5parsecs"), "latency=12 ");
  EXPECT_EQ(shown(""), "");
  EXPECT_EQ(shown("no numbers here"), "");
  EXPECT_EQ(shown("a=nan b=inf c=1"), "c=1 ");
}

TEST(Metrics, OfAJsonObjectEachNumberIsNamedByItsPath) {
  EXPECT_EQ(shown(R"({"cpu": {"user": 3, "idle": 4.5}, "on": true, "name": "x", "list": [1, 2]})"),
            "cpu.idle=4.5 cpu.user=3 on=1 ");
  EXPECT_EQ(shown("{not json"), "");
  EXPECT_EQ(shown(R"({"a":{"b":{"c":{"d":{"e":1}}}}})"), "") << "deeper than anybody reads";
}

TEST(Metrics, ALineIsBounded) {
  std::string line;
  for (int i = 0; i < 1000; ++i) line += "m" + std::to_string(i) + "=1 ";
  EXPECT_EQ(metrics_of(line).size(), kMaxMetricsOfALine);
  EXPECT_TRUE(metrics_of(std::string(65, 'n') + "=1").empty());
}

}  // namespace
}  // namespace ktstr
