#include "core_service/base/key_set.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "boost/json/array.hpp"
#include "core_service/base/base64url.h"
#include "core_service/base/strict_json.h"
#include "openssl/bio.h"
#include "openssl/err.h"
#include "openssl/evp.h"
#include "openssl/pem.h"
#include "openssl/x509.h"

namespace agentdesk {
namespace {

namespace json = boost::json;

constexpr size_t kMaxKidBytes = 256;
constexpr size_t kP256Bytes = 32;
constexpr size_t kEd25519Bytes = 32;

absl::Status Malformed(absl::string_view what) { return absl::InvalidArgumentError(what); }
// A key that is good for something else than what we do.
absl::Status NotForUs(absl::string_view what) { return absl::UnimplementedError(what); }

absl::Status At(absl::string_view where, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(where, ": ", status.message()));
}

// The bytes that a member of a JWK holds.
absl::StatusOr<std::string> BytesOf(const json::object& jwk, const char* name) {
  const absl::StatusOr<std::optional<std::string>> text = StringField(jwk, name);
  if (!text.ok()) return text.status();
  if (!text->has_value()) return Malformed(absl::StrCat(name, ": is missing"));
  std::optional<std::string> bytes = DecodeBase64Url(**text);
  if (!bytes.has_value() || bytes->empty()) {
    return Malformed(absl::StrCat(name, ": must be base64url without padding, and not empty"));
  }
  return *std::move(bytes);
}

// A whole number over 0, in as few bytes as it needs (RFC 7518 section 2).
absl::StatusOr<std::string> NumberOf(const json::object& jwk, const char* name) {
  absl::StatusOr<std::string> bytes = BytesOf(jwk, name);
  if (bytes.ok() && bytes->front() == '\0') {
    return Malformed(absl::StrCat(name, ": must not begin with a zero byte"));
  }
  return bytes;
}

absl::StatusOr<std::string> CoordinateOf(const json::object& jwk, const char* name, size_t size) {
  absl::StatusOr<std::string> bytes = BytesOf(jwk, name);
  if (bytes.ok() && bytes->size() != size) {
    return Malformed(absl::StrCat(name, ": must have ", size, " bytes, has ", bytes->size()));
  }
  return bytes;
}

absl::StatusOr<std::string> RequiredString(const json::object& jwk, const char* name) {
  absl::StatusOr<std::optional<std::string>> text = StringField(jwk, name);
  if (!text.ok()) return text.status();
  if (!text->has_value()) return Malformed(absl::StrCat(name, ": is missing"));
  return **std::move(text);
}

absl::StatusOr<VerificationKey> WithPublicKey(PublicKey key, std::string kid) {
  if (key == nullptr) return Malformed("its numbers make no key of its type");
  return VerificationKey::FromPublicKey(std::move(key), std::move(kid));
}

absl::StatusOr<VerificationKey> RsaKey(const json::object& jwk, std::string kid) {
  const absl::StatusOr<std::string> n = NumberOf(jwk, "n");
  if (!n.ok()) return n.status();
  const absl::StatusOr<std::string> e = NumberOf(jwk, "e");
  if (!e.ok()) return e.status();
  return WithPublicKey(RsaPublicKey(*n, *e), std::move(kid));
}

absl::StatusOr<VerificationKey> EcKey(const json::object& jwk, std::string kid) {
  const absl::StatusOr<std::string> curve = RequiredString(jwk, "crv");
  if (!curve.ok()) return curve.status();
  if (*curve != "P-256") return NotForUs("its curve is not P-256");
  const absl::StatusOr<std::string> x = CoordinateOf(jwk, "x", kP256Bytes);
  if (!x.ok()) return x.status();
  const absl::StatusOr<std::string> y = CoordinateOf(jwk, "y", kP256Bytes);
  if (!y.ok()) return y.status();
  return WithPublicKey(P256PublicKey(*x, *y), std::move(kid));
}

absl::StatusOr<VerificationKey> EdKey(const json::object& jwk, std::string kid) {
  const absl::StatusOr<std::string> curve = RequiredString(jwk, "crv");
  if (!curve.ok()) return curve.status();
  if (*curve != "Ed25519") return NotForUs("its curve is not Ed25519");
  const absl::StatusOr<std::string> x = CoordinateOf(jwk, "x", kEd25519Bytes);
  if (!x.ok()) return x.status();
  return WithPublicKey(Ed25519PublicKey(*x), std::move(kid));
}

absl::StatusOr<VerificationKey> SecretKey(const json::object& jwk, std::string kid) {
  absl::StatusOr<std::string> secret = BytesOf(jwk, "k");
  if (!secret.ok()) return secret.status();
  return VerificationKey::FromSecret(*std::move(secret), std::move(kid));
}

struct KeyType {
  const char* kty;
  TokenAlgorithm algorithm;
  absl::StatusOr<VerificationKey> (*read)(const json::object& jwk, std::string kid);
};
constexpr KeyType kKeyTypes[] = {{"RSA", TokenAlgorithm::kRs256, RsaKey},
                                 {"EC", TokenAlgorithm::kEs256, EcKey},
                                 {"OKP", TokenAlgorithm::kEdDsa, EdKey},
                                 {"oct", TokenAlgorithm::kHs256, SecretKey}};

// RFC 7517 sections 4.2 to 4.4: what a key says that it is for.
absl::Status CheckPurpose(const json::object& jwk, TokenAlgorithm algorithm) {
  const auto use = StringField(jwk, "use");
  if (!use.ok()) return use.status();
  const auto operations = StringsField(jwk, "key_ops", /*or_one=*/false);
  if (!operations.ok()) return operations.status();
  const auto named = StringField(jwk, "alg");
  if (!named.ok()) return named.status();
  if (operations->has_value()) {
    const std::set<std::string> distinct((*operations)->begin(), (*operations)->end());
    if (distinct.size() != (*operations)->size()) return Malformed("key_ops: names one twice");
    if (!distinct.contains("verify")) return NotForUs("its key_ops do not have `verify`");
  }
  if (use->has_value() && **use != "sig") return NotForUs("its use is not `sig`");
  if (named->has_value() && **named != AlgorithmName(algorithm)) {
    return NotForUs(absl::StrCat("its alg is not ", AlgorithmName(algorithm)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> KidOf(const json::object& jwk) {
  absl::StatusOr<std::optional<std::string>> kid = StringField(jwk, "kid");
  if (!kid.ok()) return kid.status();
  if (!kid->has_value()) return "";
  if ((*kid)->empty() || (*kid)->size() > kMaxKidBytes) {
    return Malformed(absl::StrCat("kid: must have 1 to ", kMaxKidBytes, " bytes"));
  }
  return **std::move(kid);
}

absl::StatusOr<VerificationKey> ReadJwk(const json::object& jwk, const std::string& kty,
                                        std::string kid) {
  for (const KeyType& type : kKeyTypes) {
    if (kty != type.kty) continue;
    if (absl::Status status = CheckPurpose(jwk, type.algorithm); !status.ok()) return status;
    return type.read(jwk, std::move(kid));
  }
  return NotForUs("its kty is not RSA, EC, OKP or oct");
}

// What a set of keys adds up to.
struct Keys {
  std::vector<VerificationKey> usable;
  std::vector<std::string> remarks;
  std::set<std::string> kids;
  bool secrets = false;
  bool others = false;
};

absl::Status AddJwk(const json::value& value, absl::string_view where, Keys& keys) {
  if (!value.is_object()) return At(where, Malformed("must be an object"));
  const json::object& jwk = value.get_object();
  const absl::StatusOr<std::string> kty = RequiredString(jwk, "kty");
  if (!kty.ok()) return At(where, kty.status());
  const absl::StatusOr<std::string> kid = KidOf(jwk);
  if (!kid.ok()) return At(where, kid.status());
  if (!kid->empty() && !keys.kids.insert(*kid).second) {
    return At(where, Malformed("another key has the same kid"));
  }
  (*kty == "oct" ? keys.secrets : keys.others) = true;
  absl::StatusOr<VerificationKey> key = ReadJwk(jwk, *kty, *kid);
  if (absl::IsUnimplemented(key.status())) {
    keys.remarks.push_back(absl::StrCat(where, " is left out: ", key.status().message()));
    return absl::OkStatus();
  }
  if (!key.ok()) return At(where, key.status());
  if (jwk.contains("d")) keys.remarks.push_back(absl::StrCat(where, " has its private part too"));
  keys.usable.push_back(*std::move(key));
  return absl::OkStatus();
}

absl::Status AddFetched(const json::value& value, const std::string& where, Keys& keys) {
  const json::object* const jwk = value.if_object();
  const json::value* const kty = jwk == nullptr ? nullptr : jwk->if_contains("kty");
  if (kty != nullptr && kty->is_string() && kty->get_string() == "oct")
    return At(where, Malformed("a secret is not published"));
  return AddJwk(value, where, keys);
}

absl::Status ReadFetched(absl::string_view text, Keys& keys) {
  const absl::StatusOr<json::object> document = ParseStrictObject(text);
  if (!document.ok()) return document.status();
  const json::value* const set = document->if_contains("keys");
  if (set == nullptr || !set->is_array()) return Malformed("keys: must be an array");
  int number = 0;
  for (const json::value& jwk : set->get_array()) {
    const absl::Status status = AddFetched(jwk, absl::StrCat("key ", ++number), keys);
    if (!status.ok()) keys.remarks.push_back(absl::StrCat(status.message(), "; it is left out"));
  }
  return absl::OkStatus();
}

absl::Status ReadJwks(absl::string_view text, Keys& keys) {
  const absl::StatusOr<json::object> document = ParseStrictObject(text);
  if (!document.ok()) return document.status();
  const json::value* set = document->if_contains("keys");
  if (set == nullptr) return AddJwk(*document, "the key", keys);
  if (!set->is_array()) return Malformed("keys: must be an array");
  int number = 0;
  for (const json::value& jwk : set->get_array()) {
    absl::Status status = AddJwk(jwk, absl::StrCat("key ", ++number), keys);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

struct PemBlock {
  std::string name;
  std::string der;
};

// The next block of a PEM text; nothing where there is none. InvalidArgument where it is malformed.
absl::StatusOr<std::optional<PemBlock>> NextBlock(BIO* text) {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (PEM_read_bio(text, &name, &header, &data, &size) != 1) {
    const unsigned long error = ERR_peek_last_error();
    ERR_clear_error();
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
      return std::nullopt;
    }
    return Malformed("it is not well-formed PEM");
  }
  const bool encrypted = header[0] != '\0';
  PemBlock block = {name, std::string(reinterpret_cast<char*>(data), static_cast<size_t>(size))};
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_clear_free(data, static_cast<size_t>(size));
  if (encrypted) return Malformed("it is encrypted");
  return block;
}

absl::StatusOr<VerificationKey> ReadBlock(const PemBlock& block) {
  const auto* at = reinterpret_cast<const unsigned char*>(block.der.data());
  const auto* const end = at + block.der.size();
  const auto size = static_cast<long>(block.der.size());
  EVP_PKEY* key = nullptr;
  if (block.name == "PUBLIC KEY") {
    key = d2i_PUBKEY(nullptr, &at, size);
  } else if (block.name == "RSA PUBLIC KEY") {
    key = d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, size);
  } else if (block.name == "PRIVATE KEY" || block.name == "RSA PRIVATE KEY" ||
             block.name == "EC PRIVATE KEY") {
    key = d2i_AutoPrivateKey(nullptr, &at, size);
  } else {
    return Malformed(absl::StrCat("`", block.name, "` is no public key"));
  }
  ERR_clear_error();
  PublicKey owned(key);
  if (key == nullptr || at != end) return Malformed("its bytes are no key");
  absl::StatusOr<VerificationKey> read = VerificationKey::FromPublicKey(std::move(owned), "");
  // Somebody put just this key into the file, so that it is of no use is an error.
  if (absl::IsUnimplemented(read.status())) return Malformed(read.status().message());
  return read;
}

absl::Status ReadPem(absl::string_view text, Keys& keys) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> input(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
  while (keys.usable.size() <= KeySet::kMaxKeys) {
    const std::string where = absl::StrCat("key ", keys.usable.size() + 1);
    const absl::StatusOr<std::optional<PemBlock>> block = NextBlock(input.get());
    if (!block.ok()) return At(where, block.status());
    if (!block->has_value()) break;
    if ((*block)->name == "EC PARAMETERS")
      continue;  // the name of the curve, which the key has too
    absl::StatusOr<VerificationKey> key = ReadBlock(**block);
    if (!key.ok()) return At(where, key.status());
    if (absl::StrContains((*block)->name, "PRIVATE")) {
      keys.remarks.push_back(absl::StrCat(where, " has its private part too"));
    }
    keys.usable.push_back(*std::move(key));
  }
  return absl::OkStatus();
}

absl::Status CheckSize(absl::string_view text) {
  if (text.size() <= KeySet::kMaxBytes) return absl::OkStatus();
  return Malformed(absl::StrCat("has more than ", KeySet::kMaxBytes, " bytes"));
}

absl::Status CheckKeys(const Keys& keys) {
  if (keys.secrets && keys.others) {
    return Malformed("has secrets beside public keys: what is meant to be public could sign");
  }
  if (keys.usable.size() > KeySet::kMaxKeys) {
    return Malformed(absl::StrCat("has over ", KeySet::kMaxKeys, " keys"));
  }
  if (!keys.usable.empty()) return absl::OkStatus();
  return Malformed(absl::StrCat("has no usable key in PEM or JWK form",
                                keys.remarks.empty() ? "" : ": ",
                                absl::StrJoin(keys.remarks, "; ")));
}

}  // namespace

absl::StatusOr<KeySet> KeySet::Parse(absl::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  Keys keys;
  absl::Status status = CheckSize(text);
  if (status.ok()) {
    status = begin != text.npos && text[begin] == '{' ? ReadJwks(text, keys) : ReadPem(text, keys);
  }
  if (status.ok()) status = CheckKeys(keys);
  if (!status.ok()) return status;
  return KeySet(std::move(keys.usable), std::move(keys.remarks));
}

absl::StatusOr<KeySet> KeySet::ParseFetched(absl::string_view text) {
  Keys keys;
  absl::Status status = CheckSize(text);
  if (status.ok()) status = ReadFetched(text, keys);
  if (status.ok()) status = CheckKeys(keys);
  if (!status.ok()) return status;
  return KeySet(std::move(keys.usable), std::move(keys.remarks));
}

bool KeySet::MayBeOf(absl::string_view kid) const {
  return kid.empty() || std::any_of(keys_.begin(), keys_.end(), [&](const VerificationKey& key) {
           return key.kid().empty() || key.kid() == kid;
         });
}

absl::StatusOr<std::string> ReadKeyFile(const std::string& path) {
  const std::unique_ptr<std::FILE, decltype(&std::fclose)> file(std::fopen(path.c_str(), "rbe"),
                                                                std::fclose);
  if (file == nullptr) return absl::ErrnoToStatus(errno, path);
  std::string text(KeySet::kMaxBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return absl::ErrnoToStatus(errno, path);
  if (text.size() > KeySet::kMaxBytes) {
    return Malformed(absl::StrCat(path, ": has more than ", KeySet::kMaxBytes, " bytes"));
  }
  return text;
}

}  // namespace agentdesk
