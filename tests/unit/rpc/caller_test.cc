#include "core_service/rpc/caller.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "core_service/base/error.h"

namespace agentdesk::rpc {
namespace {

constexpr char kTrace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

absl::StatusOr<desk::Caller> With(const std::string& key, const std::string& value) {
  return CallerOf({{key, value}});
}

TEST(CallerTest, IsAnonymousOverGrpcByDefault) {
  const auto caller = CallerOf({});
  ASSERT_TRUE(caller.ok());
  EXPECT_EQ(caller->actor.id(), "anonymous");
  EXPECT_EQ(caller->actor.via(), "grpc");
  EXPECT_EQ(caller->identity, "");
  EXPECT_EQ(caller->trace_id, "");
  EXPECT_FALSE(caller->authenticated);
}

TEST(CallerTest, TakesALabelButNoIdentity) {
  const auto caller = CallerOf({{"agentdesk-actor", "guest-12ab"}, {"agentdesk-via", "websocket"}});
  ASSERT_TRUE(caller.ok());
  EXPECT_EQ(caller->actor.id(), "guest-12ab");
  EXPECT_EQ(caller->actor.via(), "websocket");
  EXPECT_EQ(caller->identity, "");
}

TEST(CallerTest, RefusesLabelsThatCannotBeShown) {
  std::string longest;
  for (int i = 0; i < 200; ++i) longest += "é";
  EXPECT_TRUE(With("agentdesk-actor", longest).ok());
  for (const std::string& bad :
       {std::string(""), longest + "x", std::string("a\nb"), std::string("a\x7f"),
        std::string("\xc2\x85"), std::string("\xc0\xaf"), std::string("\xed\xa0\x80"),
        std::string("agentdesk")}) {
    const auto caller = With("agentdesk-actor", bad);
    ASSERT_FALSE(caller.ok()) << bad;
    EXPECT_EQ(caller.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(caller.status()).field, "agentdesk-actor");
  }
}

TEST(CallerTest, KnowsTheWaysIn) {
  for (const char* via : {"grpc", "http", "websocket", "worker"}) {
    EXPECT_TRUE(With("agentdesk-via", via).ok()) << via;
  }
  for (const char* via : {"", "timer", "GRPC", "grpc "}) {
    const auto caller = With("agentdesk-via", via);
    ASSERT_FALSE(caller.ok()) << via;
    EXPECT_EQ(DetailOf(caller.status()).field, "agentdesk-via");
  }
}

TEST(CallerTest, ReadsFromWhereAGatewayWasAsked) {
  for (const std::string good : {"192.0.2.1", "2001:db8::1", "fe80::1%eth0"}) {
    EXPECT_EQ(With("agentdesk-client", good)->client_address, good);
  }
  for (const std::string& bad : {std::string(""), std::string("192.0.2.1, 10.0.0.1"),
                                 std::string("a\nb"), std::string(65, '1')}) {
    const auto caller = With("agentdesk-client", bad);
    ASSERT_TRUE(absl::IsInvalidArgument(caller.status())) << bad;
    EXPECT_EQ(DetailOf(caller.status()).field, "agentdesk-client");
  }
}

TEST(CallerTest, FindsTheAddressOfAPeer) {
  for (const auto& [peer, address] : std::vector<std::pair<std::string, std::string>>{
           {"ipv4:192.0.2.1:4711", "192.0.2.1"},
           {"ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"},
           {"ipv6:[2001:db8::1]:4711", "2001:db8::1"},
           {"ipv6:%5Bfe80::1%252%5D:4711", "fe80::1%2"},
           {"ipv6:%5B::ffff:192.0.2.1%5D:4711", "192.0.2.1"},
           {"unix:/a/socket", ""},
           {"ipv6:", ""},
           {"", ""}}) {
    EXPECT_EQ(AddressOfPeer(peer), address) << peer;
  }
}

TEST(CallerTest, ReadsTheTraceOfAWellFormedTraceparent) {
  EXPECT_EQ(With("traceparent", kTrace)->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(With("traceparent", std::string("01") + (kTrace + 2) + "-more")->trace_id,
            "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST(CallerTest, IgnoresAMalformedTraceparent) {
  const std::string good = kTrace;
  for (const std::string& bad : std::vector<std::string>{
           std::string(""), good.substr(1), good + "x", good + "-more", "ff" + good.substr(2),
           "00-" + std::string(32, '0') + good.substr(35),
           good.substr(0, 36) + std::string(16, '0') + "-01",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
           "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    const auto caller = With("traceparent", bad);
    ASSERT_TRUE(caller.ok()) << bad;
    EXPECT_EQ(caller->trace_id, "") << bad;
  }
}

}  // namespace
}  // namespace agentdesk::rpc
