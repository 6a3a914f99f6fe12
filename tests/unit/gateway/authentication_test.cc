// Who is let in at the gateway, for how long, and what they then see.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/error.h"
#include "core_service/base/identity.h"
#include "core_service/base/key_set.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gateway/gateway_fixture.h"
#include "tools/signing_key.h"
#include "ws_gateway/credential.h"

namespace agentdesk::gateway {
namespace {

using ::agentdesk::testing::HasError;
using ::agentdesk::testing::IsOk;
using ::agentdesk::testing::Value;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class GatewayAuthenticationTest : public GatewayTest {
 protected:
  GatewayAuthenticationTest() {
    hub_ = std::make_unique<Hub>(commands_, clock_, IdSource::Real(), recent_, limits_,
                                 connection_metrics_, &authenticator_);
  }

  AuthConfig Config() const {
    TrustedIssuer issuer;
    issuer.issuer = "i";
    issuer.audiences = {"a"};
    issuer.algorithms = {TokenAlgorithm::kHs256};
    issuer.keys = std::make_shared<KeySet>(Value(KeySet::Parse(key_.KeySetText())));
    AuthConfig config;
    config.issuers = {issuer};
    config.clock_skew = absl::ZeroDuration();
    return config;
  }
  std::string Token(absl::string_view subject = "alice", absl::Duration lives = absl::Minutes(1),
                    absl::string_view scope = "events:read", absl::string_view tenant = "") {
    return key_.SignToken(
        absl::StrCat(R"({"iss":"i","aud":"a","sub":")", subject, R"(","exp":)",
                     absl::ToUnixSeconds(clock_.Now() + lives), R"(,"scope":")", scope, "\"",
                     tenant.empty() ? "" : absl::StrCat(R"(,"tenant":")", tenant, "\""), "}"));
  }
  static std::string AuthMessage(absl::string_view token, absl::string_view more = "") {
    return absl::StrCat(R"({"type":"auth","token":")", token, "\"", more, "}");
  }
  // A browser whose request has shown this token.
  Browser& Shown(Protocol protocol, const std::string& token, bool live = true) {
    ConnectionOptions options;
    options.protocol = protocol;
    options.caller = {.actor = "guest-0001", .via = "websocket", .traceparent = ""};
    absl::StatusOr<Identity> user = authenticator_.Verify(token);
    if (user.ok()) {
      options.user = *std::move(user);
    } else {
      options.user = user.status();
    }
    if (live && protocol == Protocol::kV1) options.subscribe = Subscribe{};
    return Connect(std::move(options));
  }
  static v1::Event Of(v1::Event event, absl::string_view tenant) {
    event.set_tenant(std::string(tenant));
    return event;
  }

  const tools::SigningKey key_ = Value(tools::SigningKey::Generate(TokenAlgorithm::kHs256));
  const Authenticator authenticator_{Config(), clock_};
};

TEST_F(GatewayAuthenticationTest, NothingIsSaidToWhoHasNotProvedAnything) {
  Begin();
  const std::vector<Browser*> browsers = {&Plain(), &Full(SubscribeFrom{})};
  Publish({Message(1, "secret")});
  hub_->ReportGap({.reason = "other_desk", .desk_id = kOtherDesk, .available_from = 1});
  Begin();
  Pass(absl::Seconds(9));
  for (const Browser* browser : browsers) EXPECT_EQ(browser->socket->close_code(), 0);
  Pass(absl::Seconds(2));
  for (Browser* browser : browsers) {
    EXPECT_THAT(browser->Heard(), IsEmpty());
    EXPECT_EQ(browser->socket->close_code(), 4401);
  }
}

TEST_F(GatewayAuthenticationTest, TheFirstMessageMustBeTheToken) {
  Begin();
  for (const std::string text :
       {R"({"type":"ping"})", "no JSON", R"({"type":"subscribe","from":"live"})", "{}"}) {
    for (Browser* browser : {&Plain(), &Full()}) {
      browser->Say(text);
      EXPECT_THAT(browser->Heard(), IsEmpty()) << text;
      EXPECT_EQ(browser->socket->close_code(), 4401) << text;
    }
  }
}

