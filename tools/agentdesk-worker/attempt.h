#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_ATTEMPT_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_ATTEMPT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/agent.pb.h"
#include "tools/agentdesk-worker/agent.h"
#include "tools/agentdesk-worker/agent_protocol.h"
#include "tools/agentdesk-worker/alarms.h"
#include "tools/agentdesk-worker/lease_calls.h"
#include "tools/agentdesk-worker/outgoing.h"
#include "tools/agentdesk-worker/running_time.h"
#include "tools/agentdesk-worker/transcript.h"

namespace agentdesk::worker {

// One attempt at a job, from the claim to its end: holds the lease, runs the agent, carries what it
// says to the core in order and what humans say to the agent, and ends the attempt as the agent
// ended. Lives on the worker's one thread.
class Attempt : private Agent::Listener {
 public:
  struct Options {
    absl::Duration cancel_grace = absl::Seconds(10);
    absl::Duration core_loss_grace = absl::Minutes(15);
    std::string transcript_directory = "/tmp";
  };
  using StartAgent = absl::AnyInvocable<absl::StatusOr<std::unique_ptr<Agent>>(Agent::Listener&)>;

  // `on_started` hears once that the agent runs, or why this machine could not start it: then the
  // job is given back, as no attempt of its was made. `on_over` is called once, when nothing of the
  // attempt is left to do. Neither may destroy the attempt at once. `alarms` must outlive it.
  Attempt(Options options, v1::ClaimJobResponse claim, std::unique_ptr<LeaseCalls> calls,
          StartAgent start_agent, absl::AnyInvocable<void(const absl::Status&)> on_started,
          Alarms& alarms, absl::AnyInvocable<void()> on_over);
  ~Attempt() override;
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  void Start();
  // The worker ends: ends the agent and gives the job back.
  void Stop();

  const std::string& job_id() const { return claim_.job().job_id(); }

 private:
  // Agent::Listener
  void OnLine(absl::string_view line) override;
  void OnLineTooLong() override;
  void OnInputDrained() override;
  void OnExit(const AgentExit& exit) override;

  // attempt_agent.cc: the agent's life and what it says.
  void ReadTranscript(std::string page_token);
  void OnTranscriptPage(absl::StatusOr<v1::ListEventsResponse> page);
  void RunAgent();
  void GiveBack(const absl::Status& why);
  void Take(Chatter, absl::string_view line);
  void Take(const Refused& refused, absl::string_view line);
  void Take(Activities activities, absl::string_view line);
  void Take(Checkpoint checkpoint, absl::string_view line);
  void Take(v1::AskQuestionRequest question, absl::string_view line);
  void Take(Withdraw withdraw, absl::string_view line);
  void Take(Park, absl::string_view line);
  void Take(v1::CompleteJobRequest complete, absl::string_view line);
  void Take(v1::FailJobRequest fail, absl::string_view line);
  void Tell(std::string text);
  void EndAs(const AgentExit& exit);
  void UpdateReading();
  void UpdateClock();
  void KillAgent();
  void KillAgentAfter(absl::Duration grace);
  // The agent has said that it ends. That puts no kill off that is to come anyway.
  void ExpectEnd();

  // attempt.cc: the lease and the way to the core and back.
  void KeepLease(absl::Duration delay);
  void OnRenewed(absl::StatusOr<v1::RenewLeaseResponse> response);
  void OnInput(const v1::ReceiveInputResponse& input);
  void NextInputWhenDrained();
  void Cancel();
  // Stops at once: nothing that the attempt does counts any more.
  void Abandon(absl::string_view why);
  void Push(Delivery delivery);
  void SendNext();
  void Report(std::vector<Delivery> batch);
  void OnAsked(const Ask& ask, absl::StatusOr<v1::AskQuestionResponse> response);
  void OnTakenBack(const TakeBack& take_back,
                   absl::StatusOr<v1::WithdrawQuestionResponse> response);
  void TellOutcome(const v1::Question& question, int64_t told_up_to);
  // What has ended, or is about to end, the attempt.
  enum class Ending { kNone, kByAgent, kByWorker };
  void End(Delivery last, Ending ending);
  void OnEnded(const absl::Status& status, absl::string_view how);
  void OnEndRefused(const absl::Status& status);
  // True when `status` is fatal for the attempt, which then is abandoned.
  bool IsFatal(const absl::Status& status);
  void Refuse(const absl::Status& why, const std::string& key);
  void Delivered();
  void CheckOver();

  const Options options_;
  const v1::ClaimJobResponse claim_;
  const std::unique_ptr<LeaseCalls> calls_;
  StartAgent start_agent_;
  absl::AnyInvocable<void(const absl::Status&)> on_started_;
  Alarms& alarms_;
  absl::AnyInvocable<void()> on_over_;

  std::unique_ptr<Transcript> transcript_;
  std::unique_ptr<Agent> agent_;  // null before it runs and after it has ended

  Outgoing outgoing_;
  bool sending_ = false;
  bool sending_last_ = false;  // what goes to the core now ends the attempt
  Ending ending_ = Ending::kNone;
  bool ended_ = false;  // the core knows that the attempt has ended
  bool abandoned_ = false;
  bool over_ = false;

  bool cancelled_ = false;
  bool timed_out_ = false;
  bool stopped_ = false;
  bool killed_ = false;  // by us
  bool parked_ = false;  // the agent wrote `park`

  // Before the outcomes that the agent asked for again and had not been told when it parked.
  int64_t parks_after_;
  int64_t told_up_to_;          // the position up to which input was sent to the agent
  bool input_held_up_ = false;  // the next input waits until the agent reads

  RunningTime running_time_;
  int asking_ = 0;  // questions that the agent asked and the core has not stored yet
  absl::flat_hash_set<std::string> open_questions_;  // asked in this attempt
  absl::flat_hash_set<std::string>
      closed_while_asking_;  // told as over before AskQuestion was done

  std::optional<absl::Duration> core_lost_since_;
  std::unique_ptr<Alarm> renew_alarm_;
  std::unique_ptr<Alarm> timeout_alarm_;
  std::unique_ptr<Alarm> kill_alarm_;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_ATTEMPT_H_
