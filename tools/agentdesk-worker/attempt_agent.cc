#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"
#include "tools/agentdesk-worker/attempt.h"
#include "tools/utf8.h"

namespace agentdesk::worker {
namespace {

// How much of an agent's output is held back before no more of it is read.
constexpr size_t kMaxHeldBack = 8 << 20;
// An agent that is told much (of lines that were refused) and reads nothing is not read either.
constexpr size_t kMaxUntold = 4 << 20;
constexpr int kTranscriptPage = 1000;

std::string Describe(const AgentExit& exit) {
  std::string how = exit.signal != 0 ? absl::StrCat("the agent was killed by signal ", exit.signal)
                                     : absl::StrCat("the agent ended with exit code ", exit.code);
  if (exit.stderr_tail.empty()) {
    return absl::StrCat(how, " and without complete, fail or park");
  }
  absl::StrAppend(&how, ": ");
  return absl::StrCat(how, tools::Tail(exit.stderr_tail, kMaxSummaryBytes - how.size()));
}

v1::FailJobRequest Retryable(std::string error) {
  v1::FailJobRequest fail;
  fail.set_error(std::move(error));
  fail.set_retryable(true);
  return fail;
}

}  // namespace

void Attempt::ReadTranscript(std::string page_token) {
  if (transcript_ == nullptr) {
    auto transcript = Transcript::Create(options_.transcript_directory, Transcript::Limits());
    if (!transcript.ok()) return GiveBack(transcript.status());
    transcript_ = *std::move(transcript);
  }
  v1::ListEventsRequest request;
  request.set_page_size(kTranscriptPage);
  request.set_page_token(std::move(page_token));
  request.mutable_filter()->add_session_ids(claim_.job().session_id());
  calls_->Call(std::move(request), [this](absl::StatusOr<v1::ListEventsResponse> page) {
    OnTranscriptPage(std::move(page));
  });
}

void Attempt::OnTranscriptPage(absl::StatusOr<v1::ListEventsResponse> page) {
  if (abandoned_ || ending_ != Ending::kNone) return;
  if (!page.ok()) {
    return End(Retryable(absl::StrCat("the transcript cannot be read: ", page.status().message())),
               Ending::kByWorker);
  }
  // What came after the claim is input, and not the transcript's.
  while (!page->events().empty() &&
         page->events(page->events_size() - 1).sequence() > claim_.sequence()) {
    page->mutable_events()->RemoveLast();
  }
  const absl::Status stored = transcript_->Append(page->events());
  if (!stored.ok()) return GiveBack(stored);
  if (!page->next_page_token().empty() && page->up_to_sequence() < claim_.sequence()) {
    return ReadTranscript(page->next_page_token());
  }
  RunAgent();
}

void Attempt::RunAgent() {
  absl::StatusOr<std::unique_ptr<Agent>> agent = start_agent_(*this);
  if (!agent.ok()) return GiveBack(agent.status());
  agent_ = *std::move(agent);
  on_started_(absl::OkStatus());
  Tell(EncodeStart({claim_, transcript_->Last(), transcript_->file()}));
  calls_->ReceiveInput(claim_.sequence(),
                       [this](const v1::ReceiveInputResponse& input) { OnInput(input); });
  UpdateClock();
}

// No agent has run, so this is no attempt that failed: another worker may be able to.
void Attempt::GiveBack(const absl::Status& why) {
  on_started_(why);
  End(v1::ReleaseJobRequest(), Ending::kByWorker);
}

void Attempt::OnLine(absl::string_view line) {
  if (abandoned_) return;
  if (ending_ != Ending::kNone) {
    LogWarning("the agent wrote after its end",
               {{"job_id", job_id()}, {"line", tools::Head(line, kMaxSummaryBytes)}});
    return;
  }
  std::visit([&](auto&& said) { Take(std::forward<decltype(said)>(said), line); },
             ParseAgentLine(line));
}

void Attempt::OnLineTooLong() {
  if (abandoned_) return;
  Refuse(LineTooLong().why, "");
  UpdateReading();
}

void Attempt::OnInputDrained() {
  UpdateReading();
  if (input_held_up_ && !abandoned_ && !ended_) NextInputWhenDrained();
}

void Attempt::Take(Chatter, absl::string_view line) {
  LogInfo("agent stdout",
          {{"job_id", job_id()}, {"line", tools::Repair(tools::Head(line, kMaxSummaryBytes))}});
}

void Attempt::Take(const Refused& refused, absl::string_view) {
  Refuse(refused.why, refused.key);
  UpdateReading();
}

void Attempt::Take(Activities activities, absl::string_view) {
  for (v1::Activity& activity : activities.parts) Push(std::move(activity));
}

void Attempt::Take(Checkpoint checkpoint, absl::string_view) { Push(std::move(checkpoint)); }

void Attempt::Take(v1::AskQuestionRequest question, absl::string_view) {
  ++asking_;
  UpdateClock();
  Push(Ask{std::move(question), told_up_to_});
}

void Attempt::Take(Withdraw withdraw, absl::string_view) {
  Push(TakeBack{std::move(withdraw.key), told_up_to_});
}

void Attempt::Take(Park, absl::string_view) {
  parked_ = true;
  ExpectEnd();
}

void Attempt::Take(v1::CompleteJobRequest complete, absl::string_view) {
  End(std::move(complete), Ending::kByAgent);
  ExpectEnd();
}

void Attempt::Take(v1::FailJobRequest fail, absl::string_view) {
  End(std::move(fail), Ending::kByAgent);
  ExpectEnd();
}

void Attempt::Tell(std::string text) {
  if (agent_ != nullptr && !text.empty()) agent_->Send(std::move(text));
}

void Attempt::UpdateReading() {
  if (agent_ == nullptr || abandoned_) return;
  agent_->ReadOutput(outgoing_.bytes() < kMaxHeldBack && agent_->unsent_bytes() < kMaxUntold);
}

void Attempt::UpdateClock() {
  if (agent_ == nullptr) return;
  const bool waits = asking_ > 0 || !open_questions_.empty();
  if (waits == !running_time_.running()) return;
  if (waits) {
    running_time_.Wait(alarms_.Now());
    timeout_alarm_.reset();
    return;
  }
  running_time_.Run(alarms_.Now());
  const int timeout_s = claim_.ticket().timeout_s();
  if (timeout_s == 0) return;
  timeout_alarm_ =
      alarms_.Set(absl::Seconds(timeout_s) - running_time_.Elapsed(alarms_.Now()), [this] {
        LogWarning("timed out", {{"job_id", job_id()}});
        timed_out_ = !parked_;  // what it said before stands
        KillAgent();
      });
}

void Attempt::KillAgent() {
  if (agent_ == nullptr || killed_) return;
  killed_ = true;
  agent_->Signal(SIGTERM);
  kill_alarm_ = alarms_.Set(kTermGrace, [this] { agent_->Signal(SIGKILL); });
}

void Attempt::KillAgentAfter(absl::Duration grace) {
  if (killed_) return;
  kill_alarm_ = alarms_.Set(grace, [this] { KillAgent(); });
}

void Attempt::ExpectEnd() {
  if (kill_alarm_ == nullptr) KillAgentAfter(options_.cancel_grace);
}

void Attempt::OnExit(const AgentExit& exit) {
  LogInfo("agent ended", {{"job_id", job_id()}, {"exit_code", exit.code}, {"signal", exit.signal}});
  agent_.reset();
  transcript_.reset();
  kill_alarm_.reset();
  timeout_alarm_.reset();
  if (!abandoned_ && ending_ == Ending::kNone) EndAs(exit);
  CheckOver();
}

// The agent has ended and did not say how the attempt ends.
void Attempt::EndAs(const AgentExit& exit) {
  v1::ReleaseJobRequest release;
  if (parked_ && (exit.clean() || killed_) && !timed_out_) {
    // All input of this attempt wakes it, also what was written to its stdin: whether the agent has
    // seen a line, or has it in a buffer or a queue of its own, is not to be known from outside.
    // The next attempt begins behind that input, so it comes to rest.
    release.set_input_after_sequence(parks_after_);
    End(std::move(release), Ending::kByWorker);
  } else if (cancelled_ || stopped_) {
    End(std::move(release), Ending::kByWorker);
  } else if (timed_out_) {
    End(Retryable(absl::StrCat("timed out after ", claim_.ticket().timeout_s(), " s")),
        Ending::kByWorker);
  } else {
    End(Retryable(Describe(exit)), Ending::kByWorker);
  }
}

}  // namespace agentdesk::worker