TEST_F(GatewayAuthenticationTest, ATokenOverTheSocketOpensIt) {
  Begin(5);
  Browser& full = Full(SubscribeFrom{});
  Browser& plain = Plain();
  Publish({Message(6, "before")});
  full.Say(AuthMessage(Token("zoë")));
  plain.Say(AuthMessage(Token()));
  EXPECT_THAT(full.Heard(),
              ElementsAre(AllOf(HasSubstr(R"("type":"hello")"), HasSubstr(R"("sequence":6)"),
                                HasSubstr(R"("user":"zoë","token_expires_at":"2025-)")),
                          HasSubstr("subscribed")));
  EXPECT_THAT(plain.Heard(), IsEmpty());  // the plain protocol has no word for it
  Publish({Message(7, "after")});
  EXPECT_THAT(full.Heard(), ElementsAre(HasSubstr("after")));
  EXPECT_THAT(plain.Heard(), ElementsAre(HasSubstr("after")));
}

// What is asked before the token came was not sent here.
TEST_F(GatewayAuthenticationTest, WhatWasAskedBeforeTheTokenCameWasNotShown) {
  // As of which position a response of the browser is judged now.
  const auto as_of = [this](Browser& browser) {
    browser.Say(absl::StrCat(R"({"type":"user_response","session_id":")", kSession,
                             R"(","response":"yes"})"));
    auto& asked = commands_.responses.back();
    asked.reply(v1::SubmitResponseResponse());
    return asked.request.as_of_sequence();
  };
  Browser& early = Plain();
  Begin(5);
  Browser& full = Full();
  Browser& plain = Plain();
  Publish({Question(6, "not shown")});
  for (Browser* browser : {&early, &full, &plain}) {
    browser->Say(AuthMessage(Token()));
    EXPECT_EQ(as_of(*browser), 5);
  }
  Publish({Question(7, "shown")});
  EXPECT_EQ(as_of(plain), 7);

  Browser& late = Plain();
  hub_->ReportGap({.reason = "other_desk", .desk_id = kOtherDesk, .available_from = 1});
  Begin(2, kOtherDesk);
  late.Say(AuthMessage(Token()));
  EXPECT_EQ(as_of(late), 2);
}

TEST_F(GatewayAuthenticationTest, ARefusedTokenClosesWithItsCode) {
  Begin();
  const std::pair<std::string, int> cases[] = {
      {Token("alice", -absl::Seconds(1)), 4401},
      {Token("alice", absl::Minutes(1), "tickets:read"), 4503},
      {absl::StrCat(Token(), "x"), 4501},
      {"", 4501},
  };
  for (const auto& [token, code] : cases) {
    Browser& shown = Shown(Protocol::kV1, token);
    EXPECT_EQ(shown.socket->close_code(), code) << token;
    EXPECT_THAT(shown.Heard(), IsEmpty());
    Browser& said = Full();
    said.Say(AuthMessage(token));
    EXPECT_EQ(said.socket->close_code(), code) << token;
    EXPECT_THAT(said.Heard(), IsEmpty());
  }
  Browser& none = Plain();
  none.Say(R"({"type":"auth","token":7})");
  EXPECT_EQ(none.socket->close_code(), 4501);
}

TEST_F(GatewayAuthenticationTest, ASocketEndsWithItsTokenUnlessAFreshOneCame) {
  Begin();
  Browser& ends = Shown(Protocol::kPlain, Token());
  Browser& goes_on = Shown(Protocol::kV1, Token());
  Pass(absl::Seconds(50));
  goes_on.Heard();
  goes_on.Say(AuthMessage(Token(), R"(,"request_id":"r")"));
  EXPECT_THAT(
      goes_on.Heard(),
      ElementsAre(AllOf(HasSubstr(R"({"type":"ack","status":"authenticated","user":"alice")"),
                        HasSubstr(R"("request_id":"r")"))));
  Pass(absl::Seconds(8));
  EXPECT_EQ(ends.socket->close_code(), 0);
  Pass(absl::Seconds(4));
  EXPECT_EQ(ends.socket->close_code(), 4401);
  EXPECT_EQ(goes_on.socket->close_code(), 0);
  Pass(absl::Seconds(60));
  EXPECT_EQ(goes_on.socket->close_code(), 4401);
}

