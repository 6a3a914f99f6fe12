#include "core_service/base/authenticator.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "core_service/base/error.h"
#include "core_service/base/key_set.h"
#include "core_service/base/log.h"
#include "core_service/base/strict_json.h"

namespace agentdesk {
namespace {

namespace json = boost::json;

constexpr double kMaxSkewSeconds = 300;
constexpr double kMinRefreshSeconds = 10;
constexpr double kMaxRefreshSeconds = 86400;

absl::Status At(absl::string_view where, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(where, ": ", status.message()));
}

// A member that nobody reads would be one that somebody relies on.
absl::Status CheckMembers(const json::object& object,
                          std::initializer_list<absl::string_view> known) {
  for (const auto& member : object) {
    const absl::string_view name(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return InvalidField(name, "is not known");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Text(const json::object& object, const char* name,
                                 std::optional<std::string> otherwise) {
  absl::StatusOr<std::optional<std::string>> value = StringField(object, name);
  if (!value.ok()) return value.status();
  if (!value->has_value()) *value = std::move(otherwise);
  if (!value->has_value()) return InvalidField(name, "is missing");
  return **std::move(value);
}

absl::StatusOr<std::vector<std::string>> Texts(const json::object& object, const char* name,
                                               bool required) {
  auto values = StringsField(object, name, /*or_one=*/false);
  if (!values.ok()) return values.status();
  if (!values->has_value()) *values = std::vector<std::string>();
  if (required && (*values)->empty()) return InvalidField(name, "must name one at least");
  return **std::move(values);
}

std::string Beside(const std::string& config_path, const std::string& path) {
  const size_t slash = config_path.rfind('/');
  if (path.empty() || path[0] == '/' || slash == std::string::npos) return path;
  return config_path.substr(0, slash + 1) + path;
}

// The issuer's keys, of its file.
absl::Status ReadKeys(const json::object& object, const std::string& config_path,
                      TrustedIssuer& trusted, std::string& path) {
  const auto keys_file = Text(object, "keys_file", std::nullopt);
  if (!keys_file.ok()) return keys_file.status();
  for (const char* name : {"jwks_refresh_s", "jwks_ca_file"}) {
    if (object.contains(name)) return InvalidField(name, "goes not without jwks_url");
  }
  path = Beside(config_path, *keys_file);
  const absl::StatusOr<std::string> text = ReadKeyFile(path);
  if (!text.ok()) return At("keys_file", text.status());
  absl::StatusOr<KeySet> keys = KeySet::Parse(*text);
  if (!keys.ok()) return At(absl::StrCat("keys_file: ", path), keys.status());
  trusted.keys = std::make_shared<const KeySet>(*std::move(keys));
  return absl::OkStatus();
}

// Where they are fetched from.
absl::StatusOr<KeyUrl> ReadKeyUrl(const json::object& object, const std::string& config_path,
                                  const TrustedIssuer& trusted) {
  if (object.contains("keys_file")) return InvalidField("keys_file", "goes not with jwks_url");
  const auto url = Text(object, "jwks_url", std::nullopt);
  if (!url.ok()) return url.status();
  if (absl::Status status = CheckKeyUrl(*url); !status.ok()) {
    return InvalidField("jwks_url", status.message());
  }
  const auto& algorithms = trusted.algorithms;
  if (std::find(algorithms.begin(), algorithms.end(), TokenAlgorithm::kHs256) != algorithms.end()) {
    return InvalidField("algorithms", "HS256 goes not with jwks_url: a secret is not published");
  }
  KeyUrl where{*url};
  const auto authorities = Text(object, "jwks_ca_file", "");
  if (!authorities.ok()) return authorities.status();
  if (!authorities->empty()) {
    where.ca_file = Beside(config_path, *authorities);
    if (const auto text = ReadKeyFile(where.ca_file); !text.ok()) {
      return At("jwks_ca_file", text.status());
    }
  }
  const absl::StatusOr<std::optional<double>> refresh = NumberField(object, "jwks_refresh_s");
  if (!refresh.ok()) return refresh.status();
  if (refresh->has_value()) {
    if (!(**refresh >= kMinRefreshSeconds && **refresh <= kMaxRefreshSeconds)) {
      return InvalidField("jwks_refresh_s",
                          absl::StrCat("must be ", kMinRefreshSeconds, " to ", kMaxRefreshSeconds));
    }
    where.refresh = absl::Seconds(**refresh);
  }
  return where;
}

absl::Status ReadIssuer(const json::object& object, const std::string& config_path,
                        AuthConfig& config) {
  absl::Status status =
      CheckMembers(object, {"issuer", "audiences", "algorithms", "keys_file", "jwks_url",
                            "jwks_refresh_s", "jwks_ca_file", "subject_prefix", "tenant_claim"});
  if (!status.ok()) return status;
  const auto issuer = Text(object, "issuer", std::nullopt);
  if (!issuer.ok()) return issuer.status();
  const auto prefix = Text(object, "subject_prefix", "");
  if (!prefix.ok()) return prefix.status();
  const auto tenant_claim = Text(object, "tenant_claim", "tenant");
  if (!tenant_claim.ok()) return tenant_claim.status();
  const auto audiences = Texts(object, "audiences", /*required=*/true);
  if (!audiences.ok()) return audiences.status();
  const auto algorithms = Texts(object, "algorithms", /*required=*/true);
  if (!algorithms.ok()) return algorithms.status();

  TrustedIssuer trusted;
  for (const std::string& name : *algorithms) {
    const std::optional<TokenAlgorithm> algorithm = ParseAlgorithm(name);
    if (!algorithm.has_value()) {
      return InvalidField("algorithms", "each must be RS256, ES256, EdDSA or HS256");
    }
    trusted.algorithms.push_back(*algorithm);
  }
  for (const TrustedIssuer& other : config.issuers) {
    if (other.issuer == *issuer) return InvalidField("issuer", "stands there twice");
    if (other.subject_prefix == *prefix) {
      return InvalidField("subject_prefix", "each issuer must have another");
    }
  }
  std::string path;
  std::optional<KeyUrl> where;
  if (object.contains("jwks_url")) {
    absl::StatusOr<KeyUrl> url = ReadKeyUrl(object, config_path, trusted);
    if (!url.ok()) return url.status();
    where = *std::move(url);
  } else if (status = ReadKeys(object, config_path, trusted, path); !status.ok()) {
    return status;
  }
  trusted.issuer = *issuer;
  trusted.audiences = *audiences;
  trusted.subject_prefix = *prefix;
  trusted.tenant_claim = *tenant_claim;
  config.issuers.push_back(std::move(trusted));
  config.key_files.push_back(std::move(path));
  config.key_urls.push_back(std::move(where));
  return absl::OkStatus();
}

absl::Status ReadCertificate(const json::object& object, AuthConfig& config) {
  absl::Status status =
      CheckMembers(object, {"name", "subject", "scopes", "tenant", "groups", "roles"});
  if (!status.ok()) return status;
  const auto name = Text(object, "name", std::nullopt);
  if (!name.ok()) return name.status();
  const auto is_of = [&](absl::string_view kind) {
    return absl::StartsWith(*name, kind) && name->size() > kind.size();
  };
  if (!is_of("DNS:") && !is_of("URI:") && !is_of("EMAIL:")) {
    return InvalidField("name", "must be DNS:, URI: or EMAIL: and a subject alternative name");
  }
  for (const auto& other : config.certificates) {
    if (other.first == *name) return InvalidField("name", "stands there twice");
  }
  Identity identity;
  for (const auto& [member, to] :
       {std::pair{"subject", &identity.subject}, std::pair{"tenant", &identity.tenant}}) {
    absl::StatusOr<std::optional<std::string>> text = StringField(object, member);
    if (!text.ok()) return text.status();
    if (!text->has_value()) continue;
    if (status = CheckIdentityName(member, **text); !status.ok()) return status;
    *to = **std::move(text);
  }
  if (identity.subject.empty()) return InvalidField("subject", "is missing");
  for (const auto& [member, to] :
       {std::pair{"scopes", &identity.scopes}, std::pair{"groups", &identity.groups},
        std::pair{"roles", &identity.roles}}) {
    auto texts = Texts(object, member, /*required=*/false);
    if (!texts.ok()) return texts.status();
    *to = *std::move(texts);
  }
  config.certificates.emplace_back(*name, std::move(identity));
  return absl::OkStatus();
}

absl::Status ReadNamed(const json::value& certificates, AuthConfig& config) {
  if (!certificates.is_array()) return InvalidField("certificates", "must be an array");
  for (const json::value& certificate : certificates.get_array()) {
    const std::string where = absl::StrCat("certificates[", config.certificates.size(), "]");
    if (!certificate.is_object()) return At(where, absl::InvalidArgumentError("must be an object"));
    const absl::Status status = ReadCertificate(certificate.get_object(), config);
    if (!status.ok()) return At(where, status);
  }
  return absl::OkStatus();
}

std::vector<std::string> NamesOf(const std::vector<TrustedIssuer>& issuers) {
  std::vector<std::string> names;
  names.reserve(issuers.size());
  for (const TrustedIssuer& issuer : issuers) names.push_back(issuer.issuer);
  return names;
}

}  // namespace

absl::StatusOr<AuthConfig> ReadAuthConfig(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadKeyFile(path);
  if (!text.ok()) return text.status();
  const absl::StatusOr<json::object> object = ParseStrictObject(*text);
  if (!object.ok()) return At(path, object.status());
  absl::Status status =
      CheckMembers(*object, {"issuers", "gateways", "all_tenants", "certificates", "clock_skew_s"});
  if (!status.ok()) return At(path, status);
  AuthConfig config;
  const json::value* issuers = object->if_contains("issuers");
  if (issuers == nullptr || !issuers->is_array() || issuers->get_array().empty()) {
    return At(path, InvalidField("issuers", "must be an array with one at least"));
  }
  for (const json::value& issuer : issuers->get_array()) {
    const std::string where = absl::StrCat(path, ": issuers[", config.issuers.size(), "]");
    if (!issuer.is_object()) return At(where, absl::InvalidArgumentError("must be an object"));
    status = ReadIssuer(issuer.get_object(), path, config);
    if (!status.ok()) return At(where, status);
  }
  auto gateways = Texts(*object, "gateways", /*required=*/false);
  if (!gateways.ok()) return At(path, gateways.status());
  config.gateways = *std::move(gateways);
  auto all_tenants = Texts(*object, "all_tenants", /*required=*/false);
  if (!all_tenants.ok()) return At(path, all_tenants.status());
  config.all_tenants = *std::move(all_tenants);
  if (const json::value* certificates = object->if_contains("certificates")) {
    status = ReadNamed(*certificates, config);
    if (!status.ok()) return At(path, status);
  }
  const auto skew = NumberField(*object, "clock_skew_s");
  if (!skew.ok()) return At(path, skew.status());
  if (skew->has_value()) {
    if (!(**skew >= 0 && **skew <= kMaxSkewSeconds)) {
      return At(path, InvalidField("clock_skew_s", "must be 0 to 300"));
    }
    config.clock_skew = absl::Seconds(**skew);
  }
  return config;
}

Authenticator::Authenticator(AuthConfig config, Clock& clock)
    : names_(NamesOf(config.issuers)),
      key_files_(config.key_files),
      gateways_(config.gateways.begin(), config.gateways.end()),
      all_tenants_(config.all_tenants.begin(), config.all_tenants.end()),
      certificates_(config.certificates.begin(), config.certificates.end()),
      clock_(clock),
      verifier_(std::move(config.issuers), config.clock_skew, clock,
                [this](size_t issuer) {
                  if (issuer < fetchers_.size() && fetchers_[issuer] != nullptr) {
                    fetchers_[issuer]->Ask();
                  }
                }),
      last_read_(key_files_.size()) {
  for (std::optional<KeyUrl>& url : config.key_urls) {
    const size_t issuer = fetchers_.size();
    fetchers_.push_back(nullptr);
    if (!url.has_value()) continue;
    fetchers_.back() = std::make_unique<KeyFetcher>(
        *std::move(url), names_[issuer], clock, [this, issuer](std::shared_ptr<const KeySet> keys) {
          verifier_.SetKeys(issuer, std::move(keys));
        });
  }
  watcher_ = std::thread([this] { Watch(); });
}

Authenticator::~Authenticator() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  watcher_.join();
}

void Authenticator::AwaitKeys() const {
  const absl::Duration deadline = clock_.Monotonic() + kAwaitKeys;
  for (size_t issuer = 0; issuer < fetchers_.size(); ++issuer) {
    if (fetchers_[issuer] == nullptr) continue;
    const absl::Status status = fetchers_[issuer]->AwaitFirst(deadline);
    if (!status.ok()) {
      LogError("an issuer's tokens are refused until its keys come",
               {{"issuer", names_[issuer]}, {"error", status}});
    }
  }
}

absl::StatusOr<Identity> Authenticator::VerifyNames(const std::vector<std::string>& names) const {
  const Identity* found = nullptr;
  for (const std::string& name : names) {
    const auto known = certificates_.find(name);
    if (known == certificates_.end()) continue;
    if (found != nullptr && found != &known->second) {
      return ErrorWithReason(absl::StatusCode::kUnauthenticated, "certificate_unknown",
                             "the client certificate stands for several identities");
    }
    found = &known->second;
  }
  if (found != nullptr) return *found;
  return ErrorWithReason(absl::StatusCode::kUnauthenticated, "certificate_unknown",
                         "the client certificate stands for nobody here");
}

void Authenticator::Watch() {
  while (true) {
    {
      MutexLock lock(mutex_);
      const absl::Duration next = clock_.Monotonic() + kReloadInterval;
      while (!stopping_ && clock_.Monotonic() < next) clock_.WaitUntil(stop_, mutex_, next);
      if (stopping_) return;
    }
    for (size_t issuer = 0; issuer < key_files_.size(); ++issuer) {
      if (!key_files_[issuer].empty()) Reload(issuer);
    }
  }
}

void Authenticator::Reload(size_t issuer) {
  const std::string& path = key_files_[issuer];
  absl::StatusOr<std::string> text = ReadKeyFile(path);
  // What it looked like is remembered also where it is of no use, so that this is logged once.
  std::string seen = text.ok() ? *text : std::string(text.status().message());
  if (seen == last_read_[issuer]) return;
  const bool first = !last_read_[issuer].has_value();
  last_read_[issuer] = std::move(seen);
  absl::StatusOr<KeySet> keys = text.ok() ? KeySet::Parse(*text) : text.status();
  if (!keys.ok()) {
    LogError("keys cannot be read; the old ones stay", {{"file", path}, {"error", keys.status()}});
    return;
  }
  const size_t count = keys->keys().size();
  verifier_.SetKeys(issuer, std::make_shared<const KeySet>(*std::move(keys)));
  if (!first) LogInfo("keys were read again", {{"file", path}, {"keys", count}});
}

}  // namespace agentdesk
