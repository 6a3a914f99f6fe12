// A program with a data race, in a handler that our own event log calls from two threads: the
// thread sanitizer must report it, or its silence about everything else means nothing.

#include <memory>
#include <thread>
#include <vector>

#include "core_service/events/event_log.h"

namespace {

class Careless final : public agentdesk::events::Waiter {
 public:
  void OnEvents() override { ++calls_; }
  int calls() const { return calls_; }

 private:
  int calls_ = 0;
};

}  // namespace

int main() {
  using agentdesk::events::EventLog;
  const auto careless = std::make_shared<Careless>();
  // Made here, since counting references in the threads would order them by accident.
  const std::vector<std::shared_ptr<agentdesk::events::Waiter>> waiters = {careless};
  std::thread one([&] { EventLog::Wake(waiters); });
  std::thread other([&] { EventLog::Wake(waiters); });
  one.join();
  other.join();
  return careless->calls() == 2 ? 0 : 1;
}
