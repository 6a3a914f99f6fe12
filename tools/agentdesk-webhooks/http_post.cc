#include "tools/agentdesk-webhooks/http_post.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace agentdesk::webhooks {
namespace {

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
  const std::optional<UrlParts> parts = ParseUrl(url);
  if (!parts.has_value()) {
    return absl::InvalidArgumentError("must be a URL such as https://example.org/hook");
  }
  if (parts->scheme != "http" && parts->scheme != "https") {
    return absl::InvalidArgumentError("must begin with https:// or http://");
  }
  if (!parts->user.empty() || !parts->password.empty()) {
    return absl::InvalidArgumentError("must not hold a name or a password");
  }
  return absl::OkStatus();
}

HttpPost::HttpPost(Options options, const std::atomic<bool>& stopping)
    : transfer_({.timeout = options.timeout,
                 .max_answer_bytes = 0,
                 .proxies_of_environment = false,
                 .stopping = [&stopping] { return stopping.load(std::memory_order_relaxed); },
                 .may_connect =
                     [allow_local = options.allow_local](const sockaddr& address) {
                       return allow_local || !IsLocal(address);
                     }}) {}

absl::Status HttpPost::Send(const std::string& url, const std::vector<std::string>& headers,
                            const std::string& body) {
  const absl::StatusOr<HttpTransfer::Answer> answer =
      transfer_.Perform({.url = url, .headers = headers, .body = body});
  if (absl::IsPermissionDenied(answer.status())) {
    return absl::PermissionDeniedError(
        "the endpoint's address is loopback or link-local; --allow_local_endpoints allows it");
  }
  if (!answer.ok()) return answer.status();
  if (answer->status >= 200 && answer->status < 300) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("the endpoint answered ", answer->status));
}

}  // namespace agentdesk::webhooks
