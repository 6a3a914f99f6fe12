#include "tools/signing_key.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "core_service/base/base64url.h"
#include "core_service/base/strict_json.h"
#include "openssl/bio.h"
#include "openssl/bn.h"
#include "openssl/core_names.h"
#include "openssl/ec.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "openssl/pem.h"
#include "openssl/rand.h"
#include "openssl/sha.h"

namespace agentdesk::tools {
namespace {

constexpr size_t kRsaBits = 2048;
constexpr size_t kSecretBytes = 32;
constexpr int kP256Bytes = 32;

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

std::string NumberOf(EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  std::string bytes(static_cast<size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, Bytes(bytes));
  BN_free(number);
  return EncodeBase64Url(bytes);
}

std::string CoordinateOf(EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  std::string bytes(kP256Bytes, '\0');
  BN_bn2binpad(number, Bytes(bytes), kP256Bytes);
  BN_free(number);
  return EncodeBase64Url(bytes);
}

// R and S of fixed size (RFC 7518 section 3.4) for OpenSSL's DER.
std::string FixedSize(absl::string_view der) {
  const unsigned char* at = Bytes(der);
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> parts(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
  std::string signature(2 * kP256Bytes, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), Bytes(signature), kP256Bytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), Bytes(signature) + kP256Bytes, kP256Bytes);
  return signature;
}

}  // namespace

SigningKey::SigningKey(TokenAlgorithm algorithm, PublicKey key, std::string secret)
    : algorithm_(algorithm), key_(std::move(key)), secret_(std::move(secret)) {}

absl::StatusOr<SigningKey> SigningKey::Generate(TokenAlgorithm algorithm) {
  PublicKey key;
  std::string secret;
  switch (algorithm) {
    case TokenAlgorithm::kRs256:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", kRsaBits));
      break;
    case TokenAlgorithm::kEs256:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
      break;
    case TokenAlgorithm::kEdDsa:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
      break;
    case TokenAlgorithm::kHs256:
      secret.resize(kSecretBytes);
      if (RAND_bytes(Bytes(secret), static_cast<int>(secret.size())) != 1) secret.clear();
      break;
  }
  if (key == nullptr && secret.empty()) return absl::InternalError("OpenSSL could not make a key");
  return SigningKey(algorithm, std::move(key), std::move(secret));
}

absl::StatusOr<SigningKey> SigningKey::Parse(absl::string_view text) {
  if (const auto set = ParseStrictObject(text); set.ok()) {
    const boost::json::value* keys = set->if_contains("keys");
    if (keys != nullptr && keys->is_array() && keys->get_array().size() == 1 &&
        keys->get_array()[0].is_object()) {
      const auto secret = StringField(keys->get_array()[0].get_object(), "k");
      auto bytes = DecodeBase64Url(secret.ok() ? secret->value_or("") : "");
      if (bytes.has_value() && !bytes->empty()) {
        return SigningKey(TokenAlgorithm::kHs256, nullptr, *std::move(bytes));
      }
    }
    return absl::InvalidArgumentError("has no secret to sign with");
  }
  const std::unique_ptr<BIO, decltype(&BIO_free)> input(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
  // The callback stands for a passphrase that nobody is asked for.
  PublicKey key(PEM_read_bio_PrivateKey(
      input.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr));
  if (key == nullptr)
    return absl::InvalidArgumentError("is no private key in PEM, without password");
  // Whether it is one of ours is for the reader of public keys to say.
  EVP_PKEY_up_ref(key.get());
  const auto checked = VerificationKey::FromPublicKey(PublicKey(key.get()), "");
  if (!checked.ok()) return checked.status();
  return SigningKey(checked->algorithm(), std::move(key), "");
}

std::string SigningKey::RequiredMembers() const {
  switch (algorithm_) {
    case TokenAlgorithm::kRs256:
      return absl::StrCat(R"("e":")", NumberOf(key_.get(), OSSL_PKEY_PARAM_RSA_E),
                          R"(","kty":"RSA","n":")", NumberOf(key_.get(), OSSL_PKEY_PARAM_RSA_N),
                          R"(")");
    case TokenAlgorithm::kEs256:
      return absl::StrCat(R"("crv":"P-256","kty":"EC","x":")",
                          CoordinateOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X), R"(","y":")",
                          CoordinateOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y), R"(")");
    case TokenAlgorithm::kEdDsa: {
      std::string x(32, '\0');
      size_t size = x.size();
      EVP_PKEY_get_raw_public_key(key_.get(), Bytes(x), &size);
      return absl::StrCat(R"("crv":"Ed25519","kty":"OKP","x":")", EncodeBase64Url(x), R"(")");
    }
    case TokenAlgorithm::kHs256:
      return absl::StrCat(R"("k":")", EncodeBase64Url(secret_), R"(","kty":"oct")");
  }
  return "";
}

std::string SigningKey::Kid() const {
  const std::string members = absl::StrCat("{", RequiredMembers(), "}");
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(Bytes(absl::string_view(members)), members.size(), Bytes(hash));
  return EncodeBase64Url(hash);
}

std::string SigningKey::PrivateText() const {
  if (key_ == nullptr) return KeySetText();
  const std::unique_ptr<BIO, decltype(&BIO_free)> output(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PKCS8PrivateKey(output.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(output.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

std::string SigningKey::KeySetText() const {
  return absl::StrCat(R"({"keys":[{)", RequiredMembers(), R"(,"kid":")", Kid(), R"(","alg":")",
                      AlgorithmName(algorithm_), R"(","use":"sig"}]})", "\n");
}

std::string SigningKey::Sign(absl::string_view message) const {
  std::string signature(EVP_MAX_MD_SIZE, '\0');
  if (key_ == nullptr) {
    unsigned int size = 0;
    HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), Bytes(message),
         message.size(), Bytes(signature), &size);
    signature.resize(size);
    return signature;
  }
  signature.resize(static_cast<size_t>(EVP_PKEY_get_size(key_.get())));
  size_t size = signature.size();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  const EVP_MD* digest = algorithm_ == TokenAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  if (EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), Bytes(signature), &size, Bytes(message), message.size()) != 1) {
    return "";
  }
  signature.resize(size);
  return algorithm_ == TokenAlgorithm::kEs256 ? FixedSize(signature) : signature;
}

std::string SigningKey::SignToken(absl::string_view header, absl::string_view claims) const {
  const std::string input = absl::StrCat(EncodeBase64Url(header), ".", EncodeBase64Url(claims));
  return absl::StrCat(input, ".", EncodeBase64Url(Sign(input)));
}

std::string SigningKey::SignToken(absl::string_view claims) const {
  return SignToken(absl::StrCat(R"({"alg":")", AlgorithmName(algorithm_), R"(","kid":")", Kid(),
                                R"(","typ":"JWT"})"),
                   claims);
}

}  // namespace agentdesk::tools
