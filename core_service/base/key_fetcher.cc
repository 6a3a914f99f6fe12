#include "core_service/base/key_fetcher.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"

namespace agentdesk {
namespace {

constexpr long kConnectMs = 5000;

void InitializeCurl() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialized;
}

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

bool IsPlain(absl::string_view url) { return absl::StartsWithIgnoreCase(url, "http://"); }

// One GET of a body of limited size.
class Transfer {
 public:
  explicit Transfer(absl::AnyInvocable<bool()> stopping)
      : stopping_(std::move(stopping)), curl_(curl_easy_init()) {}
  ~Transfer() { curl_easy_cleanup(curl_); }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  absl::StatusOr<std::string> Get(const KeyUrl& where) {
    if (curl_ == nullptr) return absl::UnavailableError("libcurl has no memory");
    char error[CURL_ERROR_SIZE] = "";
    local_only_ = IsPlain(where.url);
    Set(CURLOPT_URL, where.url.c_str());
    Set(CURLOPT_PROTOCOLS_STR, local_only_ ? "http" : "https");
    // Whoever answers for another host is not the one that was configured.
    Set(CURLOPT_FOLLOWLOCATION, 0L);
    Set(CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
    Set(CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(KeyFetcher::kTimeout)));
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_USERAGENT, "agentdesk/" AGENTDESK_VERSION);
    Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!where.ca_file.empty()) {
      Set(CURLOPT_CAINFO, where.ca_file.c_str());
      Set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    }
    if (local_only_) Set(CURLOPT_NOPROXY, "*");
    Set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::OpenSocket);
    Set(CURLOPT_OPENSOCKETDATA, this);
    Set(CURLOPT_WRITEFUNCTION, &Transfer::Write);
    Set(CURLOPT_WRITEDATA, this);
    Set(CURLOPT_NOPROGRESS, 0L);
    Set(CURLOPT_XFERINFOFUNCTION, &Transfer::Progress);
    Set(CURLOPT_XFERINFODATA, this);
    Set(CURLOPT_ERRORBUFFER, error);
    const CURLcode code = curl_easy_perform(curl_);
    if (too_large_) {
      return absl::UnavailableError(
          absl::StrCat("the answer has more than ", KeySet::kMaxBytes, " bytes"));
    }
    if (refused_) return absl::UnavailableError("http is for this machine alone: use https");
    if (code != CURLE_OK) {
      return absl::UnavailableError(error[0] != '\0' ? error : curl_easy_strerror(code));
    }
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 300 && status < 400) {
      return absl::UnavailableError(absl::StrCat("the answer is a redirect (", status,
                                                 "), which is not followed: configure the address "
                                                 "that it leads to"));
    }
    if (status != 200) return absl::UnavailableError(absl::StrCat("the answer is ", status));
    return std::move(body_);
  }

 private:
  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(curl_, option, value);
  }

  static curl_socket_t OpenSocket(void* context, curlsocktype /*purpose*/, curl_sockaddr* address) {
    auto* transfer = static_cast<Transfer*>(context);
    if (transfer->local_only_ && !IsLoopback(address->addr)) {
      transfer->refused_ = true;
      return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }
  static size_t Write(char* data, size_t size, size_t count, void* context) {
    auto* transfer = static_cast<Transfer*>(context);
    const size_t bytes = size * count;
    if (transfer->body_.size() + bytes > KeySet::kMaxBytes) {
      transfer->too_large_ = true;
      return 0;
    }
    transfer->body_.append(data, bytes);
    return bytes;
  }
  static int Progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer*>(context)->stopping_() ? 1 : 0;
  }

  absl::AnyInvocable<bool()> stopping_;
  CURL* const curl_;
  std::string body_;
  bool local_only_ = false;
  bool refused_ = false;
  bool too_large_ = false;
};

}  // namespace

absl::Status CheckKeyUrl(const std::string& url) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> parsed(curl_url(), curl_url_cleanup);
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    std::string value;
    if (curl_url_get(parsed.get(), which, &text, 0) == CURLUE_OK) value = text;
    curl_free(text);
    return value;
  };
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError("must be a URL such as https://issuer.example/keys.json");
  }
  if (!part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty() ||
      !part(CURLUPART_FRAGMENT).empty()) {
    return absl::InvalidArgumentError("must hold no name, no password and no fragment");
  }
  const std::string scheme = part(CURLUPART_SCHEME);
  const std::string host = part(CURLUPART_HOST);
  in_addr v4{};
  const bool local = host == "localhost" || host == "[::1]" ||
                     (inet_pton(AF_INET, host.c_str(), &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
  if (scheme != "https" && !(scheme == "http" && local)) {
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
  InitializeCurl();
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
  return Transfer([this] { return stopping(); }).Get(where_);
}

}  // namespace agentdesk
