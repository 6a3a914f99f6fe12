#include "core_service/base/token_verifier.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core_service/base/error.h"
#include "core_service/base/strict_json.h"

namespace agentdesk {
namespace {

namespace json = boost::json;

constexpr double kLastSecond = 253402300799;  // of the year 9999

absl::Status Refused(absl::string_view reason, absl::string_view what) {
  return ErrorWithReason(absl::StatusCode::kUnauthenticated, reason,
                         absl::StrCat("the token is refused: ", what));
}
absl::Status Invalid(absl::string_view what) { return Refused(kTokenInvalid, what); }

// A NumericDate of RFC 7519 section 2.
absl::StatusOr<std::optional<absl::Time>> TimeClaim(const json::object& claims, const char* name) {
  const absl::StatusOr<std::optional<double>> seconds = NumberField(claims, name);
  if (!seconds.ok()) return seconds.status();
  if (!seconds->has_value()) return std::nullopt;
  // Written so that what is no number fails, too.
  if (!(**seconds >= 0 && **seconds <= kLastSecond)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": must be seconds since 1970, before the year 10000"));
  }
  return absl::UnixEpoch() + absl::Seconds(**seconds);
}

absl::Status ReadNames(const json::object& claims, Identity& identity) {
  const auto scope = StringField(claims, "scope");
  if (!scope.ok()) return scope.status();
  const auto scp = StringsField(claims, "scp", /*or_one=*/true);
  if (!scp.ok()) return scp.status();
  if (scope->has_value()) identity.scopes = absl::StrSplit(**scope, ' ', absl::SkipEmpty());
  if (scp->has_value()) {
    for (const std::string& names : **scp) {
      for (const absl::string_view name : absl::StrSplit(names, ' ', absl::SkipEmpty())) {
        identity.scopes.emplace_back(name);
      }
    }
  }
  const std::pair<const char*, std::vector<std::string>*> lists[] = {{"groups", &identity.groups},
                                                                     {"roles", &identity.roles}};
  for (const auto& [name, to] : lists) {
    auto names = StringsField(claims, name, /*or_one=*/false);
    if (!names.ok()) return names.status();
    if (names->has_value()) *to = **std::move(names);
  }
  return absl::OkStatus();
}

absl::StatusOr<Identity> ReadIdentity(const json::object& claims, const TrustedIssuer& issuer) {
  Identity identity;
  identity.issuer = issuer.issuer;
  const auto subject = StringField(claims, "sub");
  if (!subject.ok()) return subject.status();
  identity.subject = absl::StrCat(issuer.subject_prefix, subject->value_or(""));
  if (absl::Status status = CheckIdentityName("sub", subject->value_or("")); !status.ok())
    return status;
  if (absl::Status status = CheckIdentityName("sub", identity.subject); !status.ok()) return status;
  const auto tenant = StringField(claims, issuer.tenant_claim.c_str());
  if (!tenant.ok()) return tenant.status();
  if (tenant->has_value()) {
    identity.tenant = **tenant;
    absl::Status status = CheckIdentityName(issuer.tenant_claim, identity.tenant);
    if (!status.ok()) return status;
  }
  if (absl::Status status = ReadNames(claims, identity); !status.ok()) return status;
  return identity;
}

