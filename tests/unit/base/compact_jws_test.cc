#include "core_service/base/compact_jws.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core_service/base/base64url.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tools/signing_key.h"

namespace agentdesk {
namespace {

using testing::HasError;
using testing::IsOk;
using testing::Value;
using tools::SigningKey;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

const std::vector<TokenAlgorithm>& All() {
  static const auto* const all =
      new std::vector<TokenAlgorithm>{TokenAlgorithm::kRs256, TokenAlgorithm::kEs256,
                                      TokenAlgorithm::kEdDsa, TokenAlgorithm::kHs256};
  return *all;
}

absl::Status Check(absl::string_view token, const KeySet& keys,
                   const std::vector<TokenAlgorithm>& algorithms = All()) {
  const absl::StatusOr<CompactJws> jws = CompactJws::Parse(token);
  return jws.ok() ? jws->CheckSignature(keys, algorithms) : jws.status();
}

struct Vector {
  const char* name;
  const char* key;
  const char* token;
};

// What others have signed.
constexpr Vector kPublished[] = {
    {"RFC 7515 A.1",
     R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})",
     "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
     "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
     "Q."
     "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    {"RFC 7515 A.2",
     R"({"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})",
     "eyJhbGciOiJSUzI1NiJ9."
     "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
     "Q."
     "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_"
     "lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
     "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
     "xi12jzDwusC-"
     "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWyw"
     "lVmtVrBp0igcN_IoypGlUPQGe77Rw"},
    {"RFC 7515 A.3",
     R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
     "eyJhbGciOiJFUzI1NiJ9."
     "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
     "Q."
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
    {"RFC 8037 A.4",
     R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
     "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
};

TEST(CompactJwsTest, AcceptsWhatOthersHaveSigned) {
  for (const Vector& vector : kPublished) {
    EXPECT_THAT(Check(vector.token, Value(KeySet::Parse(vector.key))), IsOk()) << vector.name;
  }
}

// No other text stands for a signed one: each change of one character is found.
TEST(CompactJwsTest, NoCharacterMayDiffer) {
  for (const Vector& vector : kPublished) {
    const KeySet keys = Value(KeySet::Parse(vector.key));
    const std::string token = vector.token;
    for (size_t i = 0; i < token.size(); ++i) {
      for (const char other : {'A', 'B', '_', '=', '.', '\n', '\0'}) {
        if (token[i] == other) continue;
        std::string changed = token;
        changed[i] = other;
        ASSERT_FALSE(Check(changed, keys).ok()) << vector.name << " at " << i << ": " << changed;
      }
      ASSERT_FALSE(Check(token.substr(0, i), keys).ok()) << vector.name << " cut at " << i;
    }
  }
}

TEST(CompactJwsTest, NoKeyTakesTheSignatureOfAnother) {
  for (const Vector& signer : kPublished) {
    for (const Vector& other : kPublished) {
      const absl::Status status = Check(signer.token, Value(KeySet::Parse(other.key)));
      EXPECT_EQ(status.ok(), &signer == &other) << signer.name << " by " << other.name;
    }
  }
}

TEST(CompactJwsTest, OnlyTheConfiguredAlgorithmsCount) {
  const KeySet keys = Value(KeySet::Parse(kPublished[2].key));
  EXPECT_THAT(Check(kPublished[2].token, keys, {TokenAlgorithm::kEs256}), IsOk());
  EXPECT_THAT(Check(kPublished[2].token, keys, {TokenAlgorithm::kRs256, TokenAlgorithm::kHs256}),
              HasError(kInvalid, "is not what its key is for"));
  EXPECT_THAT(Check(kPublished[2].token, keys, {}), HasError(kInvalid, "is not what its key"));
}

class HeaderTest : public ::testing::Test {
 protected:
  std::string Token(absl::string_view header) const { return key_.SignToken(header, "{}"); }

  const SigningKey key_ = Value(SigningKey::Generate(TokenAlgorithm::kEs256));
  const KeySet keys_ = Value(KeySet::Parse(key_.KeySetText()));
};

TEST_F(HeaderTest, Accepted) {
  const std::string kid = absl::StrCat(R"(,"kid":")", key_.Kid(), R"("})");
  for (const std::string& header :
       {std::string(R"({"alg":"ES256"})"), std::string(" {\n\"alg\" : \"ES256\"\t}\r\n"),
        std::string(R"({"al\u0067":"ES\u003256"})"), absl::StrCat(R"({"alg":"ES256")", kid),
        // Where keys could be fetched from is never looked at.
        std::string(
            R"({"alg":"ES256","jku":"http://evil/","jwk":{"kty":"oct","k":"AA"},"x5c":[]})"),
        std::string(R"({"alg":"ES256","typ":"anything","cty":"JWT"})")}) {
    EXPECT_THAT(Check(Token(header), keys_), IsOk()) << header;
  }
}

TEST_F(HeaderTest, Refused) {
  std::string deep = R"({"alg":"ES256","a":)";
  for (int i = 0; i < 40; ++i) deep += "[";
  for (int i = 0; i < 40; ++i) deep += "]";
  deep += "}";
  const struct {
    std::string header;
    const char* error;
  } cases[] = {
      {R"({"alg":"none"})", "alg `none` is not what its key is for"},
      {R"({"alg":"None"})", "is not what its key is for"},
      {R"({"alg":"NONE"})", "is not what its key is for"},
      {R"({"alg":"nOnE"})", "is not what its key is for"},
      {R"({"alg":"none "})", "is not what its key is for"},
      {R"({"alg":"es256"})", "is not what its key is for"},
      {R"({"alg":" ES256"})", "is not what its key is for"},
      {R"({"alg":"ES256\u0000"})", "is not what its key is for"},
      {R"({"alg":"ES384"})", "is not what its key is for"},
      {R"({"alg":"RS256"})", "is not what its key is for"},
      {R"({"alg":"HS256"})", "is not what its key is for"},
      {R"({"alg":"PS256"})", "is not what its key is for"},
      {R"({"alg":""})", "alg: must not be empty"},
      {R"({})", "alg: is missing"},
      {R"({"ALG":"ES256"})", "alg: is missing"},
      {R"({"alg":null})", "alg: must be a string"},
      {R"({"alg":["ES256"]})", "alg: must be a string"},
      {R"({"alg":{"alg":"ES256"}})", "alg: must be a string"},
      {R"({"alg":256})", "alg: must be a string"},
      {R"({"alg":"none","alg":"ES256"})", "occurs twice"},
      {R"({"alg":"ES256","al\u0067":"ES256"})", "occurs twice"},
      {R"({"alg":"ES256","x":{"a":1,"a":1}})", "occurs twice"},
      {R"({"alg":"ES256","crit":[]})", "crit: is not supported"},
      {R"({"alg":"ES256","crit":["exp"],"exp":1})", "crit: is not supported"},
      {R"({"alg":"ES256","crit":null})", "crit: is not supported"},
      {R"({"alg":"ES256","b64":false})", "b64: is not supported"},
      {R"({"alg":"ES256","kid":"other"})", "no key has its kid `other`"},
      {R"({"alg":"ES256","kid":"../../etc/passwd"})", "no key has its kid"},
      {R"({"alg":"ES256","kid":"x' OR '1'='1"})", "no key has its kid"},
      {R"({"alg":"ES256","kid":"line\nbreak"})", "`line\\nbreak`"},
      {R"({"alg":"ES256","kid":""})", "kid: must not be empty"},
      {R"({"alg":"ES256","kid":1})", "kid: must be a string"},
      {R"({"alg":"ES256","kid":["a"]})", "kid: must be a string"},
      {R"({"alg":"ES256","typ":7})", "typ: must be a string"},
      {R"({"alg":"ES256",})", "not JSON"},
      {R"({"alg":"ES256"}{})", "not JSON"},
      {R"({'alg':'ES256'})", "not JSON"},
      {R"({"alg":"ES256"/**/})", "not JSON"},
      {R"(["ES256"])", "not a JSON object"},
      {R"("ES256")", "not a JSON object"},
      {"", "not JSON"},
      {"\xEF\xBB\xBF{\"alg\":\"ES256\"}", "not JSON"},
      {"{\"alg\":\"ES256\",\"x\":\"\xC3\"}", "not JSON"},
      {R"({"alg":"ES256","x":"\ud800"})", "not JSON"},
      {deep, "not JSON"},
  };
  for (const auto& [header, error] : cases) {
    EXPECT_THAT(Check(Token(header), keys_), HasError(kInvalid, error)) << header;
  }
}

// The forms that a text with a right header, payload and signature may not have.
TEST_F(HeaderTest, Parts) {
  const std::string token = Token(R"({"alg":"ES256"})");
  const std::vector<std::string> parts = absl::StrSplit(token, '.');
  const std::string none = EncodeBase64Url(R"({"alg":"none"})");
  const std::string cases[] = {
      "",
      ".",
      "..",
      "...",
      parts[0],
      absl::StrCat(parts[0], ".", parts[1]),
      absl::StrCat(parts[0], ".", parts[1], "."),
      absl::StrCat(parts[0], "..", parts[2]),
      absl::StrCat(".", parts[1], ".", parts[2]),
      absl::StrCat(token, "."),
      absl::StrCat(".", token),
      absl::StrCat(token, ".", parts[2]),
      absl::StrCat(token, "="),
      absl::StrCat(token, "=="),
      absl::StrCat(token, "\n"),
      absl::StrCat(" ", token),
      absl::StrCat(token, std::string(1, '\0')),
      absl::StrCat(parts[0], ". ", parts[1], ".", parts[2]),
      absl::StrCat(none, ".", parts[1], "."),
      absl::StrCat(none, ".", parts[1], ".", parts[2]),
      absl::StrCat("Bearer ", token),
      absl::StrCat(R"({"payload":")", parts[1], R"(","protected":")", parts[0],
                   R"(","signature":")", parts[2], R"("})"),
      std::string(CompactJws::kMaxBytes + 1, 'A'),
      std::string(CompactJws::kMaxBytes, '.'),
  };
  for (const std::string& text : cases) {
    EXPECT_FALSE(Check(text, keys_).ok()) << text.substr(0, 300);
  }
}

