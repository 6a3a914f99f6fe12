#ifndef AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_HTTP_POST_H_
#define AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_HTTP_POST_H_

#include <sys/socket.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core_service/base/http_transfer.h"

namespace agentdesk::webhooks {

// Whether an address belongs to this machine or its link, or is no machine's at all: loopback,
// link-local, unspecified, multicast, also where IPv6 only wraps an IPv4 address, and every family
// but the two of IP. A URL from outside must not reach what listens for this machine only.
bool IsLocal(const sockaddr& address);

// InvalidArgument unless `url` is an absolute http or https URL without a name or password in it.
absl::Status CheckUrl(const std::string& url);

// Sends to endpoints, one request at a time (HttpTransfer). Proxies of the environment are not
// used, since the address that is connected to is what is judged.
class HttpPost {
 public:
  struct Options {
    absl::Duration timeout = absl::Seconds(10);  // of one request, all in all
    bool allow_local = false;                    // addresses that are IsLocal
  };

  // `stopping` must outlive it: once true, a request under way is given up within a second or so.
  HttpPost(Options options, const std::atomic<bool>& stopping);

  // OK: the answer was 2xx. PermissionDenied: the address is local. Aborted: another answer.
  // Unavailable: there was none. The text says what happened, and nothing of what was sent.
  absl::Status Send(const std::string& url, const std::vector<std::string>& headers,
                    const std::string& body);

 private:
  HttpTransfer transfer_;
};

}  // namespace agentdesk::webhooks

#endif  // AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_HTTP_POST_H_
