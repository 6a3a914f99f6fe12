#include "core_service/base/verification_key.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "openssl/bn.h"
#include "openssl/core_names.h"
#include "openssl/crypto.h"
#include "openssl/ec.h"
#include "openssl/err.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "openssl/param_build.h"
#include "openssl/sha.h"

namespace agentdesk {
namespace {

constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
// What a check costs grows with the exponent; nearly all keys have 65537.
constexpr int kMaxRsaExponentBits = 64;
constexpr size_t kMinSecretBytes = SHA256_DIGEST_LENGTH;  // RFC 7518 section 3.2
constexpr size_t kMaxSecretBytes = 4096;
constexpr size_t kP256Bytes = 32;
constexpr size_t kEd25519SignatureBytes = 64;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <typename T, auto Free>
using Owned = std::unique_ptr<T, Freer<Free>>;
using Number = Owned<BIGNUM, BN_free>;
using Context = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using Builder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;

// OpenSSL's errors queue up in the thread; what is reported here is said in words instead.
struct ErrorQueue {
  ~ErrorQueue() { ERR_clear_error(); }
};

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Number ToNumber(absl::string_view bytes) {
  return Number(BN_bin2bn(Bytes(bytes), static_cast<int>(bytes.size()), nullptr));
}

PublicKey Build(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const Context context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return PublicKey(key);
}

// Whether the modulus was made by a library whose keys can be factored (CVE-2017-15361): modulo
// each small prime it is then a power of 65537, as of other moduli less than one in 100 million is.
bool IsRoca(const BIGNUM* modulus) {
  constexpr BN_ULONG kPrimes[] = {3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
                                  47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
                                  107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};
  return std::all_of(std::begin(kPrimes), std::end(kPrimes), [&](BN_ULONG prime) {
    const BN_ULONG rest = BN_mod_word(modulus, prime);
    BN_ULONG power = 1;
    do {
      if (power == rest) return true;
      power = power * 65537 % prime;
    } while (power != 1);
    return false;
  });
}

absl::Status CheckRsa(EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < kMinRsaBits || bits > kMaxRsaBits) {
    return absl::InvalidArgumentError(absl::StrCat("an RSA key must have ", kMinRsaBits, " to ",
                                                   kMaxRsaBits, " bits, this one has ", bits));
  }
  BIGNUM* modulus_read = nullptr;
  BIGNUM* exponent_read = nullptr;
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus_read);
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent_read);
  const Number modulus(modulus_read);
  const Number exponent(exponent_read);
  if (modulus == nullptr || BN_is_odd(modulus.get()) == 0) {
    return absl::InvalidArgumentError("the modulus of an RSA key must be odd");
  }
  if (IsRoca(modulus.get())) {
    return absl::InvalidArgumentError("the RSA key is one that can be factored (ROCA)");
  }
  if (exponent == nullptr || BN_is_odd(exponent.get()) == 0 || BN_is_one(exponent.get()) != 0 ||
      BN_num_bits(exponent.get()) > kMaxRsaExponentBits) {
    return absl::InvalidArgumentError(
        absl::StrCat("the exponent of an RSA key must be odd, over 1 and have at most ",
                     kMaxRsaExponentBits, " bits"));
  }
  return absl::OkStatus();
}

absl::Status CheckEc(EVP_PKEY* key) {
  char curve[64] = {};
  EVP_PKEY_get_group_name(key, curve, sizeof(curve), nullptr);
  if (absl::string_view(curve) != SN_X9_62_prime256v1) {
    return absl::UnimplementedError(absl::StrCat("the curve of an EC key must be P-256"));
  }
  // A curve spelled out in the key may differ from the one that it looks like (CVE-2020-0601).
  int spelled_out = 0;
  EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled_out);
  if (spelled_out != 0) {
    return absl::InvalidArgumentError("an EC key must name its curve and not spell it out");
  }
  const Context context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (context == nullptr || EVP_PKEY_public_check(context.get()) != 1) {
    return absl::InvalidArgumentError("the point of an EC key must be on its curve");
  }
  return absl::OkStatus();
}

// The DER form of an ECDSA signature that RFC 7518 section 3.4 writes as R and S of fixed size;
// empty where it has another size.
std::string DerSignature(absl::string_view signature) {
  if (signature.size() != 2 * kP256Bytes) return "";
  Number r = ToNumber(signature.substr(0, kP256Bytes));
  Number s = ToNumber(signature.substr(kP256Bytes));
  const Owned<ECDSA_SIG, ECDSA_SIG_free> parts(ECDSA_SIG_new());
  if (r == nullptr || s == nullptr || parts == nullptr) return "";
  ECDSA_SIG_set0(parts.get(), r.release(), s.release());
  std::string der(static_cast<size_t>(std::max(0, i2d_ECDSA_SIG(parts.get(), nullptr))), '\0');
  auto* to = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(parts.get(), &to);
  return der;
}

