#include "runtime/curve_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

namespace ktstr {
namespace {

class CurveKeysTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr-keys-XXXXXX";
    folder_ = mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(CurveKeysTest, AClientsKeyFitsItsServer) {
  auto alpha = generate_client_key(folder_, "alpha"), beta = generate_client_key(folder_, "beta");
  ASSERT_TRUE(alpha) << alpha.error().message();
  ASSERT_TRUE(beta);
  auto server = read_server_keys(folder_);
  ASSERT_TRUE(server) << server.error().message();
  auto key = read_client_key(*alpha);
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(key->server_public, server->own_public);
  ASSERT_EQ(server->authorized.size(), 2u);
  EXPECT_EQ(std::count(server->authorized.begin(), server->authorized.end(), key->own_public), 1);
  EXPECT_NE(read_client_key(*beta)->own_secret, key->own_secret);
}

TEST_F(CurveKeysTest, AKeyIsNeverOverwrittenAndNamesAreNoPaths) {
  ASSERT_TRUE(generate_client_key(folder_, "alpha"));
  EXPECT_FALSE(generate_client_key(folder_, "alpha"));
  EXPECT_FALSE(generate_client_key(folder_, "../alpha"));
  EXPECT_FALSE(generate_client_key(folder_, "server"));
}

TEST_F(CurveKeysTest, ASecretThatOthersMayReadIsRefused) {
  auto alpha = generate_client_key(folder_, "alpha");
  ASSERT_TRUE(alpha);
  ::chmod(alpha->c_str(), 0644);
  auto key = read_client_key(*alpha);
  ASSERT_FALSE(key);
  EXPECT_NE(key.error().to_string().find("chmod 600"), std::string::npos);
}

TEST_F(CurveKeysTest, WithoutKeysTheHintSaysHowToMakeThem) {
  auto keys = read_server_keys(folder_);
  ASSERT_FALSE(keys);
  EXPECT_NE(keys.error().to_string().find("keygen"), std::string::npos);
  ASSERT_TRUE(generate_client_key(folder_, "alpha"));
  std::filesystem::remove(folder_ + "/authorized/alpha.pub");
  EXPECT_FALSE(read_server_keys(folder_));
}

}  // namespace
}  // namespace ktstr