TEST_F(GatewayAuthenticationTest, WhatTheCoreSendsGoesOnWithTheFreshToken) {
  const absl::Status ran_out =
      ErrorWithReason(absl::StatusCode::kUnauthenticated, "token_expired", "after 9");
  const auto part = [](int64_t after, const v1::Event& event) {
    FeedPart made;
    made.events = Block(after, {event});
    return made;
  };
  Begin(10);
  Browser& browser = Shown(Protocol::kV1, Token(), /*live=*/false);
  Browser& begins = Shown(Protocol::kV1, Token(), /*live=*/false);
  Browser& ends = Shown(Protocol::kV1, Token(), /*live=*/false);
  for (Browser* each : {&browser, &begins, &ends}) {
    each->Say(absl::StrCat(R"({"type":"subscribe","from":{"desk":")", kDesk, R"(","after":3}})"));
  }
  commands_.feeds[0]->receiver(part(3, Message(4, "four")));
  for (Browser* each : {&browser, &begins}) each->Say(AuthMessage(Token("alice", absl::Hours(1))));
  Pass(absl::Seconds(59));
  for (size_t i = 0; i < 3; ++i) commands_.feeds[i]->receiver(ran_out);
  ASSERT_THAT(commands_.feeds, SizeIs(5));
  EXPECT_EQ(commands_.feeds[3]->from.after, 4);
  EXPECT_EQ(commands_.feeds[3]->from.desk_id, kDesk);
  EXPECT_GT(commands_.feeds[3]->caller.user_until, clock_.Now() + absl::Minutes(1));
  EXPECT_EQ(commands_.feeds[4]->from.after, 3);
  commands_.feeds[3]->receiver(part(4, Message(5, "five")));
  commands_.feeds[4]->receiver(part(3, Message(4, "four")));
  EXPECT_THAT(browser.Events(), ElementsAre(HasSubstr("four"), HasSubstr("five")));
  EXPECT_THAT(begins.Events(), ElementsAre(HasSubstr("four")));
  EXPECT_EQ(browser.socket->close_code(), 0);
  EXPECT_EQ(ends.socket->close_code(), 4401);
  EXPECT_THAT(ends.socket->close_reason(), HasSubstr("fresh one"));
}

// Its parts do not fit to those of another one.
TEST_F(GatewayAuthenticationTest, ASnapshotThatTheTokenEndsBeginsOnANewSocket) {
  Begin(10);
  Browser& browser = Shown(Protocol::kV1, Token(), /*live=*/false);
  browser.Say(R"({"type":"subscribe","from":"snapshot"})");
  FeedPart part;
  part.snapshot = {MakeFrame(R"({"type":"snapshot","more":true})")};
  part.events = Block(10, {});
  commands_.feeds[0]->receiver(std::move(part));
  browser.Say(AuthMessage(Token("alice", absl::Hours(1))));
  commands_.feeds[0]->receiver(
      ErrorWithReason(absl::StatusCode::kUnauthenticated, "token_expired", "it ran out"));
  EXPECT_EQ(browser.socket->close_code(), 1012);
}

TEST_F(GatewayAuthenticationTest, ASocketEndsWithItsTokenAlsoDuringADrain) {
  Begin();
  const std::string token = Token("alice", absl::Seconds(10));
  for (int i = 0; i < 600; ++i) Shown(Protocol::kPlain, token);
  hub_->StartDrain(absl::Seconds(40));
  Pass(absl::Seconds(11));
  int ended = 0;
  for (const auto& browser : browsers_) {
    EXPECT_NE(browser->socket->close_code(), 0);
    ended += browser->socket->close_code() == 4401 ? 1 : 0;
  }
  EXPECT_GT(ended, 100);
}