TEST_F(HeaderTest, AnEcSignatureIsTwoNumbersOfFixedSize) {
  const std::string token = Token(R"({"alg":"ES256"})");
  const std::string input = token.substr(0, token.rfind('.'));
  const std::string right = *DecodeBase64Url(token.substr(token.rfind('.') + 1));
  ASSERT_EQ(right.size(), 64u);
  const std::string zero(32, '\0');
  // The order of the curve.
  const std::string n(
      "\xFF\xFF\xFF\xFF\x00\x00\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
      "\xBC\xE6\xFA\xAD\xA7\x17\x9E\x84\xF3\xB9\xCA\xC2\xFC\x63\x25\x51",
      32);
  for (const std::string& signature :
       {absl::StrCat(zero, zero), absl::StrCat(right.substr(0, 32), zero),
        absl::StrCat(zero, right.substr(32)), absl::StrCat(n, right.substr(32)),
        absl::StrCat(right.substr(0, 32), n), absl::StrCat(n, n), right.substr(0, 63),
        absl::StrCat(right, std::string(1, '\0')), absl::StrCat(std::string(1, '\0'), right),
        absl::StrCat(right.substr(32), right.substr(0, 32)), std::string(1000, '\1'),
        // The same numbers in DER, which OpenSSL itself would take.
        absl::StrCat("\x30\x44\x02\x20", right.substr(0, 32), "\x02\x20", right.substr(32))}) {
    const std::string changed = absl::StrCat(input, ".", EncodeBase64Url(signature));
    EXPECT_THAT(Check(changed, keys_), HasError(kInvalid, "signature is not right"));
  }
  EXPECT_THAT(Check(absl::StrCat(input, ".", EncodeBase64Url(right)), keys_), IsOk());
}

