#ifndef AGENTDESK_CORE_SERVICE_PULSE_H_
#define AGENTDESK_CORE_SERVICE_PULSE_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "core_service/desk/desk.h"

namespace agentdesk {

// Whether the desk is alive, for a watchdog. Used by one thread.
class Pulse {
 public:
  // `desk` must outlive it.
  explicit Pulse(desk::Desk& desk) : desk_(desk), answered_(std::make_shared<Answered>()) {}

  // Whether the writer and a reader have answered what they were asked the last time; asks again.
  bool Beats();

 private:
  // Answers may still come when this is gone.
  struct Answered {
    std::atomic<int64_t> writer{0};
    std::atomic<int64_t> reader{0};
  };

  desk::Desk& desk_;
  const std::shared_ptr<Answered> answered_;
  int64_t asked_ = 0;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_PULSE_H_
