#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_ASIO_ALARMS_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_ASIO_ALARMS_H_

#include <memory>
#include <utility>

#include "boost/asio/io_context.hpp"
#include "boost/asio/steady_timer.hpp"
#include "core_service/base/clock.h"
#include "tools/agentdesk-worker/alarms.h"

namespace agentdesk::worker {

// Alarms that ring on the thread that runs `io`, which must outlive them.
class AsioAlarms final : public Alarms {
 public:
  explicit AsioAlarms(boost::asio::io_context& io) : io_(io) {}

  absl::Duration Now() override { return Clock::Real().Monotonic(); }
  std::unique_ptr<Alarm> Set(absl::Duration delay, absl::AnyInvocable<void()> then) override {
    return std::make_unique<AsioAlarm>(io_, delay, std::move(then));
  }

 private:
  struct State {
    State(boost::asio::io_context& io, absl::AnyInvocable<void()> then_in)
        : timer(io), then(std::move(then_in)) {}
    boost::asio::steady_timer timer;
    absl::AnyInvocable<void()> then;
    bool off = false;
  };
  class AsioAlarm final : public Alarm {
   public:
    AsioAlarm(boost::asio::io_context& io, absl::Duration delay, absl::AnyInvocable<void()> then)
        : state_(std::make_shared<State>(io, std::move(then))) {
      state_->timer.expires_after(absl::ToChronoNanoseconds(delay));
      state_->timer.async_wait([state = state_](const boost::system::error_code&) {
        if (!state->off) state->then();
      });
    }
    ~AsioAlarm() override {
      state_->off = true;
      state_->timer.cancel();
    }

   private:
    const std::shared_ptr<State> state_;
  };

  boost::asio::io_context& io_;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_ASIO_ALARMS_H_