TEST(CompactJwsSizeTest, AnRsaSignatureHasTheSizeOfItsKey) {
  const SigningKey key = Value(SigningKey::Generate(TokenAlgorithm::kRs256));
  const KeySet keys = Value(KeySet::Parse(key.KeySetText()));
  const std::string token = key.SignToken("{}");
  const std::string input = token.substr(0, token.rfind('.'));
  const std::string right = *DecodeBase64Url(token.substr(token.rfind('.') + 1));
  ASSERT_EQ(right.size(), 256u);
  const std::string zero(1, '\0');
  for (const std::string& signature :
       {std::string(), right.substr(0, 255), absl::StrCat(right, zero), absl::StrCat(zero, right),
        std::string(256, '\0'), std::string(256, '\xFF'), absl::StrCat(right, right)}) {
    EXPECT_FALSE(Check(absl::StrCat(input, ".", EncodeBase64Url(signature)), keys).ok());
  }
  EXPECT_THAT(Check(token, keys), IsOk());
}

// The classic confusion: what is public taken for the secret of an HMAC, in any of its forms.
TEST(CompactJwsConfusionTest, APublicKeyIsNoSecret) {
  const SigningKey rsa = Value(SigningKey::Generate(TokenAlgorithm::kRs256));
  const KeySet keys = Value(KeySet::Parse(rsa.KeySetText()));
  for (const std::string& secret : {rsa.KeySetText(), rsa.PrivateText(), rsa.Kid()}) {
    const std::string set =
        absl::StrCat(R"({"keys":[{"kty":"oct","k":")", EncodeBase64Url(secret), R"("}]})");
    const SigningKey hmac = Value(SigningKey::Parse(set));
    for (const std::string& header :
         {std::string(R"({"alg":"HS256"})"), std::string(R"({"alg":"RS256"})"),
          absl::StrCat(R"({"alg":"HS256","kid":")", rsa.Kid(), R"("})")}) {
      EXPECT_FALSE(Check(hmac.SignToken(header, "{}"), keys).ok()) << header;
    }
  }
}

