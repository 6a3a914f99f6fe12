#include "core_service/base/token_verifier.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core_service/base/base64url.h"
#include "core_service/base/error.h"
#include "core_service/base/identity.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tools/signing_key.h"

namespace agentdesk {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::Value;
using tools::SigningKey;

constexpr int64_t kNow = 1764466501;  // where the fake clock starts

class TokenVerifierTest : public ::testing::Test {
 protected:
  TokenVerifierTest() : verifier_(Issuers(), absl::Seconds(30), clock_) {}

  std::vector<TrustedIssuer> Issuers() const {
    TrustedIssuer a;
    a.issuer = "https://a.example";
    a.audiences = {"agentdesk", "agentdesk-test"};
    a.algorithms = {TokenAlgorithm::kEs256};
    a.keys = std::make_shared<KeySet>(Value(KeySet::Parse(key_a_.KeySetText())));
    TrustedIssuer b;
    b.issuer = "https://b.example";
    b.audiences = {"desk"};
    b.algorithms = {TokenAlgorithm::kEdDsa};
    b.subject_prefix = "b:";
    b.tenant_claim = "org";
    b.keys = std::make_shared<KeySet>(Value(KeySet::Parse(key_b_.KeySetText())));
    return {a, b};
  }

  // The claims of a good token of the first issuer, with one exchanged for other text. Empty text
  // leaves it out.
  static std::string Claims(absl::string_view name = "", absl::string_view value = "") {
    const std::pair<absl::string_view, std::string> claims[] = {{"iss", R"("https://a.example")"},
                                                                {"aud", R"("agentdesk")"},
                                                                {"sub", R"("alice")"},
                                                                {"exp", absl::StrCat(kNow + 600)}};
    std::string text;
    bool exchanged = false;
    const auto add = [&](absl::string_view claim, absl::string_view json) {
      if (json.empty()) return;
      absl::StrAppend(&text, text.empty() ? "{" : ",", "\"", claim, "\":", json);
    };
    for (const auto& [claim, json] : claims) {
      exchanged = exchanged || claim == name;
      add(claim, claim == name ? value : absl::string_view(json));
    }
    if (!exchanged) add(name, value);
    return absl::StrCat(text, "}");
  }

  absl::StatusOr<Identity> Verify(absl::string_view claims) const {
    return verifier_.Verify(key_a_.SignToken(claims));
  }
  void ExpectRefused(absl::string_view claims, absl::string_view why,
                     absl::string_view reason = kTokenInvalid) const {
    const absl::StatusOr<Identity> identity = Verify(claims);
    ASSERT_TRUE(absl::IsUnauthenticated(identity.status())) << claims;
    EXPECT_THAT(std::string(identity.status().message()), HasSubstr(std::string(why))) << claims;
    EXPECT_EQ(DetailOf(identity.status()).reason, reason) << claims;
  }

  const SigningKey key_a_ = Value(SigningKey::Generate(TokenAlgorithm::kEs256));
  const SigningKey key_b_ = Value(SigningKey::Generate(TokenAlgorithm::kEdDsa));
  testing::FakeClock clock_;
  TokenVerifier verifier_;
};

TEST_F(TokenVerifierTest, SaysWhoItIs) {
  const Identity least = Value(Verify(Claims()));
  EXPECT_EQ(least.issuer, "https://a.example");
  EXPECT_EQ(least.subject, "alice");
  EXPECT_EQ(least.tenant, "");
  EXPECT_THAT(least.scopes, IsEmpty());
  EXPECT_EQ(least.expires_at, absl::FromUnixSeconds(kNow + 630));

  const Identity full = Value(verifier_.Verify(key_b_.SignToken(absl::StrCat(
      R"({"iss":"https://b.example","aud":["x","desk"],"sub":"bob","exp":)", kNow + 10.5,
      R"(,"nbf":)", kNow, R"(,"iat":)", kNow - 5,
      R"(,"scope":"tickets:read  events:read","scp":["admin"],"groups":["g"],"roles":["r","s"],)"
      R"("org":"acme","tenant":7,"other":{"deep":[null]}})"))));
  EXPECT_EQ(full.subject, "b:bob");
  EXPECT_EQ(full.tenant, "acme");
  EXPECT_THAT(full.scopes, ElementsAre("tickets:read", "events:read", "admin"));
  EXPECT_THAT(full.groups, ElementsAre("g"));
  EXPECT_THAT(full.roles, ElementsAre("r", "s"));
  EXPECT_THAT(Value(Verify(Claims("scp", R"("a b")"))).scopes, ElementsAre("a", "b"));
  EXPECT_EQ(Value(Verify(Claims("aud", R"("agentdesk-test")"))).subject, "alice");
}

TEST_F(TokenVerifierTest, RefusesClaims) {
  const struct {
    const char* name;
    std::string value;
    const char* why;
  } cases[] = {
      {"iss", "", "iss `` is not trusted"},
      {"iss", R"("https://A.example")", "is not trusted"},
      {"iss", R"("https://a.example/")", "is not trusted"},
      {"iss", R"("https://b.example")", "no key has its kid"},
      {"iss", R"(["https://a.example"])", "iss: must be a string"},
      {"iss", "null", "iss: must be a string"},
      {"aud", "", "aud: is missing"},
      {"aud", R"("AgentDesk")", "aud: is not for this service"},
      {"aud", R"("desk")", "aud: is not for this service"},
      {"aud", R"("")", "aud: is not for this service"},
      {"aud", "[]", "aud: is not for this service"},
      {"aud", R"(["agentdesk",7])", "aud: must be"},
      {"aud", R"({"agentdesk":1})", "aud: must be"},
      {"aud", "true", "aud: must be"},
      {"sub", "", "sub: must have 1 to 200"},
      {"sub", R"("")", "sub: must have 1 to 200"},
      {"sub", absl::StrCat("\"", std::string(201, 'a'), "\""), "sub: must have 1 to 200"},
      {"sub", R"("a\nb")", "control characters"},
      {"sub", R"("a\u0000")", "control characters"},
      {"sub", R"("a\u009b")", "control characters"},
      {"sub", "7", "sub: must be a string"},
      {"exp", "", "exp: is missing"},
      {"exp", absl::StrCat("\"", kNow + 600, "\""), "exp: must be a number"},
      {"exp", "null", "exp: must be a number"},
      {"exp", "[9999999999]", "exp: must be a number"},
      {"exp", "true", "exp: must be a number"},
      {"exp", "-1", "exp: must be seconds since 1970"},
      {"exp", "1e300", "exp: must be seconds since 1970"},
      {"exp", "1764466501000", "exp: must be seconds since 1970"},
      {"exp", "18446744073709551615", "exp: must be seconds since 1970"},
      {"exp", "99999999999999999999999999", "exp: must be seconds since 1970"},
      {"exp", "NaN", "not JSON"},
      {"exp", "Infinity", "not JSON"},
      {"exp", "0x7fffffff", "not JSON"},
      {"nbf", R"("1")", "nbf: must be a number"},
      {"nbf", "-5", "nbf: must be seconds since 1970"},
      {"iat", R"("1")", "iat: must be a number"},
      {"scope", R"(["admin"])", "scope: must be a string"},
      {"scp", "7", "scp: must be"},
      {"groups", R"("admins")", "groups: must be an array"},
      {"roles", "[null]", "roles: must be an array"},
      {"tenant", "7", "tenant: must be a string"},
      {"tenant", R"("")", "tenant: must have 1 to 200"},
      {"tenant", R"("a\u0007")", "control characters"},
      {"a", R"(1,"a":2)", "occurs twice"},
      {"a", R"(1,"exp":99999999999)", "occurs twice"},
      {"a", R"({"b":1,"b":1})", "occurs twice"},
  };
  for (const auto& [name, value, why] : cases) ExpectRefused(Claims(name, value), why);
}

TEST_F(TokenVerifierTest, ThePayloadIsAnObject) {
  for (const char* payload : {"", "[]", "7", R"("text")", "null", "{}x", "{", "\xFF"}) {
    ExpectRefused(payload, "its payload: ");
  }
  // A token within a token.
  ExpectRefused(key_a_.SignToken(Claims()), "its payload: ");
}

TEST_F(TokenVerifierTest, TimesAreHeldAgainstTheClock) {
  const std::string claims = Claims("nbf", absl::StrCat(kNow + 31));
  ExpectRefused(claims, "not valid yet", kTokenNotYetValid);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Verify(claims), IsOk());
  clock_.Advance(absl::Seconds(628));
  EXPECT_THAT(Verify(claims), IsOk());  // 600 s and the skew of 30 s, less a second
  clock_.Advance(absl::Seconds(1));
  ExpectRefused(claims, "it has expired", kTokenExpired);
  ExpectRefused(Claims("exp", "0"), "it has expired", kTokenExpired);
}

TEST_F(TokenVerifierTest, AnIssuersKeysSpeakForItAlone) {
  // The first issuer's key under the second one's name, and the other way round.
  const std::string of_b =
      absl::StrReplaceAll(Claims("aud", R"("desk")"), {{"a.example", "b.example"}});
  const auto by_a = verifier_.Verify(key_a_.SignToken(R"({"alg":"ES256"})", of_b));
  EXPECT_THAT(std::string(by_a.status().message()), HasSubstr("is not what its key is for"));
  EXPECT_THAT(verifier_.Verify(key_b_.SignToken(of_b)), IsOk());
  const auto by_b = verifier_.Verify(key_b_.SignToken(R"({"alg":"EdDSA"})", Claims()));
  EXPECT_THAT(std::string(by_b.status().message()), HasSubstr("is not what its key is for"));
}

TEST_F(TokenVerifierTest, OtherKindsOfTokensAreRefused) {
  const auto verify = [&](absl::string_view type) {
    return verifier_.Verify(
        key_a_.SignToken(absl::StrCat(R"({"alg":"ES256","typ":")", type, R"("})"), Claims()));
  };
  for (const char* type : {"JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"}) {
    EXPECT_THAT(verify(type), IsOk()) << type;
  }
  for (const char* type : {"logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "JWT ",
                           "application/"
                           "json"}) {
    EXPECT_FALSE(verify(type).ok()) << type;
  }
}

TEST_F(TokenVerifierTest, KeysCanBeReplaced) {
  const SigningKey fresh = Value(SigningKey::Generate(TokenAlgorithm::kEs256));
  EXPECT_FALSE(verifier_.Verify(fresh.SignToken(Claims())).ok());
  verifier_.SetKeys(0, std::make_shared<KeySet>(Value(KeySet::Parse(fresh.KeySetText()))));
  EXPECT_THAT(verifier_.Verify(fresh.SignToken(Claims())), IsOk());
  EXPECT_FALSE(Verify(Claims()).ok());
  verifier_.SetKeys(0, nullptr);
  EXPECT_FALSE(verifier_.Verify(fresh.SignToken(Claims())).ok());
}

TEST_F(TokenVerifierTest, SaysWhoseKeyIsNotThere) {
  std::vector<size_t> asked;
  TokenVerifier verifier(Issuers(), absl::Seconds(30), clock_,
                         [&asked](size_t issuer) { asked.push_back(issuer); });
  EXPECT_THAT(verifier.Verify(key_a_.SignToken(Claims())), IsOk());
  EXPECT_FALSE(verifier.Verify(key_a_.SignToken(Claims("aud", R"("x")"))).ok());
  EXPECT_FALSE(verifier.Verify(key_a_.SignToken(Claims("iss", R"("x")"))).ok());
  EXPECT_FALSE(verifier.Verify("a.b.c").ok());
  EXPECT_THAT(asked, IsEmpty());
  const SigningKey other = Value(SigningKey::Generate(TokenAlgorithm::kEs256));
  EXPECT_FALSE(verifier.Verify(other.SignToken(Claims())).ok());
  EXPECT_THAT(asked, ElementsAre(0));
  // One without a kid may be of a key that is there.
  EXPECT_FALSE(verifier.Verify(other.SignToken(R"({"alg":"ES256"})", Claims())).ok());
  EXPECT_THAT(asked, ElementsAre(0));
  verifier.SetKeys(0, nullptr);
  EXPECT_FALSE(verifier.Verify(key_a_.SignToken(Claims())).ok());
  EXPECT_THAT(asked, ElementsAre(0, 0));
}

TEST_F(TokenVerifierTest, ASubjectIsOfOneIssuer) {
  EXPECT_EQ(Value(Verify(Claims("sub", R"("b")"))).subject, "b");
  EXPECT_EQ(Value(Verify(Claims("sub", R"("x b:gateway")"))).subject, "x b:gateway");
  ExpectRefused(Claims("sub", R"("b:gateway")"), "sub: `b:gateway` would be another issuer's");
  ExpectRefused(Claims("sub", R"("b:")"), "would be another issuer's");

  std::vector<TrustedIssuer> issuers = Issuers();
  issuers[0].subject_prefix = "b:a:";
  const TokenVerifier nested(issuers, absl::Seconds(30), clock_);
  EXPECT_EQ(Value(nested.Verify(key_a_.SignToken(Claims()))).subject, "b:a:alice");
  const auto of_b = [&](absl::string_view subject) {
    return nested.Verify(
        key_b_.SignToken(absl::StrCat(R"({"iss":"https://b.example","aud":"desk","sub":")", subject,
                                      R"(","exp":)", kNow + 10, "}")));
  };
  EXPECT_EQ(Value(of_b("alice")).subject, "b:alice");
  EXPECT_FALSE(of_b("a:alice").ok());
}

TEST(IdentityTest, IsReadAsItWasWritten) {
  Identity identity;
  identity.issuer = "i";
  identity.subject = "Ünal";
  identity.tenant = "t";
  identity.scopes = {"a", "b"};
  identity.groups = {"g"};
  identity.expires_at = absl::FromUnixMillis(1764466501001);
  const Identity read = Value(DecodeIdentity(EncodeIdentity(identity)));
  EXPECT_EQ(read.issuer, "i");
  EXPECT_EQ(read.subject, "Ünal");
  EXPECT_EQ(read.tenant, "t");
  EXPECT_THAT(read.scopes, ElementsAre("a", "b"));
  EXPECT_THAT(read.groups, ElementsAre("g"));
  EXPECT_THAT(read.roles, IsEmpty());
  EXPECT_EQ(read.expires_at, identity.expires_at);
  Identity least;
  least.subject = "x";
  EXPECT_EQ(Value(DecodeIdentity(EncodeIdentity(least))).expires_at, absl::InfiniteFuture());
}

TEST(IdentityTest, RefusesWhatNobodyWrites) {
  for (const char* json :
       {"", "[]", "{}", R"({"sub":""})", R"({"sub":7})", R"({"sub":"a\nb"})",
        R"({"sub":"a","sub":"b"})", R"({"sub":"a","scopes":"x"})", R"({"sub":"a","tenant":""})",
        R"({"sub":"a","expires_ms":-1})", R"({"sub":"a","expires_ms":"1"})",
        R"({"sub":"a","expires_ms":1e300})"}) {
    EXPECT_FALSE(DecodeIdentity(EncodeBase64Url(json)).ok()) << json;
  }
  EXPECT_FALSE(DecodeIdentity("%").ok());
  EXPECT_FALSE(DecodeIdentity(std::string(20000, 'A')).ok());
}

TEST_F(TokenVerifierTest, NoErrorHoldsTheToken) {
  const std::string token = key_a_.SignToken(Claims("aud", R"("other")"));
  const std::string signature = token.substr(token.rfind('.') + 1);
  for (const std::string& bad : {token, absl::StrCat(token, "="), absl::StrCat(token, ".x")}) {
    const absl::Status status = verifier_.Verify(bad).status();
    ASSERT_FALSE(status.ok());
    EXPECT_FALSE(absl::StrContains(status.message(), signature));
  }
}

}  // namespace
}  // namespace agentdesk
