#ifndef AGENTDESK_TESTS_UNIT_TOOLS_ATTEMPT_FAKES_H_
#define AGENTDESK_TESTS_UNIT_TOOLS_ATTEMPT_FAKES_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tools/agentdesk-worker/agent.h"
#include "tools/agentdesk-worker/alarms.h"
#include "tools/agentdesk-worker/lease_calls.h"

namespace agentdesk::worker {

// Alarms that ring when the test moves the time.
class FakeAlarms final : public Alarms {
 public:
  absl::Duration Now() override { return now_; }
  std::unique_ptr<Alarm> Set(absl::Duration delay, absl::AnyInvocable<void()> then) override {
    const auto it = pending_.emplace(now_ + delay, std::make_shared<Pending>(std::move(then)));
    return std::make_unique<FakeAlarm>(it->second);
  }
  // Moves the time, ringing what is due on the way.
  void Advance(absl::Duration by) {
    const absl::Duration until = now_ + by;
    while (!pending_.empty() && pending_.begin()->first <= until) {
      now_ = std::max(now_, pending_.begin()->first);
      const std::shared_ptr<Pending> due = pending_.begin()->second;
      pending_.erase(pending_.begin());
      if (!due->off) due->then();
    }
    now_ = until;
  }

 private:
  struct Pending {
    explicit Pending(absl::AnyInvocable<void()> then_in) : then(std::move(then_in)) {}
    absl::AnyInvocable<void()> then;
    bool off = false;
  };
  struct FakeAlarm final : Alarm {
    explicit FakeAlarm(std::shared_ptr<Pending> pending_in) : pending(std::move(pending_in)) {}
    ~FakeAlarm() override { pending->off = true; }
    std::shared_ptr<Pending> pending;
  };

  absl::Duration now_;
  std::multimap<absl::Duration, std::shared_ptr<Pending>> pending_;
};

// The core's side: keeps what was asked until the test answers.
class FakeLeaseCalls final : public LeaseCalls {
 public:
  template <typename Request, typename Response>
  struct Pending {
    Request request;
    Done<Response> done;
  };
  template <typename Request, typename Response>
  using Queue = std::deque<Pending<Request, Response>>;

  void Renew(Done<v1::RenewLeaseResponse> done) override { renewals.push_back(std::move(done)); }
  void Call(v1::ReportActivityRequest request, Done<v1::ReportActivityResponse> done) override {
    reports.push_back({std::move(request), std::move(done)});
  }
  void Call(v1::AskQuestionRequest request, Done<v1::AskQuestionResponse> done) override {
    asks.push_back({std::move(request), std::move(done)});
  }
  void Call(v1::WithdrawQuestionRequest request, Done<v1::WithdrawQuestionResponse> done) override {
    withdrawals.push_back({std::move(request), std::move(done)});
  }
  void Call(v1::ReleaseJobRequest request, Done<v1::ReleaseJobResponse> done) override {
    releases.push_back({std::move(request), std::move(done)});
  }
  void Call(v1::CompleteJobRequest request, Done<v1::CompleteJobResponse> done) override {
    completions.push_back({std::move(request), std::move(done)});
  }
  void Call(v1::FailJobRequest request, Done<v1::FailJobResponse> done) override {
    failures.push_back({std::move(request), std::move(done)});
  }
  void Call(v1::ListEventsRequest request, Done<v1::ListEventsResponse> done) override {
    lists.push_back({std::move(request), std::move(done)});
  }
  void ReceiveInput(int64_t after_sequence,
                    absl::AnyInvocable<void(v1::ReceiveInputResponse)> on_input_in) override {
    input_after = after_sequence;
    on_input = std::move(on_input_in);
    ++inputs_wanted;
  }
  void NextInput() override { ++inputs_wanted; }

  // Answers the oldest call of a queue.
  template <typename Request, typename Response>
  static Request Answer(Queue<Request, Response>& queue, absl::StatusOr<Response> response) {
    Pending<Request, Response> pending = std::move(queue.front());
    queue.pop_front();
    pending.done(std::move(response));
    return pending.request;
  }

  std::deque<Done<v1::RenewLeaseResponse>> renewals;
  Queue<v1::ReportActivityRequest, v1::ReportActivityResponse> reports;
  Queue<v1::AskQuestionRequest, v1::AskQuestionResponse> asks;
  Queue<v1::WithdrawQuestionRequest, v1::WithdrawQuestionResponse> withdrawals;
  Queue<v1::ReleaseJobRequest, v1::ReleaseJobResponse> releases;
  Queue<v1::CompleteJobRequest, v1::CompleteJobResponse> completions;
  Queue<v1::FailJobRequest, v1::FailJobResponse> failures;
  Queue<v1::ListEventsRequest, v1::ListEventsResponse> lists;
  int64_t input_after = -1;
  int inputs_wanted = 0;
  absl::AnyInvocable<void(v1::ReceiveInputResponse)> on_input;
};

// What the test sees of the agent that runs; outlives it.
struct AgentProbe {
  Agent::Listener* listener = nullptr;
  bool alive = false;
  std::vector<std::string> lines;  // sent to its stdin, without their line breaks
  std::vector<int> signals;
  bool reads_output = true;
  size_t unsent = 0;
};

class FakeAgent final : public Agent {
 public:
  FakeAgent(std::shared_ptr<AgentProbe> probe, Listener& listener) : probe_(std::move(probe)) {
    probe_->listener = &listener;
    probe_->alive = true;
  }
  ~FakeAgent() override { probe_->alive = false; }

  void Send(std::string text) override {
    text.pop_back();
    probe_->lines.push_back(std::move(text));
  }
  size_t unsent_bytes() const override { return probe_->unsent; }
  void ReadOutput(bool read) override { probe_->reads_output = read; }
  void Signal(int signal) override { probe_->signals.push_back(signal); }

 private:
  const std::shared_ptr<AgentProbe> probe_;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TESTS_UNIT_TOOLS_ATTEMPT_FAKES_H_
