#include "tools/agentdesk-worker/attempt.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"
#include "core_service/base/timestamp.h"

namespace agentdesk::worker {
namespace {

// How much may wait for an agent that does not read before no more input is fetched for it.
constexpr size_t kMaxUnsentInput = 1 << 20;
// How often a core that is away is asked again.
constexpr absl::Duration kRenewAgain = absl::Seconds(1);

const std::string& KeyOf(const Delivery& delivery) {
  static const std::string* const none = new std::string;
  if (const auto* activity = std::get_if<v1::Activity>(&delivery)) {
    return activity->has_message() ? activity->message().key() : activity->tool_call().key();
  }
  return *none;
}

// As the agent knows it.
absl::string_view NameOf(v1::ReceiveInputResponse::InputCase input) {
  switch (input) {
    case v1::ReceiveInputResponse::kAnswer:
      return "answer";
    case v1::ReceiveInputResponse::kExpired:
      return "expired";
    case v1::ReceiveInputResponse::kWithdrawn:
      return "withdrawn";
    case v1::ReceiveInputResponse::kMessage:
      return "message";
    case v1::ReceiveInputResponse::kCancel:
      return "cancel";
    case v1::ReceiveInputResponse::kLeaseLost:
    case v1::ReceiveInputResponse::INPUT_NOT_SET:
      break;
  }
  return "";
}

}  // namespace

Attempt::Attempt(Options options, v1::ClaimJobResponse claim, std::unique_ptr<LeaseCalls> calls,
                 StartAgent start_agent, absl::AnyInvocable<void(const absl::Status&)> on_started,
                 Alarms& alarms, absl::AnyInvocable<void()> on_over)
    : options_(std::move(options)),
      claim_(std::move(claim)),
      calls_(std::move(calls)),
      start_agent_(std::move(start_agent)),
      on_started_(std::move(on_started)),
      alarms_(alarms),
      on_over_(std::move(on_over)),
      parks_after_(claim_.sequence()),
      told_up_to_(claim_.sequence()) {}

Attempt::~Attempt() = default;

void Attempt::Start() {
  LogInfo("attempt begins", {{"job_id", job_id()},
                             {"attempt", claim_.job().attempt()},
                             {"ticket_name", claim_.ticket().ticket_name()}});
  // The lease of a claim that had to be repeated began with its first try.
  KeepLease(claim_.replayed() ? absl::ZeroDuration() : FromProto(claim_.lease_duration()) / 3);
  ReadTranscript("");
}

void Attempt::Stop() {
  if (stopped_ || abandoned_) return;
  stopped_ = true;
  // Also where the attempt has ended: its agent may be in no hurry.
  if (agent_ != nullptr) {
    KillAgent();
  } else if (ending_ == Ending::kNone) {
    End(v1::ReleaseJobRequest(), Ending::kByWorker);
  }
}

void Attempt::KeepLease(absl::Duration delay) {
  renew_alarm_ = alarms_.Set(delay, [this] {
    calls_->Renew([this](absl::StatusOr<v1::RenewLeaseResponse> response) {
      OnRenewed(std::move(response));
    });
  });
}

void Attempt::OnRenewed(absl::StatusOr<v1::RenewLeaseResponse> response) {
  if (abandoned_ || ended_) return;
  const absl::Duration third = FromProto(claim_.lease_duration()) / 3;
  if (response.ok()) {
    if (core_lost_since_.has_value()) LogInfo("the core is back", {{"job_id", job_id()}});
    core_lost_since_.reset();
    KeepLease(third);
    if (response->cancelling()) Cancel();
    return;
  }
  if (IsLeaseLost(response.status())) {
    // Where the attempt is being ended at this moment, that call knows how it went.
    if (!sending_last_) Abandon(response.status().message());
    return;
  }
  if (!core_lost_since_.has_value()) {
    core_lost_since_ = alarms_.Now();
    LogWarning("cannot renew the lease", {{"job_id", job_id()}, {"error", response.status()}});
  }
  const absl::Duration left = options_.core_loss_grace - (alarms_.Now() - *core_lost_since_);
  if (left <= absl::ZeroDuration()) return Abandon("the core was away for too long");
  KeepLease(std::min({third, kRenewAgain, left}));
}

void Attempt::OnInput(const v1::ReceiveInputResponse& input) {
  if (abandoned_ || ended_) return;
  if (input.has_lease_lost()) {
    if (!sending_last_) Abandon(input.lease_lost().message());
    return;
  }
  if (input.input_case() != v1::ReceiveInputResponse::INPUT_NOT_SET) {
    LogInfo("input", {{"job_id", job_id()},
                      {"sequence", input.sequence()},
                      {"kind", NameOf(input.input_case())},
                      {"trace_id", input.trace_id()}});
  }
  const int64_t sequence = std::max(told_up_to_, input.sequence());
  if (input.has_cancel()) {
    told_up_to_ = sequence;
    Cancel();
    return NextInputWhenDrained();
  }
  for (const std::string& closed : {input.answer().question_id(), input.expired().question_id(),
                                    input.withdrawn().question_id()}) {
    if (closed.empty()) continue;
    open_questions_.erase(closed);
    if (asking_ > 0) closed_while_asking_.insert(closed);
  }
  Tell(EncodeInput(input));
  told_up_to_ = sequence;
  UpdateClock();
  NextInputWhenDrained();
}

void Attempt::NextInputWhenDrained() {
  input_held_up_ = agent_ != nullptr && agent_->unsent_bytes() > kMaxUnsentInput;
  if (!input_held_up_) calls_->NextInput();
}

void Attempt::Cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  LogInfo("cancel was asked for", {{"job_id", job_id()}});
  if (agent_ != nullptr) {
    Tell(EncodeCancel());
    KillAgentAfter(options_.cancel_grace);
  } else if (ending_ == Ending::kNone) {
    End(v1::ReleaseJobRequest(), Ending::kByWorker);
  }
}

