#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_ABUSER_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_ABUSER_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace agentdesk::bench {

// What somebody does to a gateway who means it no good.
struct Manner {
  std::string name = {};
  int connections = 0;        // at a time; one that the gateway ends is made again at once
  std::string hello = {};     // sent on each of them
  std::string repeat = {};    // sent after that, again and again
  int64_t every_ns = 0;       // between two repeats; 0: as fast as the gateway takes it
  double new_per_second = 0;  // in place of all at once: each is given up at the first answer
};

// A process beside the bench that behaves like that, from the start of this object to its end; in
// one of its own, so that what it costs is not taken for the gateway's being slow.
class Abuser {
 public:
  Abuser(Manner manner, uint16_t port);
  ~Abuser();
  Abuser(const Abuser&) = delete;
  Abuser& operator=(const Abuser&) = delete;

  // What it has managed to do so far.
  struct Deeds {
    std::atomic<int64_t> connected{0};
    std::atomic<int64_t> repeated{0};
    std::atomic<int64_t> ended{0};  // connections, by the gateway
  };
  const Deeds& deeds() const { return *deeds_; }
  // How often it has done what it is there for.
  int64_t done() const { return manner_.repeat.empty() ? deeds_->connected : deeds_->repeated; }
  // Fails when the process has ended: what was measured beside it was measured beside nobody.
  void MustLive();
  const Manner& manner() const { return manner_; }

 private:
  const Manner manner_;
  Deeds* const deeds_;  // shared with the process
  pid_t pid_ = -1;      // -1: it has ended
};

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_ABUSER_H_
