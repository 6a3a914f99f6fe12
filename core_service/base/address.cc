#include "core_service/base/address.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace agentdesk {
namespace {

absl::Status NotAnAddress() {
  return absl::InvalidArgumentError(
      "must be an IP address and a port, such as 127.0.0.1:PORT or [::1]:PORT");
}

template <typename Socket>
Address AddressOf(const Socket& socket) {
  Address address;
  std::memcpy(&address.socket, &socket, sizeof(socket));
  address.size = sizeof(socket);
  return address;
}

template <typename Socket>
Socket As(const sockaddr_storage& storage) {
  Socket socket;
  std::memcpy(&socket, &storage, sizeof(socket));
  return socket;
}

absl::Status SystemError(absl::string_view what, const Address& address, int error) {
  const std::string text =
      absl::StrCat(what, " ", address.ToString(), ": ",
                   error == EADDRINUSE ? "another program uses this port" : std::strerror(error));
  switch (error) {
    case EADDRINUSE:
      return absl::FailedPreconditionError(text);
    case EACCES:
      return absl::PermissionDeniedError(text);
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(text);
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace

absl::StatusOr<Address> Address::Parse(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return NotAnAddress();
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError("must end with a port from 0 to 65535");
  }
  absl::string_view host = text.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]")) return NotAnAddress();
    sockaddr_in6 socket{};
    socket.sin6_family = AF_INET6;
    socket.sin6_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET6, std::string(host).c_str(), &socket.sin6_addr) != 1) {
      return NotAnAddress();
    }
    return AddressOf(socket);
  }
  if (host == "localhost") host = "127.0.0.1";
  sockaddr_in socket{};
  socket.sin_family = AF_INET;
  socket.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, std::string(host).c_str(), &socket.sin_addr) != 1) return NotAnAddress();
  return AddressOf(socket);
}

Address Address::OfSocket(int fd) {
  Address address;
  address.size = sizeof(address.socket);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.socket), &address.size) != 0) {
    address.size = 0;
  }
  return address;
}

bool Address::is_loopback() const {
  if (socket.ss_family == AF_INET) {
    return (ntohl(As<sockaddr_in>(socket).sin_addr.s_addr) >> 24) == 127;
  }
  if (socket.ss_family != AF_INET6) return false;
  const in6_addr host = As<sockaddr_in6>(socket).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&host) || (IN6_IS_ADDR_V4MAPPED(&host) && host.s6_addr[12] == 127);
}

std::string Address::ToString() const {
  char host[INET6_ADDRSTRLEN] = "";
  if (socket.ss_family == AF_INET6) {
    const auto in6 = As<sockaddr_in6>(socket);
    inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
    return absl::StrCat("[", host, "]:", ntohs(in6.sin6_port));
  }
  const auto in = As<sockaddr_in>(socket);
  inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
  return absl::StrCat(host, ":", ntohs(in.sin_port));
}

absl::StatusOr<int> Listen(const Address& address, int backlog) {
  const int listener =
      socket(address.socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) return SystemError("listening on", address, errno);
  const int on = 1;
  // Without SO_REUSEADDR a restart would wait for old connections to be forgotten. SO_REUSEPORT,
  // which would let a second process steal connections, stays off.
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address.socket), address.size) != 0 ||
      listen(listener, backlog) != 0) {
    const absl::Status status = SystemError("listening on", address, errno);
    close(listener);
    return status;
  }
  return listener;
}

}  // namespace agentdesk
