#include "core_service/base/compact_jws.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core_service/base/base64url.h"
#include "core_service/base/strict_json.h"

namespace agentdesk {
namespace {

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

}  // namespace

std::string Quoted(absl::string_view text) {
  constexpr size_t kShown = 80;
  return absl::StrCat("`", absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "..." : "", "`");
}

absl::StatusOr<CompactJws> CompactJws::Parse(absl::string_view token) {
  if (token.size() > kMaxBytes) {
    return Wrong(absl::StrCat("it has more than ", kMaxBytes, " bytes"));
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  if (parts.size() != 3) {
    return Wrong(absl::StrCat("it must have 3 parts with dots between, it has ", parts.size()));
  }
  const std::optional<std::string> header = DecodeBase64Url(parts[0]);
  std::optional<std::string> payload = DecodeBase64Url(parts[1]);
  std::optional<std::string> signature = DecodeBase64Url(parts[2]);
  if (!header.has_value()) return Wrong("its header is not base64url without padding");
  if (!payload.has_value()) return Wrong("its payload is not base64url without padding");
  if (!signature.has_value()) return Wrong("its signature is not base64url without padding");
  CompactJws jws;
  if (absl::Status status = jws.ReadHeader(*header); !status.ok()) {
    return Wrong(absl::StrCat("its header: ", status.message()));
  }
  jws.payload_ = *std::move(payload);
  jws.signature_ = *std::move(signature);
  jws.signing_input_ = std::string(token.substr(0, token.rfind('.')));
  return jws;
}

absl::Status CompactJws::ReadHeader(absl::string_view json) {
  const absl::StatusOr<boost::json::object> header = ParseStrictObject(json);
  if (!header.ok()) return header.status();
  // RFC 7515 section 4.1.11: who does not understand a critical extension must refuse. We know
  // none.
  for (const char* name : {"crit", "b64"}) {
    if (header->contains(name)) return Wrong(absl::StrCat(name, ": is not supported"));
  }
  const std::pair<const char*, std::string*> fields[] = {
      {"alg", &algorithm_}, {"typ", &type_}, {"kid", &kid_}};
  for (const auto& [name, to] : fields) {
    absl::StatusOr<std::optional<std::string>> value = StringField(*header, name);
    if (!value.ok()) return value.status();
    if (!value->has_value()) continue;
    if ((*value)->empty()) return Wrong(absl::StrCat(name, ": must not be empty"));
    *to = **std::move(value);
  }
  if (algorithm_.empty()) return Wrong("alg: is missing");
  return absl::OkStatus();
}

absl::Status CompactJws::CheckSignature(const KeySet& keys,
                                        const std::vector<TokenAlgorithm>& algorithms) const {
  bool known_kid = false;
  bool right_algorithm = false;
  for (const VerificationKey& key : keys.keys()) {
    if (!kid_.empty() && !key.kid().empty() && key.kid() != kid_) continue;
    known_kid = true;
    if (AlgorithmName(key.algorithm()) != algorithm_) continue;
    if (std::find(algorithms.begin(), algorithms.end(), key.algorithm()) == algorithms.end()) {
      continue;
    }
    right_algorithm = true;
    if (key.Verify(signing_input_, signature_)) return absl::OkStatus();
  }
  if (!known_kid) return Wrong(absl::StrCat("no key has its kid ", Quoted(kid_)));
  if (!right_algorithm) {
    return Wrong(absl::StrCat("its alg ", Quoted(algorithm_), " is not what its key is for"));
  }
  return Wrong("its signature is not right");
}

}  // namespace agentdesk
