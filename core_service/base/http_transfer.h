#ifndef AGENTDESK_CORE_SERVICE_BASE_HTTP_TRANSFER_H_
#define AGENTDESK_CORE_SERVICE_BASE_HTTP_TRANSFER_H_

#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace agentdesk {

// Parts of an absolute URL, each empty where there is none.
struct UrlParts {
  std::string scheme;  // in lower case
  std::string host;    // an IPv6 address in brackets
  std::string user;
  std::string password;
  std::string fragment;
};

// Nothing: `url` is no absolute URL.
std::optional<UrlParts> ParseUrl(const std::string& url);

// Requests over HTTP and HTTPS for a thread that may wait, one at a time; connections are kept for
// the next one. Certificates are verified, TLS is 1.2 at least, and redirects are not followed:
// whoever answers elsewhere is not the one that was configured. Of one thread at a time.
class HttpTransfer {
 public:
  struct Options {
    absl::Duration timeout;       // of one request, from the name of the host to the last byte
    size_t max_answer_bytes = 0;  // 0: what is answered is thrown away
    bool proxies_of_environment = true;
    absl::AnyInvocable<bool()> stopping;  // once true, a request is given up within a second or so
    absl::AnyInvocable<bool(const sockaddr&)> may_connect;  // judges each address before it is used
  };
  struct Request {
    std::string url;
    std::vector<std::string> headers = {};
    std::optional<std::string> body = {};  // of a POST; nothing: it is a GET
    std::string ca_file = {};              // authorities in PEM; empty: those of the system
  };
  struct Answer {
    long status = 0;
    std::string body;
  };

  explicit HttpTransfer(Options options);
  ~HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  // PermissionDenied: no address might be connected to. ResourceExhausted: the answer is longer
  // than it may be, or there is no memory. Unavailable: there was no answer. The text says what
  // happened, and nothing of what was sent.
  absl::StatusOr<Answer> Perform(const Request& request);

 private:
  struct State;

  const std::unique_ptr<State> state_;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_HTTP_TRANSFER_H_
