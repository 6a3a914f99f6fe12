#include "tools/agentdesk-bench/event_loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "tools/agentdesk-bench/failure.h"

namespace agentdesk::bench {
namespace {

constexpr int kFirstSource = 2;
constexpr int kLastSource = 64;

}  // namespace

void FailErrno(absl::string_view what) { Fail(what, ": ", std::strerror(errno)); }

int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ < 0) return;
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));  // means nothing to others
  close(fd_);
}

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_.open()) FailErrno("epoll_create1");
}

void EventLoop::Watch(int fd, uint32_t events, Watcher& watcher) {
  epoll_event event{.events = events, .data = {.ptr = &watcher}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) FailErrno("epoll_ctl");
}

void EventLoop::Change(int fd, uint32_t events, Watcher& watcher) {
  epoll_event event{.events = events, .data = {.ptr = &watcher}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) FailErrno("epoll_ctl");
}

void EventLoop::Unwatch(int fd) {
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr) != 0) FailErrno("epoll_ctl");
}

void EventLoop::Poll(int64_t timeout_ns) {
  const timespec timeout{.tv_sec = timeout_ns / 1'000'000'000,
                         .tv_nsec = timeout_ns % 1'000'000'000};
  const int count =
      epoll_pwait2(epoll_.get(), ready_.data(), static_cast<int>(ready_.size()), &timeout, nullptr);
  if (count < 0 && errno != EINTR) FailErrno("epoll_pwait2");
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = ready_[static_cast<size_t>(i)];
    static_cast<Watcher*>(event.data.ptr)->OnReady(event.events);
  }
}

void EventLoop::RunUntil(absl::FunctionRef<bool()> condition, absl::string_view what,
                         double seconds) {
  const int64_t deadline = NowNs() + static_cast<int64_t>(seconds * 1e9);
  while (!condition()) {
    if (NowNs() > deadline) Fail("in ", seconds, " s there was no: ", what);
    Poll(10'000'000);
  }
}

void EventLoop::RunFor(double seconds) {
  const int64_t end = NowNs() + static_cast<int64_t>(seconds * 1e9);
  for (int64_t now = NowNs(); now < end; now = NowNs())
    Poll(std::min<int64_t>(end - now, 10'000'000));
}

Descriptor StartConnecting(uint16_t port) {
  static int next = kFirstSource;
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.open()) FailErrno("socket");
  const int on = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // The port is chosen with the peer known: else each address would have only so many in all.
  setsockopt(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(0x7f000000u | static_cast<uint32_t>(next));
  next = next == kLastSource ? kFirstSource : next + 1;
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&from), sizeof(from)) != 0) FailErrno("bind");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(port);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0 &&
      errno != EINPROGRESS) {
    FailErrno("connect");
  }
  return socket;
}

void CheckConnected(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) FailErrno("getsockopt");
  errno = error;
  if (error != 0) FailErrno("connect");
}

}  // namespace agentdesk::bench