void Attempt::Abandon(absl::string_view why) {
  if (abandoned_) return;
  LogWarning("attempt abandoned", {{"job_id", job_id()}, {"why", why}});
  abandoned_ = true;
  outgoing_.Clear();
  renew_alarm_.reset();
  timeout_alarm_.reset();
  kill_alarm_.reset();
  if (agent_ != nullptr) {
    agent_->Signal(SIGKILL);
    agent_->ReadOutput(true);  // to its end
  }
  CheckOver();
}

void Attempt::Push(Delivery delivery) {
  if (abandoned_) return;
  outgoing_.Push(std::move(delivery));
  SendNext();
  UpdateReading();
}

void Attempt::SendNext() {
  if (sending_ || abandoned_ || outgoing_.empty()) return;
  sending_ = true;
  std::vector<Delivery> batch = outgoing_.Take();
  sending_last_ = IsLast(batch.front());
  if (auto* ask = std::get_if<Ask>(&batch.front())) {
    v1::AskQuestionRequest request = ask->request;
    calls_->Call(std::move(request), [this, asked = std::move(*ask)](auto response) {
      OnAsked(asked, std::move(response));
    });
  } else if (auto* take_back = std::get_if<TakeBack>(&batch.front())) {
    v1::WithdrawQuestionRequest request;
    request.set_key(take_back->key);
    calls_->Call(std::move(request), [this, taken = std::move(*take_back)](auto response) {
      OnTakenBack(taken, std::move(response));
    });
  } else if (auto* release = std::get_if<v1::ReleaseJobRequest>(&batch.front())) {
    // It was in line behind the agent's questions.
    if (release->has_input_after_sequence()) release->set_input_after_sequence(parks_after_);
    calls_->Call(std::move(*release),
                 [this](auto response) { OnEnded(response.status(), "released"); });
  } else if (auto* complete = std::get_if<v1::CompleteJobRequest>(&batch.front())) {
    calls_->Call(std::move(*complete),
                 [this](auto response) { OnEnded(response.status(), "completed"); });
  } else if (auto* fail = std::get_if<v1::FailJobRequest>(&batch.front())) {
    calls_->Call(std::move(*fail), [this](auto response) { OnEnded(response.status(), "failed"); });
  } else {
    Report(std::move(batch));
  }
}