TEST_F(GatewayAuthenticationTest, AFreshTokenIsForTheSameUser) {
  Begin();
  Browser& other = Shown(Protocol::kV1, Token());
  other.Say(AuthMessage(Token("bob")));
  EXPECT_EQ(other.socket->close_code(), 4503);
  Browser& tenant = Shown(Protocol::kV1, Token());
  tenant.Say(AuthMessage(Token("alice", absl::Minutes(1), "events:read", "t")));
  EXPECT_EQ(tenant.socket->close_code(), 4503);
  Browser& less = Shown(Protocol::kV1, Token());
  less.Say(AuthMessage(Token("alice", absl::Minutes(1), "tickets:read")));
  EXPECT_EQ(less.socket->close_code(), 4503);
  Browser& bad = Shown(Protocol::kV1, Token());
  bad.Say(AuthMessage("x"));
  EXPECT_EQ(bad.socket->close_code(), 4501);
}

TEST_F(GatewayAuthenticationTest, TheCoreIsToldForWhomItIsAsked) {
  Begin();
  Browser& browser =
      Shown(Protocol::kPlain, Token("alice", absl::Minutes(1), "events:read x", "t"));
  browser.Say(absl::StrCat(R"({"type":"user_response","session_id":")", kSession,
                           R"(","response":"yes"})"));
  ASSERT_THAT(commands_.responses, SizeIs(1));
  const Identity user = Value(DecodeIdentity(commands_.responses.back().caller.user));
  EXPECT_EQ(user.subject, "alice");
  EXPECT_EQ(user.tenant, "t");
  EXPECT_THAT(user.scopes, ElementsAre("events:read", "x"));
  commands_.responses.back().reply(absl::PermissionDeniedError("this call needs answers:write"));
  EXPECT_THAT(browser.Heard(),
              ElementsAre(AllOf(HasSubstr(R"("status":"forbidden")"), HasSubstr("answers:write"))));
  Browser& follower = Shown(Protocol::kV1, Token(), /*live=*/false);
  follower.Say(R"({"type":"subscribe","from":"snapshot"})");
  ASSERT_THAT(commands_.feeds, SizeIs(1));
  EXPECT_EQ(Value(DecodeIdentity(commands_.feeds.back()->caller.user)).subject, "alice");
}

TEST_F(GatewayAuthenticationTest, EachSeesTheEventsOfTheirTenantAlone) {
  Begin();
  Browser& a = Shown(Protocol::kV1, Token("a", absl::Minutes(1), "events:read", "A"));
  Browser& plain = Shown(Protocol::kPlain, Token("b", absl::Minutes(1), "events:read", "B"));
  Browser& none = Shown(Protocol::kStream, Token());
  Browser& other = Shown(Protocol::kV1, Token("c", absl::Minutes(1), "events:read", "C"));
  for (Browser* browser : {&a, &plain, &none, &other}) browser->Heard();
  Publish({Of(Message(1, "one"), "A"), Of(Message(2, "two"), "B"), Message(3, "three"),
           Of(Message(4, "four"), "A"), Of(Message(5, "five"), "A"), Of(Message(6, "six"), "B")});
  EXPECT_THAT(a.Events(), ElementsAre(HasSubstr("one"), HasSubstr("four"), HasSubstr("five")));
  EXPECT_THAT(plain.Events(), ElementsAre(HasSubstr("two"), HasSubstr("six")));
  EXPECT_THAT(none.Events(), IsEmpty());  // a stream must subscribe
  EXPECT_THAT(other.Events(), IsEmpty());
  // What is others' is not missing: all that this one may see was sent.
  Pass(absl::Seconds(15));
  EXPECT_THAT(other.Heard(), ElementsAre(HasSubstr(R"("up_to":6)")));
}

