#include "core_service/rpc/access.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "agentdesk/v1/admin.pb.h"
#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/base/error.h"
#include "google/protobuf/descriptor.h"
#include "tests/support/fake_clock.h"
#include "tools/signing_key.h"

namespace agentdesk::rpc {
namespace {

TEST(ScopeOfTest, KnowsEveryCall) {
  int calls = 0;
  for (const google::protobuf::FileDescriptor* file :
       {v1::Ticket::descriptor()->file(), v1::ClaimJobRequest::descriptor()->file(),
        v1::Session::descriptor()->file(), v1::Event::descriptor()->file(),
        v1::BackupRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j, ++calls) {
        const google::protobuf::MethodDescriptor* method = file->service(i)->method(j);
        EXPECT_NE(ScopeOf(method->input_type()->full_name()), std::nullopt) << method->full_name();
        // By its request alone a call is known.
        EXPECT_EQ(method->input_type()->name(), absl::StrCat(method->name(), "Request"));
      }
    }
  }
  EXPECT_EQ(calls, 27);
  EXPECT_EQ(ScopeOf("agentdesk.v1.EraseTicketRequest"), std::nullopt);
  EXPECT_EQ(ScopeOf(""), std::nullopt);
}

class AccessTest : public ::testing::Test {
 protected:
  AccessTest() {
    TrustedIssuer issuer;
    issuer.issuer = "i";
    issuer.audiences = {"a"};
    issuer.algorithms = {TokenAlgorithm::kEdDsa};
    issuer.keys = std::make_shared<const KeySet>(*KeySet::Parse(key_.KeySetText()));
    AuthConfig config;
    config.issuers = {issuer};
    config.key_files = {"/nowhere"};
    config.gateways = {"gateway"};
    authenticator_ = std::make_unique<Authenticator>(std::move(config), clock_);
    access_ = std::make_unique<Access>(authenticator_.get(), clock_);
  }

  std::string Bearer(absl::string_view subject, absl::string_view more = "") {
    return absl::StrCat("Bearer ",
                        key_.SignToken(absl::StrCat(
                            R"({"iss":"i","aud":"a","sub":")", subject, R"(","exp":)",
                            absl::ToUnixSeconds(clock_.Now()) + 600,
                            R"(,"scope":"events:read","groups":["g"],"roles":["r"])", more, "}")));
  }

  testing::FakeClock clock_;
  const tools::SigningKey key_ = *tools::SigningKey::Generate(TokenAlgorithm::kEdDsa);
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<Access> access_;
};

constexpr char kRequest[] = "agentdesk.v1.GetDeskRequest";

TEST_F(AccessTest, WithoutAuthenticationEveryoneIsWhoTheySay) {
  const Access open(nullptr, clock_);
  const auto caller = open.Admit({{"agentdesk-actor", "ann"}}, {}, "anything");
  ASSERT_TRUE(caller.ok());
  EXPECT_EQ(caller->actor.id(), "ann");
  EXPECT_FALSE(caller->authenticated);
  EXPECT_EQ(caller->identity, "");
  EXPECT_EQ(caller->expires_at, absl::InfiniteFuture());
}

TEST_F(AccessTest, WhereNoScopesAreKeptNoGatewayIsMadeToBelieveTheyAre) {
  const Access open(nullptr, clock_);
  const auto caller = open.Admit({{"agentdesk-user", "x"}}, {}, kRequest);
  EXPECT_EQ(caller.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailOf(caller.status()).reason, "authentication_off");
}

TEST_F(AccessTest, ACallerIsWhoTheTokenSays) {
  const std::string bearer = Bearer("ann");
  const auto caller = access_->Admit(
      {{"authorization", bearer}, {"agentdesk-actor", "bob"}, {"agentdesk-via", "http"}}, {},
      kRequest);
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_TRUE(caller->authenticated);
  EXPECT_EQ(caller->actor.id(), "ann");
  EXPECT_EQ(caller->actor.via(), "http");
  EXPECT_EQ(caller->identity, "ann");
  EXPECT_EQ(caller->groups, std::vector<std::string>{"g"});
  EXPECT_EQ(caller->roles, std::vector<std::string>{"r"});
  EXPECT_EQ(caller->expires_at, clock_.Now() + absl::Seconds(630));
}

TEST_F(AccessTest, WhatIsNotInTheTableIsRefused) {
  const std::string bearer = Bearer("ann");
  const auto caller =
      access_->Admit({{"authorization", bearer}}, {}, "agentdesk.v1.EraseTicketRequest");
  EXPECT_TRUE(absl::IsPermissionDenied(caller.status()));
  EXPECT_EQ(DetailOf(caller.status()).reason, "missing_scope");
}

TEST_F(AccessTest, AUserOfAGatewayLastsNoLongerThanTheGateway) {
  Identity user;
  user.subject = "zoe";
  user.scopes = {"events:read"};
  const std::string bearer = Bearer("gateway");
  for (const auto& [left, expected] : {std::pair{absl::Seconds(60), absl::Seconds(60)},
                                       std::pair{absl::Hours(5), absl::Seconds(630)},
                                       std::pair{absl::InfiniteDuration(), absl::Seconds(630)}}) {
    user.expires_at = clock_.Now() + left;
    const std::string encoded = EncodeIdentity(user);
    const auto caller =
        access_->Admit({{"authorization", bearer}, {"agentdesk-user", encoded}}, {}, kRequest);
    ASSERT_TRUE(caller.ok()) << caller.status();
    EXPECT_EQ(caller->actor.id(), "zoe");
    EXPECT_EQ(caller->expires_at, clock_.Now() + expected);
  }
}

}  // namespace
}  // namespace agentdesk::rpc