// A subject is of the issuer with the longest of the prefixes that it begins with, and of no other:
// so one issuer's users cannot be named like another's.
absl::Status CheckOwner(absl::string_view subject, const TrustedIssuer& issuer,
                        const std::vector<TrustedIssuer>& all) {
  for (const TrustedIssuer& other : all) {
    if (other.subject_prefix.size() > issuer.subject_prefix.size() &&
        absl::StartsWith(subject, other.subject_prefix)) {
      return absl::InvalidArgumentError(
          absl::StrCat("sub: ", Quoted(subject), " would be another issuer's"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAudience(const json::object& claims, const TrustedIssuer& issuer) {
  const auto audiences = StringsField(claims, "aud", /*or_one=*/true);
  if (!audiences.ok()) return audiences.status();
  if (!audiences->has_value()) return absl::InvalidArgumentError("aud: is missing");
  for (const std::string& audience : **audiences) {
    const auto& ours = issuer.audiences;
    if (std::find(ours.begin(), ours.end(), audience) != ours.end()) return absl::OkStatus();
  }
  return absl::InvalidArgumentError("aud: is not for this service");
}

// RFC 8725 section 3.11: no other kind of token (logout, proof of possession, ...) is taken.
bool IsAccessToken(absl::string_view type) {
  if (absl::StartsWithIgnoreCase(type, "application/")) type.remove_prefix(12);
  return type.empty() || absl::EqualsIgnoreCase(type, "JWT") ||
         absl::EqualsIgnoreCase(type, "at+jwt");
}

}  // namespace

TokenVerifier::TokenVerifier(std::vector<TrustedIssuer> issuers, absl::Duration skew, Clock& clock,
                             OnUnknownKey on_unknown_key)
    : issuers_(std::move(issuers)),
      skew_(skew),
      clock_(clock),
      on_unknown_key_(std::move(on_unknown_key)) {
  MutexLock lock(mutex_);
  for (const TrustedIssuer& issuer : issuers_) keys_.push_back(issuer.keys);
}

absl::StatusOr<Identity> TokenVerifier::Verify(absl::string_view token) const {
  const absl::StatusOr<CompactJws> jws = CompactJws::Parse(token);
  if (!jws.ok()) return Invalid(jws.status().message());
  if (!IsAccessToken(jws->type())) {
    return Invalid(absl::StrCat("its typ ", Quoted(jws->type()), " is not JWT or at+jwt"));
  }
  const absl::StatusOr<json::object> claims = ParseStrictObject(jws->payload());
  if (!claims.ok()) return Invalid(absl::StrCat("its payload: ", claims.status().message()));

  // Whose keys to try; that it is the issuer's token is not known before the signature is checked.
  const absl::StatusOr<std::optional<std::string>> issuer = StringField(*claims, "iss");
  if (!issuer.ok()) return Invalid(issuer.status().message());
  const auto trusted =
      std::find_if(issuers_.begin(), issuers_.end(), [&](const TrustedIssuer& candidate) {
        return issuer->has_value() && candidate.issuer == **issuer;
      });
  if (trusted == issuers_.end()) {
    return Invalid(absl::StrCat("its iss ", Quoted(issuer->value_or("")), " is not trusted"));
  }
  const auto place = static_cast<size_t>(trusted - issuers_.begin());
  const std::shared_ptr<const KeySet> keys = KeysOf(place);
  if (on_unknown_key_ && (keys == nullptr || !keys->MayBeOf(jws->kid()))) on_unknown_key_(place);
  if (keys == nullptr) return Invalid("the keys of its issuer are not known");
  absl::Status status = jws->CheckSignature(*keys, trusted->algorithms);
  if (status.ok()) status = CheckAudience(*claims, *trusted);
  if (!status.ok()) return Invalid(status.message());

  const auto expires = TimeClaim(*claims, "exp");
  if (!expires.ok()) return Invalid(expires.status().message());
  if (!expires->has_value()) return Invalid("exp: is missing");
  const auto not_before = TimeClaim(*claims, "nbf");
  if (!not_before.ok()) return Invalid(not_before.status().message());
  if (const auto issued = TimeClaim(*claims, "iat"); !issued.ok()) {
    return Invalid(issued.status().message());
  }
  const absl::Time now = clock_.Now();
  if (now >= **expires + skew_) return Refused(kTokenExpired, "it has expired");
  if (not_before->has_value() && now < **not_before - skew_) {
    return Refused(kTokenNotYetValid, "it is not valid yet");
  }
  absl::StatusOr<Identity> identity = ReadIdentity(*claims, *trusted);
  if (!identity.ok()) return Invalid(identity.status().message());
  status = CheckOwner(identity->subject, *trusted, issuers_);
  if (!status.ok()) return Invalid(status.message());
  identity->expires_at = **expires + skew_;
  return identity;
}

void TokenVerifier::SetKeys(size_t issuer, std::shared_ptr<const KeySet> keys) {
  MutexLock lock(mutex_);
  keys_[issuer] = std::move(keys);
}

std::shared_ptr<const KeySet> TokenVerifier::KeysOf(size_t issuer) const {
  MutexLock lock(mutex_);
  return keys_[issuer];
}

}  // namespace agentdesk