void Attempt::Report(std::vector<Delivery> batch) {
  v1::ReportActivityRequest request;
  for (const Delivery& delivery : batch) {
    if (const auto* activity = std::get_if<v1::Activity>(&delivery)) {
      *request.add_activities() = *activity;
    } else if (const auto* checkpoint = std::get_if<Checkpoint>(&delivery)) {
      request.set_checkpoint_json(checkpoint->state_json);  // the last one stands
    }
  }
  calls_->Call(std::move(request),
               [this, batch = std::move(batch)](
                   const absl::StatusOr<v1::ReportActivityResponse>& response) mutable {
                 if (IsFatal(response.status())) return;
                 if (!response.ok() && batch.size() > 1) {
                   outgoing_.ComeAgainAlone(std::move(batch));
                   sending_ = false;
                   return SendNext();
                 }
                 if (!response.ok()) Refuse(response.status(), KeyOf(batch.front()));
                 Delivered();
               });
}

void Attempt::OnAsked(const Ask& ask, absl::StatusOr<v1::AskQuestionResponse> response) {
  if (IsFatal(response.status())) return;
  --asking_;
  if (!response.ok()) {
    Refuse(response.status(), ask.request.key());
  } else if (response->question().state() != v1::QUESTION_STATE_OPEN) {
    TellOutcome(response->question(), ask.told_up_to);
  } else if (!closed_while_asking_.contains(response->question().question_id())) {
    open_questions_.insert(response->question().question_id());
  }
  if (asking_ == 0) closed_while_asking_.clear();
  UpdateClock();
  Delivered();
}

void Attempt::OnTakenBack(const TakeBack& take_back,
                          absl::StatusOr<v1::WithdrawQuestionResponse> response) {
  if (IsFatal(response.status())) return;
  if (response.ok()) {
    TellOutcome(response->question(), take_back.told_up_to);
  } else {
    Refuse(response.status(), take_back.key);
  }
  Delivered();
}

// What ended a question after `told_up_to` comes, or came, through the stream of input, once.
void Attempt::TellOutcome(const v1::Question& question, int64_t told_up_to) {
  if (question.closed_sequence() > told_up_to) return;
  Tell(EncodeOutcome(question));
  if (parked_) parks_after_ = std::min(parks_after_, question.closed_sequence() - 1);
}

void Attempt::End(Delivery last, Ending ending) {
  ending_ = ending;
  Push(std::move(last));
}

void Attempt::OnEnded(const absl::Status& status, absl::string_view how) {
  if (IsFatal(status)) return;
  if (!status.ok()) return OnEndRefused(status);
  LogInfo("attempt ended", {{"job_id", job_id()}, {"how", how}});
  ended_ = true;
  renew_alarm_.reset();
  timeout_alarm_.reset();
  outgoing_.Clear();
  Delivered();
}

void Attempt::OnEndRefused(const absl::Status& status) {
  // What the worker itself says at an end, a core that works does not refuse.
  if (ending_ == Ending::kByWorker) return Abandon(status.message());
  ending_ = Ending::kNone;
  if (!cancelled_ && !killed_ && !parked_) kill_alarm_.reset();
  Refuse(status, "");
  Delivered();
  if (agent_ != nullptr) return;  // it may end otherwise
  v1::FailJobRequest fail;
  fail.set_error(absl::StrCat("the end that the agent gave was refused: ", status.message()));
  fail.set_retryable(true);
  End(std::move(fail), Ending::kByWorker);
}

bool Attempt::IsFatal(const absl::Status& status) {
  if (abandoned_) return true;
  if (!IsLeaseLost(status)) return false;
  sending_ = false;
  Abandon(status.message());
  return true;
}

void Attempt::Refuse(const absl::Status& why, const std::string& key) {
  LogWarning("refused", {{"job_id", job_id()}, {"key", key}, {"error", why}});
  Tell(EncodeError(why, key));
}

void Attempt::Delivered() {
  outgoing_.Done();
  sending_ = false;
  sending_last_ = false;
  UpdateReading();
  SendNext();
  CheckOver();
}

void Attempt::CheckOver() {
  if (over_ || agent_ != nullptr) return;
  if (!abandoned_ && !ended_) return;
  over_ = true;
  on_over_();
}

}  // namespace agentdesk::worker
