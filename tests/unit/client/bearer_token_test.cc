#include "core_service/client/bearer_token.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::client {
namespace {

class BearerTokenTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(path_) << text; }
  // What is shown once the file may have been read again.
  std::string Shown() {
    clock_.Advance(absl::Seconds(2));
    return token_.Header();
  }

  const agentdesk::testing::TempDir dir_;
  const std::string path_ = dir_.File("token");
  agentdesk::testing::FakeClock clock_;
  BearerToken token_{path_, clock_};
};

TEST_F(BearerTokenTest, FollowsItsFile) {
  EXPECT_EQ(Shown(), "");
  Write("one\n");
  EXPECT_EQ(token_.Header(), "") << "read a moment ago";
  EXPECT_EQ(Shown(), "Bearer one");
  Write("two");
  EXPECT_EQ(Shown(), "Bearer two");
}

// Whoever renews it may write it in two steps.
TEST_F(BearerTokenTest, TheOldTokenStaysWhileTheFileHoldsNone) {
  Write("one");
  EXPECT_EQ(Shown(), "Bearer one");
  for (const std::string text : {"", " \n", "two words", "\xff"}) {
    Write(text);
    EXPECT_EQ(Shown(), "Bearer one") << text;
    EXPECT_FALSE(token_.Check().ok());
  }
  std::filesystem::remove(path_);
  EXPECT_EQ(Shown(), "Bearer one");
  Write("two");
  EXPECT_EQ(Shown(), "Bearer two");
}

}  // namespace
}  // namespace agentdesk::client
