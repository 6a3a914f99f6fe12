#include "core_service/base/identity.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "boost/json/serialize.hpp"
#include "boost/json/value_from.hpp"
#include "core_service/base/base64url.h"
#include "core_service/base/strict_json.h"
#include "core_service/base/utf8.h"

namespace agentdesk {
namespace {

namespace json = boost::json;

constexpr int kMaxNameCharacters = 200;
constexpr size_t kMaxEncodedBytes = 16 * 1024;  // no more than the token that it comes from
constexpr double kMaxMillis = 253402300799999;  // the end of the year 9999

}  // namespace

std::string IdentityKey(const Identity& identity) {
  // No name holds the character between.
  return identity.tenant.empty() ? identity.subject
                                 : absl::StrCat(identity.tenant, "\x1f", identity.subject);
}

absl::Status CheckIdentityName(absl::string_view field, absl::string_view name) {
  int characters = 0;
  for (absl::string_view rest = name; !rest.empty(); ++characters) {
    const std::optional<char32_t> character = TakeCharacter(rest);
    if (!character.has_value() || *character < 0x20 || (*character >= 0x7F && *character < 0xA0)) {
      return absl::InvalidArgumentError(absl::StrCat(field, ": must have no control characters"));
    }
  }
  if (characters < 1 || characters > kMaxNameCharacters) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": must have 1 to ", kMaxNameCharacters, " characters"));
  }
  return absl::OkStatus();
}

std::string EncodeIdentity(const Identity& identity) {
  json::object object;
  if (!identity.issuer.empty()) object["iss"] = identity.issuer;
  object["sub"] = identity.subject;
  if (!identity.tenant.empty()) object["tenant"] = identity.tenant;
  object["scopes"] = json::value_from(identity.scopes);
  object["groups"] = json::value_from(identity.groups);
  object["roles"] = json::value_from(identity.roles);
  if (identity.expires_at != absl::InfiniteFuture()) {
    object["expires_ms"] = absl::ToUnixMillis(identity.expires_at);
  }
  return EncodeBase64Url(json::serialize(object));
}

absl::StatusOr<Identity> DecodeIdentity(absl::string_view text) {
  if (text.size() > kMaxEncodedBytes) return absl::InvalidArgumentError("is too long");
  const std::optional<std::string> decoded = DecodeBase64Url(text);
  if (!decoded.has_value()) return absl::InvalidArgumentError("is not base64url");
  const absl::StatusOr<json::object> object = ParseStrictObject(*decoded);
  if (!object.ok()) return object.status();
  Identity identity;
  const std::pair<const char*, std::string*> texts[] = {
      {"iss", &identity.issuer}, {"sub", &identity.subject}, {"tenant", &identity.tenant}};
  for (const auto& [name, to] : texts) {
    absl::StatusOr<std::optional<std::string>> value = StringField(*object, name);
    if (!value.ok()) return value.status();
    if (!value->has_value()) continue;
    if (absl::Status status = CheckIdentityName(name, **value); !status.ok()) return status;
    *to = **std::move(value);
  }
  if (identity.subject.empty()) return absl::InvalidArgumentError("sub: is missing");
  const std::pair<const char*, std::vector<std::string>*> lists[] = {
      {"scopes", &identity.scopes}, {"groups", &identity.groups}, {"roles", &identity.roles}};
  for (const auto& [name, to] : lists) {
    auto value = StringsField(*object, name, /*or_one=*/false);
    if (!value.ok()) return value.status();
    if (value->has_value()) *to = **std::move(value);
  }
  const absl::StatusOr<std::optional<double>> expires = NumberField(*object, "expires_ms");
  if (!expires.ok()) return expires.status();
  if (expires->has_value()) {
    if (!(**expires >= 0 && **expires <= kMaxMillis)) {
      return absl::InvalidArgumentError("expires_ms: is out of range");
    }
    identity.expires_at = absl::FromUnixMillis(static_cast<int64_t>(**expires));
  }
  return identity;
}

}  // namespace agentdesk
