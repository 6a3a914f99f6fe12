#include "tools/agentdesk-webhooks/http_post.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace agentdesk::webhooks {
namespace {

constexpr long kConnectMs = 5000;

bool IsLocalV4(uint32_t address) {
  const auto in = [address](uint32_t network, int bits) {
    return (address ^ network) >> (32 - bits) == 0;
  };
  return in(0x00000000, 8) || in(0x7f000000, 8) || in(0xa9fe0000, 16) || in(0xe0000000, 4) ||
         in(0xffffffff, 32);
}

bool IsLocalV6(const in6_addr& address) {
  if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address) ||
      IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MULTICAST(&address)) {
    return true;
  }
  // Mapped and compatible addresses, and the well-known prefix of NAT64 (RFC 6052).
  static constexpr uint8_t kNat64[12] = {0x00, 0x64, 0xff, 0x9b};
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address) ||
      std::memcmp(address.s6_addr, kNat64, sizeof(kNat64)) == 0) {
    uint32_t inner = 0;
    std::memcpy(&inner, address.s6_addr + 12, sizeof(inner));
    return IsLocalV4(ntohl(inner));
  }
  return false;
}

void InitializeOnce() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialized;
}

size_t Discard(char* /*data*/, size_t size, size_t count, void* /*context*/) {
  return size * count;
}

}  // namespace

bool IsLocal(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof(v4));
    return IsLocalV4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof(v6));
    return IsLocalV6(v6.sin6_addr);
  }
  return true;
}

absl::Status CheckUrl(const std::string& url) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> parsed(curl_url(), curl_url_cleanup);
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    std::string value;
    if (curl_url_get(parsed.get(), which, &text, 0) == CURLUE_OK) value = text;
    curl_free(text);
    return value;
  };
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError("must be a URL such as https://example.org/hook");
  }
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return absl::InvalidArgumentError("must begin with https:// or http://");
  }
  if (!part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty()) {
    return absl::InvalidArgumentError("must not hold a name or a password");
  }
  return absl::OkStatus();
}

struct HttpPost::State {
  State(Options options_in, const std::atomic<bool>& stopping_in)
      : options(options_in), stopping(stopping_in), curl(curl_easy_init()) {}
  ~State() { curl_easy_cleanup(curl); }

  static curl_socket_t OpenSocket(void* context, curlsocktype /*purpose*/, curl_sockaddr* address) {
    auto* state = static_cast<State*>(context);
    if (!state->options.allow_local && IsLocal(address->addr)) {
      state->refused = true;
      return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }
  static int Progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<State*>(context)->stopping.load(std::memory_order_relaxed) ? 1 : 0;
  }

  const Options options;
  const std::atomic<bool>& stopping;
  CURL* const curl;
  bool refused = false;  // a local address
};

HttpPost::HttpPost(Options options, const std::atomic<bool>& stopping)
    : state_((InitializeOnce(), std::make_unique<State>(options, stopping))) {}

HttpPost::~HttpPost() = default;

absl::Status HttpPost::Send(const std::string& url, const std::vector<std::string>& headers,
                            const std::string& body) {
  CURL* const curl = state_->curl;
  if (curl == nullptr) return absl::ResourceExhaustedError("libcurl has no memory");
  curl_slist* list = nullptr;
  for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
  char error[CURL_ERROR_SIZE] = "";
  state_->refused = false;
  curl_easy_reset(curl);  // connections stay
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "agentdesk-webhooks/" AGENTDESK_VERSION);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(state_->options.timeout)));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Discard);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, State::OpenSocket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, state_.get());
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, State::Progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, state_.get());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  const CURLcode code = curl_easy_perform(curl);
  curl_slist_free_all(list);
  if (code != CURLE_OK) {
    if (state_->refused) {
      return absl::PermissionDeniedError(
          "the endpoint's address is loopback or link-local; --allow_local_endpoints allows it");
    }
    return absl::UnavailableError(error[0] != '\0' ? error : curl_easy_strerror(code));
  }
  long answer = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
  if (answer >= 200 && answer < 300) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("the endpoint answered ", answer));
}

}  // namespace agentdesk::webhooks
