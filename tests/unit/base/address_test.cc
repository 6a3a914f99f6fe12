#include "core_service/base/address.h"

#include <gtest/gtest.h>

namespace agentdesk {
namespace {

TEST(AddressTest, ReadsWhatItWrites) {
  for (const char* text : {"127.0.0.1:50051", "0.0.0.0:0", "[::1]:0", "[::]:65535"}) {
    const auto address = Address::Parse(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_EQ(Address::Parse("localhost:1")->ToString(), "127.0.0.1:1");
}

TEST(AddressTest, RefusesAnythingElse) {
  for (const char* text : {"", "127.0.0.1", ":50051", "50051", "127.0.0.1:", "127.0.0.1:65536",
                           "127.0.0.1:-1", "127.0.0.1:x", "::1:50051", "[::1]", "[::1:5",
                           "[::1]x:5", "example.org:80", "127.0.0.1.5:1", " 127.0.0.1:1"}) {
    const auto address = Address::Parse(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(AddressTest, KnowsWhatOnlyThisMachineReaches) {
  for (const char* text : {"127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_TRUE(Address::Parse(text)->is_loopback()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "128.0.0.1:1", "[fe80::1]:1"}) {
    EXPECT_FALSE(Address::Parse(text)->is_loopback()) << text;
  }
}

}  // namespace
}  // namespace agentdesk