bool VerifyDigest(EVP_PKEY* key, const EVP_MD* digest, absl::string_view message,
                  absl::string_view signature) {
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  return context != nullptr &&
         EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(message),
                          message.size()) == 1;
}

bool VerifyHmac(absl::string_view secret, absl::string_view message, absl::string_view signature) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  return HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), Bytes(message),
              message.size(), mac, &size) != nullptr &&
         size == signature.size() && CRYPTO_memcmp(mac, signature.data(), size) == 0;
}

}  // namespace

absl::string_view AlgorithmName(TokenAlgorithm algorithm) {
  switch (algorithm) {
    case TokenAlgorithm::kRs256:
      return "RS256";
    case TokenAlgorithm::kEs256:
      return "ES256";
    case TokenAlgorithm::kEdDsa:
      return "EdDSA";
    case TokenAlgorithm::kHs256:
      return "HS256";
  }
  return "";
}

std::optional<TokenAlgorithm> ParseAlgorithm(absl::string_view name) {
  for (const TokenAlgorithm algorithm : {TokenAlgorithm::kRs256, TokenAlgorithm::kEs256,
                                         TokenAlgorithm::kEdDsa, TokenAlgorithm::kHs256}) {
    if (name == AlgorithmName(algorithm)) return algorithm;
  }
  return std::nullopt;
}

void FreePublicKey::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

VerificationKey::VerificationKey(TokenAlgorithm algorithm, PublicKey key, std::string secret,
                                 std::string kid)
    : algorithm_(algorithm),
      key_(std::move(key)),
      secret_(std::move(secret)),
      kid_(std::move(kid)) {}

absl::StatusOr<VerificationKey> VerificationKey::FromPublicKey(PublicKey key, std::string kid) {
  const ErrorQueue errors;
  absl::Status status;
  TokenAlgorithm algorithm = TokenAlgorithm::kEdDsa;
  if (EVP_PKEY_is_a(key.get(), "RSA") == 1) {
    algorithm = TokenAlgorithm::kRs256;
    status = CheckRsa(key.get());
  } else if (EVP_PKEY_is_a(key.get(), "EC") == 1) {
    algorithm = TokenAlgorithm::kEs256;
    status = CheckEc(key.get());
  } else if (EVP_PKEY_is_a(key.get(), "ED25519") != 1) {
    status = absl::UnimplementedError("a key must be RSA, EC or Ed25519");
  }
  if (!status.ok()) return status;
  return VerificationKey(algorithm, std::move(key), "", std::move(kid));
}

absl::StatusOr<VerificationKey> VerificationKey::FromSecret(std::string secret, std::string kid) {
  if (secret.size() < kMinSecretBytes || secret.size() > kMaxSecretBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a secret must have ", kMinSecretBytes, " to ",
                                                   kMaxSecretBytes, " bytes, this one has ",
                                                   secret.size()));
  }
  return VerificationKey(TokenAlgorithm::kHs256, nullptr, std::move(secret), std::move(kid));
}

bool VerificationKey::Verify(absl::string_view message, absl::string_view signature) const {
  const ErrorQueue errors;
  switch (algorithm_) {
    case TokenAlgorithm::kRs256:
      return signature.size() == static_cast<size_t>(EVP_PKEY_get_size(key_.get())) &&
             VerifyDigest(key_.get(), EVP_sha256(), message, signature);
    case TokenAlgorithm::kEs256: {
      const std::string der = DerSignature(signature);
      return !der.empty() && VerifyDigest(key_.get(), EVP_sha256(), message, der);
    }
    case TokenAlgorithm::kEdDsa:
      return signature.size() == kEd25519SignatureBytes &&
             VerifyDigest(key_.get(), nullptr, message, signature);
    case TokenAlgorithm::kHs256:
      return VerifyHmac(secret_, message, signature);
  }
  return false;
}

PublicKey RsaPublicKey(absl::string_view modulus, absl::string_view exponent) {
  const ErrorQueue errors;
  const Number n = ToNumber(modulus);
  const Number e = ToNumber(exponent);
  const Builder builder(OSSL_PARAM_BLD_new());
  if (n == nullptr || e == nullptr || builder == nullptr ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  return Build("RSA", builder.get());
}

PublicKey P256PublicKey(absl::string_view x, absl::string_view y) {
  const ErrorQueue errors;
  if (x.size() != kP256Bytes || y.size() != kP256Bytes) return nullptr;
  const std::string point = absl::StrCat("\x04", x, y);  // uncompressed, SEC 1 section 2.3.3
  const Builder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                      SN_X9_62_prime256v1, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  return Build("EC", builder.get());
}

PublicKey Ed25519PublicKey(absl::string_view x) {
  const ErrorQueue errors;
  return PublicKey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(x), x.size()));
}

}  // namespace agentdesk
