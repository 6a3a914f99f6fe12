#include "ws_gateway/acceptor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"

namespace agentdesk::gateway {
namespace {

namespace net = boost::asio;
using net::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr std::chrono::milliseconds kPause{100};

std::string AddressText(const net::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

}  // namespace

Acceptor::Acceptor(net::io_context& io, std::string refusal, OnConnection on_connection)
    : io_(io),
      refusal_(std::move(refusal)),
      on_connection_(std::move(on_connection)),
      acceptor_(io),
      pause_(io) {}

Acceptor::~Acceptor() {
  Stop();
  if (spare_descriptor_ >= 0) ::close(spare_descriptor_);
}

absl::StatusOr<uint16_t> Acceptor::Listen(absl::string_view address, bool share_port) {
  const size_t colon = address.rfind(':');
  absl::string_view host = address.substr(0, colon);
  uint32_t port = 0;
  if (colon == absl::string_view::npos || host.empty() ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 0xffff) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on \"", address, "\": HOST:PORT is needed"));
  }
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);

  ErrorCode error;
  const auto failed = [&] {
    Stop();
    return absl::UnavailableError(absl::StrCat(
        "--listen cannot be served: ", address, ": ",
        error == net::error::address_in_use ? "another program uses this port" : error.message()));
  };
  const auto found = tcp::resolver(io_).resolve(std::string(host), std::to_string(port),
                                                tcp::resolver::passive, error);
  if (error) return failed();
  const tcp::endpoint endpoint = *found.begin();
  if (acceptor_.open(endpoint.protocol(), error)) return failed();
  if (acceptor_.set_option(net::socket_base::reuse_address(true), error)) return failed();
  const int on = 1;
  if (share_port &&
      ::setsockopt(acceptor_.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
    error.assign(errno, boost::system::system_category());
    return failed();
  }
  if (acceptor_.bind(endpoint, error)) return failed();
  if (acceptor_.listen(net::socket_base::max_listen_connections, error)) return failed();
  const tcp::endpoint bound = acceptor_.local_endpoint(error);
  if (error) return failed();
  Accept();
  return bound.port();
}

void Acceptor::Stop() {
  ErrorCode ignored;
  acceptor_.close(ignored);
  pause_.cancel();
}

void Acceptor::Accept() {
  if (spare_descriptor_ < 0) spare_descriptor_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  acceptor_.async_accept(
      peer_, [this, alive = std::weak_ptr<char>(alive_)](ErrorCode error, TcpSocket socket) {
        if (!alive.expired() && acceptor_.is_open()) OnAccepted(error, std::move(socket));
      });
}

void Acceptor::OnAccepted(ErrorCode error, TcpSocket socket) {
  if (!error) {
    if (std::exchange(exhausted_, false)) LogInfo("accepting connections again");
    on_connection_(std::move(socket), AddressText(peer_.address()));
    return Accept();
  }
  // Of the errors of accept(2) only this one is about the connection and not about this process.
  if (error == net::error::connection_aborted) return Accept();
  if (!std::exchange(exhausted_, true)) {
    LogWarning("cannot accept connections", {{"error", error.message()}});
  }
  RefuseOne();
  Pause();
}

void Acceptor::RefuseOne() {
  if (spare_descriptor_ < 0) return;
  ::close(std::exchange(spare_descriptor_, -1));
  // Does not block: Asio has made the acceptor non-blocking.
  const int fd = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t sent =
      ::send(fd, refusal_.data(), refusal_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::close(fd);
}

void Acceptor::Pause() {
  pause_.expires_after(kPause);
  pause_.async_wait([this, alive = std::weak_ptr<char>(alive_)](ErrorCode) {
    if (!alive.expired() && acceptor_.is_open()) Accept();
  });
}

}  // namespace agentdesk::gateway
