#include "core_service/base/http_transfer.h"

#include <curl/curl.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace agentdesk {
namespace {

constexpr long kConnectMs = 5000;

void InitializeOnce() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialized;
}

}  // namespace

std::optional<UrlParts> ParseUrl(const std::string& url) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> parsed(curl_url(), curl_url_cleanup);
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return std::nullopt;
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    std::string value;
    if (curl_url_get(parsed.get(), which, &text, 0) == CURLUE_OK) value = text;
    curl_free(text);
    return value;
  };
  return UrlParts{.scheme = part(CURLUPART_SCHEME),
                  .host = part(CURLUPART_HOST),
                  .user = part(CURLUPART_USER),
                  .password = part(CURLUPART_PASSWORD),
                  .fragment = part(CURLUPART_FRAGMENT)};
}

struct HttpTransfer::State {
  explicit State(Options options_in) : options(std::move(options_in)), curl(curl_easy_init()) {}
  ~State() { curl_easy_cleanup(curl); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(curl, option, value);
  }

  static curl_socket_t OpenSocket(void* context, curlsocktype /*purpose*/, curl_sockaddr* address) {
    auto* state = static_cast<State*>(context);
    if (!state->options.may_connect(address->addr)) {
      state->refused = true;
      return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }
  static size_t Write(char* data, size_t size, size_t count, void* context) {
    auto* state = static_cast<State*>(context);
    const size_t bytes = size * count;
    const size_t most = state->options.max_answer_bytes;
    if (most == 0) return bytes;
    if (state->answer.size() + bytes > most) {
      state->too_large = true;
      return 0;
    }
    state->answer.append(data, bytes);
    return bytes;
  }
  static int Progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<State*>(context)->options.stopping() ? 1 : 0;
  }

  Options options;
  CURL* const curl;

  // Of the request under way.
  std::string answer;
  bool refused = false;
  bool too_large = false;
};

HttpTransfer::HttpTransfer(Options options)
    : state_((InitializeOnce(), std::make_unique<State>(std::move(options)))) {}

HttpTransfer::~HttpTransfer() = default;

absl::StatusOr<HttpTransfer::Answer> HttpTransfer::Perform(const Request& request) {
  State& state = *state_;
  if (state.curl == nullptr) return absl::ResourceExhaustedError("libcurl has no memory");
  curl_slist* headers = nullptr;
  for (const std::string& header : request.headers) {
    headers = curl_slist_append(headers, header.c_str());
  }
  char error[CURL_ERROR_SIZE] = "";
  state.answer.clear();
  state.refused = state.too_large = false;
  curl_easy_reset(state.curl);  // connections stay
  state.Set(CURLOPT_URL, request.url.c_str());
  state.Set(CURLOPT_PROTOCOLS_STR, "http,https");
  if (request.body.has_value()) {
    state.Set(CURLOPT_POSTFIELDS, request.body->data());
    state.Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
  }
  state.Set(CURLOPT_HTTPHEADER, headers);
  state.Set(CURLOPT_USERAGENT, "agentdesk/" AGENTDESK_VERSION);
  state.Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!request.ca_file.empty()) {
    state.Set(CURLOPT_CAINFO, request.ca_file.c_str());
    state.Set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  state.Set(CURLOPT_TIMEOUT_MS,
            static_cast<long>(absl::ToInt64Milliseconds(state.options.timeout)));
  state.Set(CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
  state.Set(CURLOPT_FOLLOWLOCATION, 0L);
  if (!state.options.proxies_of_environment) state.Set(CURLOPT_NOPROXY, "*");
  state.Set(CURLOPT_NOSIGNAL, 1L);
  state.Set(CURLOPT_WRITEFUNCTION, &State::Write);
  state.Set(CURLOPT_WRITEDATA, &state);
  state.Set(CURLOPT_OPENSOCKETFUNCTION, &State::OpenSocket);
  state.Set(CURLOPT_OPENSOCKETDATA, &state);
  state.Set(CURLOPT_NOPROGRESS, 0L);
  state.Set(CURLOPT_XFERINFOFUNCTION, &State::Progress);
  state.Set(CURLOPT_XFERINFODATA, &state);
  state.Set(CURLOPT_ERRORBUFFER, error);
  const CURLcode code = curl_easy_perform(state.curl);
  curl_slist_free_all(headers);
  if (code != CURLE_OK) {
    if (state.refused) return absl::PermissionDeniedError("the address may not be connected to");
    if (state.too_large) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the answer has more than ", state.options.max_answer_bytes, " bytes"));
    }
    return absl::UnavailableError(error[0] != '\0' ? error : curl_easy_strerror(code));
  }
  Answer answer;
  curl_easy_getinfo(state.curl, CURLINFO_RESPONSE_CODE, &answer.status);
  answer.body = std::move(state.answer);
  return answer;
}

}  // namespace agentdesk
