#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core_service/base/clock.h"
#include "core_service/base/error.h"
#include "core_service/base/token_verifier.h"
#include "tools/agentdesk/commands.h"
#include "tools/json_line.h"
#include "tools/signing_key.h"
#include "tools/utf8.h"

namespace agentdesk::cli {
namespace {

const std::vector<TokenAlgorithm>& AllAlgorithms() {
  static const auto* const all =
      new std::vector<TokenAlgorithm>{TokenAlgorithm::kRs256, TokenAlgorithm::kEs256,
                                      TokenAlgorithm::kEdDsa, TokenAlgorithm::kHs256};
  return *all;
}

// The time that a token is looked at: now, or what --time says.
class ChosenClock final : public Clock {
 public:
  explicit ChosenClock(absl::Time now) : now_(now) {}
  absl::Time Now() override { return now_; }
  absl::Duration Monotonic() override { return Clock::Real().Monotonic(); }
  void WaitUntil(Condition& condition, Mutex& mutex, absl::Duration deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Clock::Real().WaitUntil(condition, mutex, deadline);
  }

 private:
  const absl::Time now_;
};

absl::StatusOr<std::string> Required(const Invocation& invocation, const char* flag) {
  std::string value = invocation.Get(flag);
  if (value.empty()) {
    return UsageError(absl::StrCat("`", invocation.command->words, "` needs --", flag));
  }
  return value;
}

absl::StatusOr<std::vector<TokenAlgorithm>> Algorithms(const Invocation& invocation) {
  std::vector<TokenAlgorithm> algorithms;
  for (const std::string& name : invocation.All("alg")) {
    const std::optional<TokenAlgorithm> algorithm = ParseAlgorithm(name);
    if (!algorithm.has_value()) {
      return UsageError("--alg: must be RS256, ES256, EdDSA or HS256");
    }
    algorithms.push_back(*algorithm);
  }
  return algorithms;
}

absl::StatusOr<absl::Duration> DurationFlag(const Invocation& invocation, const std::string& name,
                                            absl::Duration otherwise) {
  absl::Duration duration = otherwise;
  if (invocation.Has(name) &&
      (!absl::ParseDuration(invocation.Get(name), &duration) || duration < absl::ZeroDuration())) {
    return UsageError(absl::StrCat("--", name, ": must be a duration such as 90s, 10m or 1h"));
  }
  return duration;
}

// Makes a file that only its owner can read; one that exists is never written over.
absl::Status WriteNew(const std::string& path, const std::string& text, mode_t mode) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (close(fd) != 0 || !written) return absl::ErrnoToStatus(written ? errno : error, path);
  return absl::OkStatus();
}

absl::Status RunKey(const Invocation& invocation) {
  const auto signing_key = Required(invocation, "signing_key");
  if (!signing_key.ok()) return signing_key.status();
  const auto keys = Required(invocation, "keys");
  if (!keys.ok()) return keys.status();
  const auto algorithms = Algorithms(invocation);
  if (!algorithms.ok()) return algorithms.status();
  const auto key = tools::SigningKey::Generate(algorithms->empty() ? TokenAlgorithm::kEs256
                                                                   : algorithms->back());
  if (!key.ok()) return key.status();
  const bool shared = key->algorithm() == TokenAlgorithm::kHs256;
  absl::Status status = WriteNew(*signing_key, key->PrivateText(), 0600);
  if (status.ok()) status = WriteNew(*keys, key->KeySetText(), shared ? 0600 : 0644);
  if (!status.ok()) return status;
  std::printf("%s signs, %s checks; kid %s%s\n", signing_key->c_str(), keys->c_str(),
              key->Kid().c_str(), shared ? "; both hold the secret" : "");
  return absl::OkStatus();
}

absl::Status RunCreate(const Invocation& invocation) {
  std::string values[4];
  const char* const flags[] = {"signing_key", "issuer", "audience", "subject"};
  for (size_t i = 0; i < 4; ++i) {
    absl::StatusOr<std::string> value = Required(invocation, flags[i]);
    if (!value.ok()) return value.status();
    values[i] = *std::move(value);
  }
  const auto lifetime = DurationFlag(invocation, "expires_in", absl::Hours(1));
  if (!lifetime.ok()) return lifetime.status();
  const absl::StatusOr<std::string> text = ReadKeyFile(values[0]);
  if (!text.ok()) return text.status();
  const auto key = tools::SigningKey::Parse(*text);
  if (!key.ok()) return UsageError(absl::StrCat("--signing_key: ", key.status().message()));

  const int64_t now = absl::ToUnixSeconds(Clock::Real().Now());
  tools::JsonLine claims;
  claims.Add("iss", values[1]).Add("aud", values[2]).Add("sub", values[3]);
  claims.Add("iat", now).Add("exp", now + absl::ToInt64Seconds(*lifetime));
  if (invocation.Has("scope")) claims.Add("scope", absl::StrJoin(invocation.All("scope"), " "));
  if (invocation.Has("tenant")) claims.Add("tenant", invocation.Get("tenant"));
  if (invocation.Has("group")) claims.AddTexts("groups", invocation.All("group"));
  if (invocation.Has("role")) claims.AddTexts("roles", invocation.All("role"));
  std::puts(key->SignToken(claims.Text()).c_str());
  return absl::OkStatus();
}

// What a verdict says, in one line.
void PrintRejected(absl::string_view why, Output output) {
  absl::ConsumePrefix(&why, "the token is refused: ");
  if (output.json) {
    std::puts(tools::JsonLine().Add("accepted", false).Add("reason", why).Text().c_str());
  } else {
    std::printf("rejected: %s\n", tools::ForTerminal(std::string(why)).c_str());
  }
}

void PrintAccepted(const Identity& identity, Output output) {
  const std::string expires = absl::FormatTime(identity.expires_at, absl::UTCTimeZone());
  if (output.json) {
    tools::JsonLine line;
    line.Add("accepted", true).Add("issuer", identity.issuer).Add("subject", identity.subject);
    line.Add("tenant", identity.tenant).AddTexts("scopes", identity.scopes);
    line.AddTexts("groups", identity.groups).AddTexts("roles", identity.roles);
    std::puts(line.Add("expires_at", expires).Text().c_str());
    return;
  }
  const std::string line =
      absl::StrCat("accepted: subject=", identity.subject, " issuer=", identity.issuer,
                   identity.tenant.empty() ? "" : " tenant=", identity.tenant,
                   " scopes=", absl::StrJoin(identity.scopes, ","), " expires_at=", expires);
  std::puts(tools::ForTerminal(line).c_str());
}

// What a token is held against.
struct Demands {
  std::vector<TokenAlgorithm> algorithms;
  std::string issuer;  // empty: only the signature is looked at
  std::string audience;
  absl::Duration skew;
  absl::Time now;
};

absl::StatusOr<Demands> ReadDemands(const Invocation& invocation) {
  Demands demands;
  auto algorithms = Algorithms(invocation);
  if (!algorithms.ok()) return algorithms.status();
  demands.algorithms = algorithms->empty() ? AllAlgorithms() : *std::move(algorithms);
  const auto skew = DurationFlag(invocation, "clock_skew", TokenVerifier::kDefaultSkew);
  if (!skew.ok()) return skew.status();
  demands.skew = *skew;
  demands.now = Clock::Real().Now();
  std::string error;
  if (invocation.Has("time") &&
      !absl::ParseTime(absl::RFC3339_full, invocation.Get("time"), &demands.now, &error)) {
    return UsageError(absl::StrCat("--time: ", error));
  }
  demands.issuer = invocation.Get("issuer");
  demands.audience = invocation.Get("audience");
  if (demands.issuer.empty() != demands.audience.empty()) {
    return UsageError("--issuer and --audience: give both, or none to look only at the signature");
  }
  return demands;
}

absl::Status JudgeSignature(const std::string& token, const KeySet& keys, const Demands& demands,
                            Output output) {
  const absl::StatusOr<CompactJws> jws = CompactJws::Parse(token);
  absl::Status verdict = jws.ok() ? jws->CheckSignature(keys, demands.algorithms) : jws.status();
  if (!verdict.ok()) return verdict;
  constexpr absl::string_view kNote = "only the signature was looked at";
  if (output.json) {
    std::puts(tools::JsonLine().Add("accepted", true).Add("note", kNote).Text().c_str());
  } else {
    std::printf("accepted: %s\n", std::string(kNote).c_str());
  }
  return absl::OkStatus();
}

// Prints whom the token proves its bearer to be; otherwise the error says why it proves nothing.
absl::Status Judge(const std::string& token, KeySet keys, Demands demands, Output output) {
  if (demands.issuer.empty()) return JudgeSignature(token, keys, demands, output);
  ChosenClock clock(demands.now);
  TrustedIssuer trusted;
  trusted.issuer = std::move(demands.issuer);
  trusted.audiences = {std::move(demands.audience)};
  trusted.algorithms = std::move(demands.algorithms);
  trusted.keys = std::make_shared<const KeySet>(std::move(keys));
  const TokenVerifier verifier({std::move(trusted)}, demands.skew, clock);
  const absl::StatusOr<Identity> identity = verifier.Verify(token);
  if (identity.ok()) PrintAccepted(*identity, output);
  return identity.status();
}

absl::Status RunVerify(const Invocation& invocation, Output output) {
  const auto path = Required(invocation, "keys");
  if (!path.ok()) return path.status();
  absl::StatusOr<Demands> demands = ReadDemands(invocation);
  if (!demands.ok()) return demands.status();
  const absl::StatusOr<std::string> text = ReadKeyFile(*path);
  if (!text.ok()) return UsageError(absl::StrCat("--keys: ", text.status().message()));
  absl::StatusOr<KeySet> keys = KeySet::Parse(*text);
  absl::Status verdict;
  if (keys.ok()) {
    for (const std::string& remark : keys->remarks()) {
      std::fprintf(stderr, "agentdesk: %s: %s\n", path->c_str(), remark.c_str());
    }
    verdict =
        Judge(TextOrInput(invocation.arguments[0]), *std::move(keys), *std::move(demands), output);
  } else {
    verdict = absl::InvalidArgumentError(absl::StrCat("the keys: ", keys.status().message()));
  }
  if (verdict.ok()) return verdict;
  PrintRejected(verdict.message(), output);
  return ErrorWithReason(verdict.code(), kSaid, verdict.message());
}

}  // namespace

absl::Status RunTokenCommand(const Invocation& invocation, Output output) {
  const std::string& words = invocation.command->words;
  if (words == "token key") return RunKey(invocation);
  if (words == "token create") return RunCreate(invocation);
  return RunVerify(invocation, output);
}

}  // namespace agentdesk::cli
