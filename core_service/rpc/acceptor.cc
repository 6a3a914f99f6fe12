#include "core_service/rpc/acceptor.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"

namespace agentdesk::rpc {
namespace {

constexpr int kBacklog = 1024;
// A peer that acknowledges nothing, or takes nothing, for so long is gone. gRPC's keepalive would
// not end its connection as long as a write to the socket is stuck.
constexpr unsigned kPeerTimeoutMs = 60000;
constexpr int kNoDescriptorsPauseMs = 100;
constexpr absl::Duration kCountEvery = absl::Milliseconds(100);
constexpr absl::Duration kWarnEvery = absl::Seconds(10);

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

// The socket that a descriptor names; 0: none.
ino_t SocketOf(int fd) {
  struct stat about {};
  return fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode) ? about.st_ino : 0;
}

bool IsOutOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(const Address& address,
                                                           int max_connections) {
  const absl::StatusOr<int> listener = agentdesk::Listen(address, kBacklog);
  if (!listener.ok()) return listener.status();
  const int wake = eventfd(0, EFD_CLOEXEC);
  if (wake < 0) {
    close(*listener);
    return absl::UnavailableError("no descriptor is left");
  }
  return std::unique_ptr<Acceptor>(new Acceptor(*listener, wake, max_connections));
}

Acceptor::Acceptor(int listener, int wake, int max_connections)
    : address_(Address::OfSocket(listener).ToString()),
      max_connections_(static_cast<size_t>(max_connections)),
      wake_(wake),
      listener_(listener),
      spare_(OpenSpare()) {}

Acceptor::~Acceptor() {
  Stop();
  close(wake_);
  if (spare_ >= 0) close(spare_);
}

void Acceptor::Start(Take take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Stop() {
  if (thread_.joinable()) {
    eventfd_write(wake_, 1);
    thread_.join();
  }
  if (listener_ >= 0) close(std::exchange(listener_, -1));
}

void Acceptor::Cut() {
  CountOpen();
  for (const auto& [fd, socket] : open_) shutdown(fd, SHUT_RDWR);
}

void Acceptor::StopWriting() {
  CountOpen();
  for (const auto& [fd, socket] : open_) shutdown(fd, SHUT_WR);
}

void Acceptor::Run() {
  bool out_of_descriptors = false;
  while (true) {
    pollfd fds[] = {{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    // The listener stays readable while descriptors are out: then only the pause ends the wait.
    const int ready = out_of_descriptors ? poll(fds, 1, kNoDescriptorsPauseMs) : poll(fds, 2, -1);
    if (ready < 0 && errno != EINTR) {
      LogError("poll failed", {{"error", std::strerror(errno)}});
      out_of_descriptors = true;
      continue;
    }
    if ((fds[0].revents & POLLIN) != 0) return;
    out_of_descriptors = !AcceptAll();
  }
}

bool Acceptor::AcceptAll() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
      if (!IsOutOfDescriptors(errno)) return errno == EAGAIN;
      ShedOne();
      return false;
    }
    open_.erase(fd);  // whoever had this number has closed it
    if (!HasRoom()) {
      close(fd);
      refused_.Add(1);
      continue;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kPeerTimeoutMs, sizeof(kPeerTimeoutMs));
    open_.emplace(fd, SocketOf(fd));
    accepted_.Add(1);
    take_(fd);
  }
}

void Acceptor::ShedOne() {
  const absl::Time now = absl::Now();
  if (now - warned_ > kWarnEvery) {
    warned_ = now;
    LogWarning("out of descriptors: connections are refused",
               {{"connections", open_.size()}, {"max_connections", max_connections_}});
  }
  if (spare_ >= 0) {
    close(spare_);
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      close(fd);
      refused_.Add(1);
    }
  }
  spare_ = OpenSpare();
}

bool Acceptor::HasRoom() {
  if (open_.size() < max_connections_) return true;
  const absl::Time now = absl::Now();
  if (now - counted_ < kCountEvery) return false;
  counted_ = now;
  CountOpen();
  if (open_.size() < max_connections_) return true;
  if (now - warned_ > kWarnEvery) {
    warned_ = now;
    LogWarning("too many connections: more are refused", {{"max_connections", max_connections_}});
  }
  return false;
}

void Acceptor::CountOpen() {
  for (auto entry = open_.begin(); entry != open_.end();) {
    const auto connection = entry++;
    if (SocketOf(connection->first) != connection->second) open_.erase(connection);
  }
}

}  // namespace agentdesk::rpc
