#include "tools/agentdesk-bench/abuser.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/agentdesk-bench/event_loop.h"
#include "tools/agentdesk-bench/failure.h"

namespace agentdesk::bench {
namespace {

constexpr int64_t kNsInSecond = 1'000'000'000;
// How many of those that give up at the first answer there are to choose from.
constexpr int kPacedClients = 2000;

class BadClient final : public Watcher {
 public:
  BadClient(EventLoop& loop, uint16_t port, const Manner& manner, Abuser::Deeds& deeds)
      : loop_(loop), port_(port), manner_(manner), deeds_(deeds) {}

  bool idle() const { return !socket_.open(); }

  void Connect() {
    socket_ = StartConnecting(port_);
    connected_ = false;
    left_ = manner_.hello;
    loop_.Watch(socket_.get(), EPOLLIN | EPOLLOUT, *this);
  }

  // It is time for one more repeat.
  void Repeat() {
    if (!connected_ || !left_.empty()) return;
    left_ = manner_.repeat;
    Write();
  }

  void OnReady(uint32_t events) override {
    if (!Discard()) return End();
    if ((events & EPOLLOUT) == 0) return;
    if (!std::exchange(connected_, true)) ++deeds_.connected;
    Write();
  }

 private:
  // False: the connection is over.
  bool Discard() {
    std::array<char, 16384> bytes;
    while (true) {
      const ssize_t size = recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (size < 0) return errno == EAGAIN || errno == EINTR;
      if (size == 0 || manner_.new_per_second > 0) return false;
    }
  }

  void Write() {
    while (!left_.empty()) {
      const ssize_t size = send(socket_.get(), left_.data(), left_.size(), MSG_NOSIGNAL);
      // What is wrong with the connection, reading will tell.
      if (size < 0) break;
      left_.remove_prefix(static_cast<size_t>(size));
      if (!left_.empty()) break;
      if (std::exchange(greeted_, true)) ++deeds_.repeated;
      if (manner_.every_ns == 0) {
        left_ = manner_.repeat;
        // Then the others get their turn.
        break;
      }
    }
    loop_.Change(socket_.get(), left_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT, *this);
  }

  void End() {
    ++deeds_.ended;
    greeted_ = false;
    socket_ = Descriptor();
    if (manner_.new_per_second == 0) Connect();
  }

  EventLoop& loop_;
  const uint16_t port_;
  const Manner& manner_;
  Abuser::Deeds& deeds_;
  Descriptor socket_;
  bool connected_ = false;
  bool greeted_ = false;    // the hello has been sent whole
  absl::string_view left_;  // of what is being sent
};

[[noreturn]] void Abuse(const Manner& manner, uint16_t port, Abuser::Deeds& deeds) {
  EventLoop loop;
  std::vector<std::unique_ptr<BadClient>> clients;
  const bool paced = manner.new_per_second > 0;
  for (int i = 0; i < (paced ? kPacedClients : manner.connections); ++i) {
    clients.push_back(std::make_unique<BadClient>(loop, port, manner, deeds));
    if (!paced) clients.back()->Connect();
  }
  const int64_t interval =
      paced ? static_cast<int64_t>(kNsInSecond / manner.new_per_second) : manner.every_ns;
  int64_t next_at = NowNs();
  size_t next = 0;
  while (true) {
    loop.Poll(interval == 0 ? kNsInSecond : kNsInSecond / 1000);
    for (; interval > 0 && next_at <= NowNs(); next_at += interval) {
      if (paced) {
        BadClient& client = *clients[next++ % clients.size()];
        if (client.idle()) client.Connect();
      } else {
        for (const std::unique_ptr<BadClient>& client : clients) client->Repeat();
      }
    }
  }
}

Abuser::Deeds* SharedDeeds() {
  void* const page = mmap(nullptr, sizeof(Abuser::Deeds), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) FailErrno("mmap");
  return new (page) Abuser::Deeds();
}

}  // namespace

Abuser::Abuser(Manner manner, uint16_t port) : manner_(std::move(manner)), deeds_(SharedDeeds()) {
  pid_ = fork();
  if (pid_ < 0) FailErrno("fork");
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    Abuse(manner_, port, *deeds_);
  } catch (const Failure&) {
    // The bench sees that it has ended.
    _exit(1);
  }
}

void Abuser::MustLive() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0) return;
  pid_ = -1;
  Fail(manner_.name, ": the process that does it has ended");
}

Abuser::~Abuser() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  munmap(deeds_, sizeof(Deeds));
}

}  // namespace agentdesk::bench
