#include "core_service/base/key_set.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core_service/base/base64url.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "openssl/bn.h"
#include "openssl/evp.h"
#include "openssl/pem.h"
#include "tests/support/status_matchers.h"
#include "tools/signing_key.h"

namespace agentdesk {
namespace {

using ::testing::ElementsAre;
using testing::HasCode;
using testing::HasError;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::Value;
using tools::SigningKey;

// Of RFC 7515 appendix A.3.
constexpr char kX[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
constexpr char kY[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
constexpr char kSecret[] = R"("kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")";

std::string Ec(absl::string_view more = "") {
  return absl::StrCat(R"({"kty":"EC","crv":"P-256","x":")", kX, R"(","y":")", kY, R"(")", more,
                      "}");
}
std::string Rsa(absl::string_view n, absl::string_view e) {
  return absl::StrCat(R"({"kty":"RSA","n":")", EncodeBase64Url(n), R"(","e":")", EncodeBase64Url(e),
                      R"("})");
}
// An odd number of that many bits.
std::string Modulus(size_t bits) {
  std::string n(bits / 8, '\x55');
  n.front() = '\xC1';
  return n;
}
std::string Set(const std::vector<std::string>& keys) {
  std::string all;
  for (const std::string& key : keys) absl::StrAppend(&all, all.empty() ? "" : ",", key);
  return absl::StrCat(R"({"keys":[)", all, "]}");
}

TEST(KeySetTest, ReadsEachKindOfKey) {
  for (const TokenAlgorithm algorithm : {TokenAlgorithm::kRs256, TokenAlgorithm::kEs256,
                                         TokenAlgorithm::kEdDsa, TokenAlgorithm::kHs256}) {
    const SigningKey key = Value(SigningKey::Generate(algorithm));
    const KeySet set = Value(KeySet::Parse(key.KeySetText()));
    ASSERT_EQ(set.keys().size(), 1u);
    EXPECT_EQ(set.keys()[0].algorithm(), algorithm);
    EXPECT_EQ(set.keys()[0].kid(), key.Kid());
    EXPECT_THAT(set.remarks(), IsEmpty());
    EXPECT_TRUE(set.keys()[0].Verify("message", key.Sign("message")));
    EXPECT_FALSE(set.keys()[0].Verify("massage", key.Sign("message")));
  }
}

TEST(KeySetTest, ReadsPem) {
  const SigningKey ec = Value(SigningKey::Generate(TokenAlgorithm::kEs256));
  const SigningKey ed = Value(SigningKey::Generate(TokenAlgorithm::kEdDsa));
  // What stands outside of the blocks is a comment (RFC 7468 section 2).
  const KeySet set =
      Value(KeySet::Parse(absl::StrCat("Two keys\n", ec.PrivateText(), "\n", ed.PrivateText())));
  ASSERT_EQ(set.keys().size(), 2u);
  EXPECT_EQ(set.keys()[0].algorithm(), TokenAlgorithm::kEs256);
  EXPECT_EQ(set.keys()[1].algorithm(), TokenAlgorithm::kEdDsa);
  EXPECT_EQ(set.keys()[0].kid(), "");
  EXPECT_THAT(set.remarks(), ElementsAre(HasSubstr("key 1 has its private part"),
                                         HasSubstr("key 2 has its private part")));
}

std::string PublicPem(EVP_PKEY* key) {
  BIO* output = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(output, key);
  char* text = nullptr;
  const long size = BIO_get_mem_data(output, &text);
  std::string pem(text, static_cast<size_t>(size));
  BIO_free(output);
  EVP_PKEY_free(key);
  return pem;
}

TEST(KeySetTest, PemMustHoldKeysOfOurs) {
  const std::string good = PublicPem(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  EXPECT_THAT(KeySet::Parse(good), IsOk());
  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {PublicPem(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384")), "must be P-256"},
      {PublicPem(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp256k1")), "must be P-256"},
      {PublicPem(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448")), "must be RSA, EC or Ed25519"},
      {PublicPem(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519")), "must be RSA, EC or Ed25519"},
      {PublicPem(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{1024})), "this one has 1024"},
      {absl::StrCat(good, PublicPem(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"))), "key 2"},
      {absl::StrReplaceAll(good, {{"PUBLIC KEY", "CERTIFICATE"}}), "is no public key"},
      {absl::StrReplaceAll(good, {{"PUBLIC KEY", "RSA PUBLIC KEY"}}), "its bytes are no key"},
      {good.substr(0, good.size() / 2), "PEM"},
      {absl::StrReplaceAll(good, {{"\nM", "\n*"}}), "PEM"},
      {"", "has no usable key"},
      {"just words", "has no usable key"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_THAT(KeySet::Parse(text), HasError(absl::StatusCode::kInvalidArgument, error)) << text;
  }
}

TEST(KeySetTest, LeavesOutWhatIsForSomethingElse) {
  const KeySet set = Value(KeySet::Parse(Set(
      {R"({"kty":"RSA","use":"enc","n":"AQ","e":"AQ"})", R"({"kty":"EC","crv":"P-521"})",
       R"({"kty":"AKP","alg":"ML-DSA-44"})", Ec(R"(,"alg":"ES512")"), Ec(R"(,"key_ops":["sign"])"),
       R"({"kty":"OKP","crv":"X25519"})", Ec(R"(,"alg":"none")"), Ec(R"(,"alg":"HS256")"),
       Ec(R"(,"alg":"ES256","use":"sig","key_ops":["verify"],"kid":"good","x5t":[1])")})));
  ASSERT_EQ(set.keys().size(), 1u);
  EXPECT_EQ(set.keys()[0].kid(), "good");
  EXPECT_EQ(set.remarks().size(), 8u);
  EXPECT_THAT(KeySet::Parse(Set({Ec(R"(,"use":"enc")")})),
              HasError(absl::StatusCode::kInvalidArgument, "no usable key"));
}

TEST(KeySetTest, OfFetchedKeysEachStandsForItself) {
  const std::string secret = absl::StrCat("{", kSecret, "}");
  const KeySet set = Value(KeySet::ParseFetched(Set(
      {Ec(R"(,"kid":"a")"), secret, R"({"kty":"oct"})", R"({"kty":"EC","crv":"P-256"})", "7", "{}",
       Ec(R"(,"kid":"a")"), Ec(R"(,"kid":"")"), Ec(R"(,"use":"enc")"), Ec(R"(,"kid":"b")")})));
  ASSERT_EQ(set.keys().size(), 2u);
  EXPECT_EQ(set.keys()[0].kid(), "a");
  EXPECT_EQ(set.keys()[1].kid(), "b");
  EXPECT_EQ(set.remarks().size(), 8u);
  EXPECT_TRUE(set.MayBeOf("a"));
  EXPECT_TRUE(set.MayBeOf(""));
  EXPECT_FALSE(set.MayBeOf("c"));
  EXPECT_TRUE(Value(KeySet::Parse(Ec())).MayBeOf("c"));  // a key without a name fits any
  for (const std::string& text :
       {std::string("7"), std::string("{}"), Ec(), Set({}), Set({secret}),
        std::string(KeySet::kMaxBytes + 1, ' '), std::string(R"({"keys":[],"keys":[]})")}) {
    EXPECT_THAT(KeySet::ParseFetched(text), HasCode(absl::StatusCode::kInvalidArgument)) << text;
  }
}

TEST(KeySetTest, RefusesWhatIsMalformedOrWeak) {
  const std::string good_n = Modulus(2048);
  const std::string f4("\x01\x00\x01", 3);
  ASSERT_THAT(KeySet::Parse(Rsa(good_n, f4)), IsOk());
  ASSERT_THAT(KeySet::Parse(Rsa(Modulus(8192), "\x03")), IsOk());
  const std::string even_n = Modulus(2040) + "\x54";
  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {Rsa(Modulus(2040), f4), "must have 2048 to 8192 bits"},
      {Rsa(Modulus(1024), f4), "must have 2048 to 8192 bits"},
      {Rsa(Modulus(8200), f4), "must have 2048 to 8192 bits"},
      {Rsa(even_n, f4), "modulus of an RSA key must be odd"},
      {Rsa(good_n, "\x01"), "exponent"},
      {Rsa(good_n, "\x02"), "exponent"},
      {Rsa(good_n, std::string("\x01\x00", 2)), "exponent"},
      {Rsa(good_n, std::string(9, '\x11')), "exponent"},
      {Rsa(good_n, ""), "e: must be base64url"},
      {Rsa(good_n, std::string("\x00\x03", 2)), "zero byte"},
      {Rsa(absl::StrCat(std::string(1, '\0'), good_n), f4), "zero byte"},
      {R"({"kty":"RSA","e":"AQAB"})", "n: is missing"},
      {R"({"kty":"RSA","n":1,"e":"AQAB"})", "n: must be a string"},
      {R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})", "x: must have 32 bytes, has 1"},
      {absl::StrReplaceAll(Ec(), {{kX, EncodeBase64Url(std::string(33, '\1'))}}), "32 bytes"},
      {absl::StrReplaceAll(Ec(), {{kX, kY}}), "make no key"},  // not on the curve
      {absl::StrReplaceAll(Ec(), {{kX, EncodeBase64Url(std::string(32, '\0'))},
                                  {kY, EncodeBase64Url(std::string(32, '\0'))}}),
       "make no key"},
      {absl::StrReplaceAll(Ec(), {{kX, absl::StrCat(kX, "=")}}), "base64url"},
      {absl::StrReplaceAll(Ec(), {{R"("kty":"EC",)", ""}}), "kty: is missing"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"AQ"})", "x: must have 32 bytes"},
      {R"({"kty":"OKP","x":"AQ"})", "crv: is missing"},
      {R"({"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg"})", "32 to 4096 bytes"},
      {R"({"kty":"oct","k":""})", "k: must be base64url"},
      {Ec(R"(,"kid":"")"), "kid: must have 1 to"},
      {Ec(R"(,"kid":7)"), "kid: must be a string"},
      {Ec(R"(,"use":["sig"])"), "use: must be a string"},
      {Ec(R"(,"key_ops":"verify")"), "key_ops: must be an array"},
      {Ec(R"(,"key_ops":["verify","verify"])"), "names one twice"},
      {Ec(R"(,"alg":null)"), "alg: must be a string"},
      {Ec(R"(,"kty":"EC")"), "a name occurs twice"},
      {Set({Ec(R"(,"kid":"a")"), Ec(R"(,"kid":"a")")}), "key 2: another key has the same kid"},
      {Set({Ec(R"(,"kid":"a")"), R"({"kty":"AKP","kid":"a"})"}), "the same kid"},
      {Set({Ec(), absl::StrCat("{", kSecret, "}")}), "secrets beside public keys"},
      {Set({R"({"kty":"RSA","use":"enc"})", absl::StrCat("{", kSecret, "}")}),
       "secrets beside public keys"},
      {Set({}), "no usable key"},
      {Set({"7"}), "key 1: must be an object"},
      {R"({"keys":{}})", "keys: must be an array"},
      {R"({})", "kty: is missing"},
      {Ec() + "x", "not JSON"},
      {Set(std::vector<std::string>(KeySet::kMaxKeys + 1, Ec())), "has over 100 keys"},
      {std::string(KeySet::kMaxBytes + 1, ' '), "has more than"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_THAT(KeySet::Parse(text), HasError(absl::StatusCode::kInvalidArgument, error))
        << text.substr(0, 200);
  }
}

// A modulus of 2048 bits that is 65537^5 modulo every prime up to 167.
std::string RocaModulus() {
  BN_CTX* context = BN_CTX_new();
  BIGNUM* product = BN_new();
  BIGNUM* modulus = BN_new();
  BN_one(product);
  for (BN_ULONG number = 2; number <= 167; ++number) {
    BN_ULONG divisor = 2;
    while (number % divisor != 0) ++divisor;
    if (divisor == number) BN_mul_word(product, number);
  }
  BN_set_bit(modulus, 2047);
  BIGNUM* rest = BN_new();
  BN_mod(rest, modulus, product, context);
  BN_sub(modulus, modulus, rest);
  BN_add(modulus, modulus, product);
  BN_set_word(rest, 65537);
  for (int i = 1; i < 5; ++i) BN_mul_word(rest, 65537);
  BN_add(modulus, modulus, rest);
  std::string bytes(static_cast<size_t>(BN_num_bytes(modulus)), '\0');
  BN_bn2bin(modulus, reinterpret_cast<unsigned char*>(bytes.data()));
  for (BIGNUM* number : {product, modulus, rest}) BN_free(number);
  BN_CTX_free(context);
  return bytes;
}

TEST(KeySetTest, RefusesKeysThatCanBeFactored) {
  const std::string f4("\x01\x00\x01", 3);
  std::string modulus = RocaModulus();
  EXPECT_THAT(KeySet::Parse(Rsa(modulus, f4)),
              HasError(absl::StatusCode::kInvalidArgument, "can be factored"));
  modulus.back() = static_cast<char>(modulus.back() ^ 2);
  EXPECT_THAT(KeySet::Parse(Rsa(modulus, f4)), IsOk());
}

TEST(KeySetTest, SaysWhyAFileCannotBeRead) {
  EXPECT_THAT(ReadKeyFile("/nowhere/keys.json"),
              HasError(absl::StatusCode::kNotFound, "/nowhere/keys.json"));
  EXPECT_FALSE(ReadKeyFile("/").ok());
}

TEST(Base64UrlTest, HasOneTextForEachValue) {
  for (const std::string& bytes : {std::string(), std::string("f"), std::string("fo"),
                                   std::string("foo"), std::string("\xFB\xFF\x00", 3)}) {
    EXPECT_EQ(DecodeBase64Url(EncodeBase64Url(bytes)), bytes);
  }
  EXPECT_EQ(DecodeBase64Url("-_8"), std::string("\xFB\xFF"));
  for (const char* text : {"A", "AAAAA", "Zg==", "Zg=", "Zh", "Zm9=", "Zm8=", "Zm9", "+/8A", " Zg",
                           "Zg\n", "Z g", "Zg.", "\xC3\xA9"}) {
    EXPECT_EQ(DecodeBase64Url(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace agentdesk
