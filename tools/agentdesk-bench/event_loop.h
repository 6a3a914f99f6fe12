#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_EVENT_LOOP_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_EVENT_LOOP_H_

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace agentdesk::bench {

// Nanoseconds of the system's clock, which is also the one of the kernel's socket timestamps.
int64_t NowNs();

// What waits for a descriptor.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void OnReady(uint32_t events) = 0;
};

// A descriptor that is closed when this goes. A connected socket is reset and leaves nothing in
// TIME_WAIT, or a few runs would use up all ports.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

// The one thread of the load: epoll, level-triggered. Not thread-safe.
class EventLoop {
 public:
  EventLoop();

  void Watch(int fd, uint32_t events, Watcher& watcher);
  void Change(int fd, uint32_t events, Watcher& watcher);
  // Only for a descriptor that stays open.
  void Unwatch(int fd);

  // Calls whoever is ready, waiting at most so long for the first.
  void Poll(int64_t timeout_ns);
  // Polls until the condition holds; fails, naming `what`, when it does not within the time.
  void RunUntil(absl::FunctionRef<bool()> condition, absl::string_view what, double seconds = 120);
  // Polls for a time.
  void RunFor(double seconds);

 private:
  Descriptor epoll_;
  std::array<epoll_event, 512> ready_;
};

// Starts to connect to 127.0.0.1:`port` from one of the addresses 127.0.0.2 to 127.0.0.64, in turn:
// one address has ports for 28,000 connections. The socket is non-blocking, without Nagle's delay.
Descriptor StartConnecting(uint16_t port);
// Fails when connecting has.
void CheckConnected(int fd);

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_EVENT_LOOP_H_
