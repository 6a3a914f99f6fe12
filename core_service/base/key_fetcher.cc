#include "core_service/base/key_fetcher.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/http_transfer.h"
#include "core_service/base/log.h"

namespace agentdesk {
namespace {

bool IsLoopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof(v4));
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  }
  sockaddr_in6 v6{};
  if (address.sa_family != AF_INET6) return false;
  std::memcpy(&v6, &address, sizeof(v6));
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

}  // namespace

absl::Status CheckKeyUrl(const std::string& url) {
  const std::optional<UrlParts> parts = ParseUrl(url);
  if (!parts.has_value()) {
    return absl::InvalidArgumentError("must be a URL such as https://issuer.example/keys.json");
  }
  if (!parts->user.empty() || !parts->password.empty() || !parts->fragment.empty()) {
    return absl::InvalidArgumentError("must hold no name, no password and no fragment");
  }
  in_addr v4{};
  const bool local =
      parts->host == "localhost" || parts->host == "[::1]" ||
      (inet_pton(AF_INET, parts->host.c_str(), &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
  if (parts->scheme != "https" && !(parts->scheme == "http" && local)) {
    return absl::InvalidArgumentError(
        "must begin with https://, or with http:// where its host is this machine");
  }
  return absl::OkStatus();
}

KeyFetcher::KeyFetcher(KeyUrl where, std::string issuer, Clock& clock, OnKeys on_keys)
    : where_(std::move(where)),
      issuer_(std::move(issuer)),
      clock_(clock),
      on_keys_(std::move(on_keys)) {
  thread_ = std::thread([this] { Run(); });
}

KeyFetcher::~KeyFetcher() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void KeyFetcher::Ask() {
  {
    MutexLock lock(mutex_);
    if (asked_) return;
    asked_ = true;
  }
  changed_.NotifyAll();
}

absl::Status KeyFetcher::AwaitFirst(absl::Duration deadline) {
  MutexLock lock(mutex_);
  while (!first_.has_value() && clock_.Monotonic() < deadline) {
    clock_.WaitUntil(changed_, mutex_, deadline);
  }
  return first_.value_or(absl::DeadlineExceededError("there is no answer yet"));
}

bool KeyFetcher::stopping() {
  MutexLock lock(mutex_);
  return stopping_;
}

void KeyFetcher::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      asked_ = false;
    }
    const absl::Status status = FetchOnce();
    const absl::Duration ended = clock_.Monotonic();
    MutexLock lock(mutex_);
    if (!first_.has_value()) {
      first_ = status;
      changed_.NotifyAll();
    }
    const auto next = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return ended + (asked_ || !status.ok() ? kMinInterval : where_.refresh);
    };
    while (!stopping_ && clock_.Monotonic() < next()) clock_.WaitUntil(changed_, mutex_, next());
    if (stopping_) return;
  }
}

absl::Status KeyFetcher::FetchOnce() {
  absl::StatusOr<std::string> text = Get();
  if (stopping()) return absl::CancelledError("the process ends");
  absl::StatusOr<KeySet> keys =
      text.ok() ? KeySet::ParseFetched(*text) : absl::StatusOr<KeySet>(text.status());
  if (!keys.ok()) {
    if (!std::exchange(failing_, true)) {
      LogError("keys cannot be fetched; the old ones stay",
               {{"issuer", issuer_}, {"error", keys.status()}});
    }
    return keys.status();
  }
  if (!std::exchange(failing_, false) && *text == last_text_) return absl::OkStatus();
  last_text_ = *std::move(text);
  for (const std::string& remark : keys->remarks()) {
    LogWarning("among the keys that were fetched", {{"issuer", issuer_}, {"remark", remark}});
  }
  LogInfo("keys were fetched", {{"issuer", issuer_}, {"keys", keys->keys().size()}});
  on_keys_(std::make_shared<const KeySet>(*std::move(keys)));
  return absl::OkStatus();
}

absl::StatusOr<std::string> KeyFetcher::Get() {
  const bool plain = absl::StartsWithIgnoreCase(where_.url, "http://");
  HttpTransfer transfer(
      {.timeout = kTimeout,
       .max_answer_bytes = KeySet::kMaxBytes,
       .proxies_of_environment = !plain,
       .stopping = [this] { return stopping(); },
       .may_connect = [plain](const sockaddr& address) { return !plain || IsLoopback(address); }});
  absl::StatusOr<HttpTransfer::Answer> answer =
      transfer.Perform({.url = where_.url, .ca_file = where_.ca_file});
  if (absl::IsPermissionDenied(answer.status())) {
    return absl::UnavailableError("http is for this machine alone: use https");
  }
  if (!answer.ok()) return absl::UnavailableError(answer.status().message());
  if (answer->status >= 300 && answer->status < 400) {
    return absl::UnavailableError(absl::StrCat("the answer is a redirect (", answer->status,
                                               "), which is not followed: configure the address "
                                               "that it leads to"));
  }
  if (answer->status != 200) {
    return absl::UnavailableError(absl::StrCat("the answer is ", answer->status));
  }
  return std::move(answer->body);
}

}  // namespace agentdesk