TEST_F(GatewayAuthenticationTest, AUserHasSoManyConnections) {
  LoadLimits limits({.connections_per_user = 2}, clock_);
  hub_ = std::make_unique<Hub>(commands_, clock_, IdSource::Real(), recent_, limits,
                               connection_metrics_, &authenticator_);
  Begin();
  Browser& first = Shown(Protocol::kPlain, Token("alice"));
  Shown(Protocol::kV1, Token("alice"));
  Browser& third = Full();
  third.Say(AuthMessage(Token("alice")));
  EXPECT_EQ(third.socket->close_code(), 4429);
  EXPECT_EQ(third.socket->close_reason(), "too many connections of this user, retry in 30 s");
  EXPECT_EQ(Shown(Protocol::kPlain, Token("bob")).socket->close_code(), 0);
  first.Say(AuthMessage(Token("alice")));  // a fresh token takes no place of its own
  EXPECT_EQ(first.socket->close_code(), 0);
  const Identity alice = User("alice");
  EXPECT_FALSE(limits.HasRoom(alice));
  // Whoever has the same name in another tenant is somebody else.
  EXPECT_TRUE(limits.HasRoom(User("alice", "zenith")));
  EXPECT_EQ(Shown(Protocol::kPlain, Token("alice", absl::Minutes(1), "events:read", "zenith"))
                .socket->close_code(),
            0);
  Close(first);
  EXPECT_TRUE(limits.HasRoom(alice));
  EXPECT_EQ(Shown(Protocol::kPlain, Token("alice")).socket->close_code(), 0);
  EXPECT_EQ(limits.refused().user_connections, 1);
  for (const std::unique_ptr<Browser>& browser : browsers_) {
    if (browser->handler != nullptr) Close(*browser);
  }
}

TEST_F(GatewayAuthenticationTest, WhoFloodsBeforeProvingAnythingGoesWithoutAWord) {
  LoadLimits limits({.messages_per_second = 1}, clock_);
  hub_ = std::make_unique<Hub>(commands_, clock_, IdSource::Real(), recent_, limits,
                               connection_metrics_, &authenticator_);
  Begin();
  for (Browser* browser : {&Plain(), &Full()}) {
    for (int i = 0; i < 4; ++i) browser->handler->OnControl();
    EXPECT_EQ(browser->socket->close_code(), 0);
    browser->handler->OnControl();
    EXPECT_EQ(browser->socket->close_code(), 4429);
    EXPECT_EQ(browser->socket->close_reason(), "too many messages, retry in 5 s");
    EXPECT_THAT(browser->Heard(), IsEmpty());
  }
  for (Browser* browser : {&Plain(), &Full()}) {
    for (int i = 0; i < 4; ++i) browser->handler->OnControl();
    browser->Say(AuthMessage(Token()));
    EXPECT_EQ(browser->socket->close_code(), 4429);
    EXPECT_THAT(browser->Heard(), IsEmpty());
  }
  EXPECT_EQ(limits.refused().floods, 4);
  EXPECT_EQ(limits.refused().messages, 0);
  for (const std::unique_ptr<Browser>& browser : browsers_) Close(*browser);
}

TEST_F(GatewayAuthenticationTest, WithoutAuthenticationThereIsNoSuchMessage) {
  hub_ = std::make_unique<Hub>(commands_, clock_, IdSource::Real(), recent_, limits_,
                               connection_metrics_);
  Begin();
  Browser& browser = Plain();
  browser.Say(AuthMessage("x"));
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("unknown_type")));
  EXPECT_EQ(browser.socket->close_code(), 0);
}

HttpRequest Request(std::vector<std::pair<std::string, std::string>> headers,
                    std::string method = "GET") {
  HttpRequest request;
  request.method = std::move(method);
  request.target = "/tickets?token=no&access_token=no";
  request.headers = std::move(headers);
  return request;
}