TEST(CompactJwsKidTest, AKidChoosesAmongKeysThatHaveOne) {
  const SigningKey first = Value(SigningKey::Generate(TokenAlgorithm::kEs256));
  const SigningKey second = Value(SigningKey::Generate(TokenAlgorithm::kEs256));
  const auto member = [](const SigningKey& key) {
    const std::string text = key.KeySetText();
    return text.substr(text.find('[') + 1, text.rfind(']') - text.find('[') - 1);
  };
  const KeySet both =
      Value(KeySet::Parse(absl::StrCat(R"({"keys":[)", member(first), ",", member(second), "]}")));
  EXPECT_THAT(Check(first.SignToken("{}"), both), IsOk());
  EXPECT_THAT(Check(second.SignToken("{}"), both), IsOk());
  EXPECT_THAT(Check(second.SignToken(R"({"alg":"ES256"})", "{}"), both), IsOk());
  const std::string wrong = absl::StrCat(R"({"alg":"ES256","kid":")", first.Kid(), R"("})");
  EXPECT_THAT(Check(second.SignToken(wrong, "{}"), both),
              HasError(kInvalid, "signature is not right"));
  // A key from PEM has no name, so it fits any.
  const KeySet pem = Value(KeySet::Parse(first.PrivateText()));
  EXPECT_THAT(Check(first.SignToken(R"({"alg":"ES256","kid":"whatever"})", "{}"), pem), IsOk());
}

}  // namespace
}  // namespace agentdesk