TEST(CredentialTest, OneTokenByTheFirstWayThatIsUsed) {
  using Way = Credential::Way;
  const struct {
    std::vector<std::pair<std::string, std::string>> headers;
    Way way;
    std::string token;
  } cases[] = {
      {{}, Way::kNone, ""},
      {{{"authorization", "Bearer t"}}, Way::kHeader, "t"},
      {{{"authorization", "bEARER  t "}}, Way::kHeader, "t"},
      {{{"authorization", "Basic dDp0"}}, Way::kNone, ""},
      {{{"authorization", "Bearer"}}, Way::kNone, ""},
      {{{"authorization", "Bearer t"}, {"authorization", "Bearer u"}}, Way::kHeader, ""},
      {{{"sec-websocket-protocol", "agentdesk.v1, agentdesk.bearer.t"}}, Way::kSubprotocol, "t"},
      {{{"sec-websocket-protocol", "agentdesk.bearer.t"},
        {"sec-websocket-protocol", "agentdesk.bearer.u"}},
       Way::kSubprotocol,
       ""},
      {{{"sec-websocket-protocol", "agentdesk.bearer."}}, Way::kNone, ""},
      {{{"cookie", "a=b; agentdesk_token=t; c=d"}}, Way::kCookie, "t"},
      {{{"cookie", "agentdesk_token=t; agentdesk_token=u"}}, Way::kCookie, ""},
      {{{"cookie", "xagentdesk_token=t; agentdesk_tokens=u"}}, Way::kNone, ""},
      {{{"cookie", "agentdesk_token=c"}, {"authorization", "Bearer t"}}, Way::kHeader, "t"},
      {{{"cookie", "agentdesk_token=c"}, {"sec-websocket-protocol", "agentdesk.bearer.t"}},
       Way::kSubprotocol,
       "t"},
      {{{"cookie", "agentdesk_token=c"}, {"authorization", "Basic x"}}, Way::kCookie, "c"},
  };
  for (const auto& c : cases) {
    const Credential credential = FindCredential(Request(c.headers));
    EXPECT_EQ(credential.way, c.way) << (c.headers.empty() ? "" : c.headers[0].second);
    EXPECT_EQ(credential.token, c.token) << (c.headers.empty() ? "" : c.headers[0].second);
  }
}

TEST_F(GatewayAuthenticationTest, ACookieCountsForTheOwnPagesAlone) {
  const OriginList origins =
      Value(OriginList::Parse({"http://localhost:*", "https://desk.example"}));
  const auto status = [&](std::string method, const std::string& origin, bool upgrade) {
    std::vector<std::pair<std::string, std::string>> headers = {
        {"host", "localhost:8000"}, {"cookie", absl::StrCat("agentdesk_token=", Token())}};
    if (!origin.empty()) headers.emplace_back("origin", origin);
    if (upgrade) headers.emplace_back("upgrade", "websocket");
    const HttpRequest request = Request(std::move(headers), std::move(method));
    return Authenticate(request, FindCredential(request), authenticator_, origins).status();
  };
  const auto is_foreign = HasError(absl::StatusCode::kPermissionDenied, "origin");
  for (const std::string own :
       {"http://localhost:8000", "https://localhost:8000", "https://desk.example"}) {
    EXPECT_THAT(status("GET", own, true), IsOk()) << own;
    EXPECT_THAT(status("POST", own, false), IsOk()) << own;
  }
  // Allowed by the list, and yet another site's: it must bring a token of its own.
  for (const std::string foreign : {"http://localhost:3000", "http://localhost", "null",
                                    "http://evil.example", "https://desk.example:444"}) {
    EXPECT_THAT(status("GET", foreign, true), is_foreign) << foreign;
    EXPECT_THAT(status("GET", foreign, false), is_foreign) << foreign;
    EXPECT_THAT(status("POST", foreign, false), is_foreign) << foreign;
  }
  EXPECT_THAT(status("GET", "", false), IsOk());
  EXPECT_THAT(status("GET", "", true), is_foreign);
  EXPECT_THAT(status("POST", "", false), is_foreign);
}

TEST(CredentialTest, TheCookieIsOutOfReachForScriptsAndOtherSites) {
  EXPECT_EQ(TokenCookie("t", absl::Seconds(90)),
            "agentdesk_token=t; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=90");
  EXPECT_EQ(TokenCookie("t", -absl::Seconds(1)),
            "agentdesk_token=t; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=0");
  EXPECT_EQ(NoTokenCookie(),
            "agentdesk_token=; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=0");
}

}  // namespace
}  // namespace agentdesk::gateway
