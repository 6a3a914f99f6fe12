#include "core_service/desk/desk.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/desk/commands.h"
#include "core_service/desk/committer.h"
#include "core_service/desk/desk_metrics.h"
#include "core_service/desk/log_range.h"
#include "core_service/desk/open_tickets.h"
#include "core_service/desk/timers.h"
#include "core_service/domain/job.h"
#include "core_service/domain/question.h"
#include "core_service/domain/session.h"
#include "core_service/domain/ticket.h"

namespace agentdesk::desk {
namespace {

class CallOff final : public WaitingClaim {
 public:
  CallOff(std::shared_ptr<std::atomic<bool>> called_off, Committer& committer)
      : called_off_(std::move(called_off)), committer_(committer) {}
  void Cancel() override {
    called_off_->store(true, std::memory_order_relaxed);
    committer_.Nudge();
  }

 private:
  // Shared with the command, which may be finished and gone before this, or outlive it.
  const std::shared_ptr<std::atomic<bool>> called_off_;
  Committer& committer_;
};

}  // namespace

Desk::Desk(const DeskOptions& options, store::Store& store, Clock& clock, IdSource& ids,
           int64_t head, int64_t oldest)
    : max_snapshot_bytes_(options.max_snapshot_bytes),
      store_(store),
      clock_(clock),
      ids_(ids),
      log_(options.tail, head, oldest),
      metrics_(std::make_unique<DeskMetrics>(
          options.metrics == nullptr ? unread_ : *options.metrics, clock)),
      timers_(std::make_unique<Timers>()),
      readers_(std::make_unique<ThreadPool>(options.read_threads, options.max_reads)),
      replays_(std::make_unique<ThreadPool>(options.replay_threads, options.max_reads)),
      inputs_(std::make_unique<ThreadPool>(1, options.max_reads)),
      snapshots_(std::make_unique<ThreadPool>(1, options.max_reads)) {}

absl::StatusOr<std::unique_ptr<Desk>> Desk::Start(DeskOptions options, store::Store& store,
                                                  Clock& clock, IdSource& ids) {
  absl::StatusOr<std::unique_ptr<store::View>> view = store.OpenView();
  if (!view.ok()) return view.status();
  auto desk = std::unique_ptr<Desk>(
      new Desk(options, store, clock, ids, (*view)->head(), (*view)->oldest()));
  OpenTickets open_tickets(options.max_open_tickets);
  const absl::Status loaded = desk->metrics_->Load(
      **view, [&open_tickets](const v1::Job& job) { open_tickets.Add(job.tenant()); });
  if (!loaded.ok()) return loaded;
  const absl::StatusOr<absl::Duration> no_expiry_before =
      desk->LoadTimers(**view, options.expiry_hold);
  if (!no_expiry_before.ok()) return no_expiry_before.status();
  view->reset();
  Committer::Limits limits;
  limits.max_commands = options.max_commands;
  limits.max_command_bytes = options.max_command_bytes;
  limits.max_batch = options.max_batch;
  limits.max_batch_bytes = options.max_batch_bytes;
  limits.max_waiting = options.max_waiting_claims;
  limits.retain_events = options.retain_events;
  limits.remember_requests = options.remember_requests;
  desk->committer_ = std::make_unique<Committer>(
      limits, store, desk->log_, *desk->timers_,
      Surroundings{clock, ids, *desk->timers_, *desk->metrics_, store.desk_id(),
                   store.origin().restores, options.max_open_questions, *no_expiry_before,
                   std::move(open_tickets)},
      std::move(options.on_fatal));
  if (options.metrics != nullptr) desk->AddReadings(*options.metrics);
  return desk;
}

Desk::~Desk() {
  committer_.reset();
  readers_.reset();
  replays_.reset();
  inputs_.reset();
  snapshots_.reset();
}

void Desk::AddReadings(Metrics& metrics) {
  const auto add = [&metrics](const std::string& name, const std::string& help, auto read) {
    metrics.ReadGauge(name, help, {}, [read] { return static_cast<double>(read()); });
  };
  add("agentdesk_committer_queue_commands", "Commands that wait for the writer.",
      [this] { return committer_->queued(); });
  add("agentdesk_log_head_sequence", "Sequence of the last event.", [this] { return log_.head(); });
  add("agentdesk_log_oldest_sequence", "First sequence that can still be subscribed to.",
      [this] { return log_.oldest(); });
  add("agentdesk_log_tail_events", "Events of the log's end that are kept in memory.",
      [this] { return log_.tail().events; });
  add("agentdesk_log_tail_bytes", "Size of the events that are kept in memory.",
      [this] { return log_.tail().bytes; });
  add("agentdesk_leases_held", "Leases that workers hold.",
      [this] { return timers_->Count(Timers::Kind::kLease); });
}

absl::StatusOr<absl::Duration> Desk::LoadTimers(store::View& view, absl::Duration expiry_hold) {
  const absl::StatusOr<std::vector<store::JobRecord>> leased = view.LeasedJobs();
  if (!leased.ok()) return leased.status();
  const absl::StatusOr<std::vector<store::JobRecord>> delayed = view.DelayedJobs();
  if (!delayed.ok()) return delayed.status();
  const absl::StatusOr<std::vector<store::QuestionRecord>> questions = view.QuestionsWithDeadline();
  if (!questions.ok()) return questions.status();

  // Times were stored by a clock that never went back; one that was set back since must not make
  // what remains of them longer.
  const absl::Time now = std::max(clock_.Now(), view.last_time());
  // Only here, after all that is read at a start: it took its time, and during that nobody could
  // answer.
  const absl::Duration ready = clock_.Monotonic();
  const absl::Duration no_expiry_before = ready + expiry_hold;
  for (const store::JobRecord& job : *leased) {
    // The time that the core was down counts against nobody.
    timers_->Set(Timers::Kind::kLease, job.job().job_id(),
                 ready + absl::Milliseconds(job.lease_ms()));
  }
  for (const store::JobRecord& job : *delayed) {
    timers_->Set(Timers::Kind::kClaimable, job.job().job_id(),
                 ready + (FromProto(job.job().next_attempt_at()) - now));
  }
  for (const store::QuestionRecord& question : *questions) {
    timers_->Set(
        Timers::Kind::kDeadline, question.question().question_id(),
        std::max(ready + (FromProto(question.question().expires_at()) - now), no_expiry_before));
  }
  return no_expiry_before;
}

template <typename Request, typename Response>
void Desk::Submit(Caller caller, Request request, Done<Response> done) {
  // On the caller's thread, and before anything is looked up: bad input costs the writer nothing.
  if constexpr (requires { domain::Validate(request); }) {
    if (absl::Status status = domain::Validate(request); !status.ok()) return done(status);
  }
  committer_->Submit(
      MakeCommand<Request, Response>(std::move(caller), std::move(request), std::move(done)));
}

void Desk::Execute(Caller caller, v1::CreateTicketRequest request,
                   Done<v1::CreateTicketResponse> done) {
  absl::StatusOr<v1::CreateTicketRequest> normal = domain::Normalize(std::move(request));
  if (!normal.ok()) return done(normal.status());
  Submit(std::move(caller), *std::move(normal), std::move(done));
}

#define AGENTDESK_EXECUTE(name)                                                                 \
  void Desk::Execute(Caller caller, v1::name##Request request, Done<v1::name##Response> done) { \
    Submit(std::move(caller), std::move(request), std::move(done));                             \
  }
AGENTDESK_EXECUTE(CancelTicket)
AGENTDESK_EXECUTE(RetryTicket)
AGENTDESK_EXECUTE(RenewLease)
AGENTDESK_EXECUTE(ReportActivity)
AGENTDESK_EXECUTE(AskQuestion)
AGENTDESK_EXECUTE(WithdrawQuestion)
AGENTDESK_EXECUTE(ReleaseJob)
AGENTDESK_EXECUTE(CompleteJob)
AGENTDESK_EXECUTE(FailJob)
AGENTDESK_EXECUTE(SendMessage)
AGENTDESK_EXECUTE(Compact)
#undef AGENTDESK_EXECUTE

void Desk::Execute(Caller caller, v1::SubmitResponseRequest request,
                   Done<v1::SubmitResponseResponse> done) {
  Submit<v1::SubmitResponseRequest, v1::SubmitResponseResponse>(
      std::move(caller), std::move(request),
      [&metrics = *metrics_,
       done = std::move(done)](absl::StatusOr<v1::SubmitResponseResponse> response) mutable {
        if (response.ok()) metrics.Judged(response->outcome());
        done(std::move(response));
      });
}

std::unique_ptr<WaitingClaim> Desk::Claim(Caller caller, v1::ClaimJobRequest request,
                                          Done<v1::ClaimJobResponse> done) {
  auto called_off = std::make_shared<std::atomic<bool>>(false);
  auto claim = std::make_unique<CallOff>(called_off, *committer_);
  absl::StatusOr<v1::ClaimJobRequest> normal = domain::Normalize(std::move(request));
  if (!normal.ok()) {
    done(normal.status());
    return claim;
  }
  const absl::Duration waits_until = clock_.Monotonic() + FromProto(normal->wait());
  committer_->Submit(MakeClaim(std::move(caller), *std::move(normal), waits_until,
                               std::move(called_off), std::move(done)));
  return claim;
}

absl::Status Desk::CheckPosition(absl::string_view desk_id, int64_t after) {
  if (after < 0) return InvalidField("after_sequence", "must not be negative");
  if (after != 0 && desk_id.empty()) {
    return InvalidField("desk_id",
                        "a position other than 0 needs the id of the desk that it belongs to");
  }
  const LogRange range{store_.desk_id(), log_.oldest(), log_.reached()};
  if (absl::Status status = range.CheckReached("after_sequence", desk_id, after); !status.ok()) {
    return status;
  }
  return range.CheckServed("after_sequence", after);
}

void Desk::Probe(absl::AnyInvocable<void(absl::Status)> done) {
  committer_->SubmitProbe(MakeProbe(std::move(done)));
}

events::Subscription Desk::Subscribe(const Caller& caller, events::Filter filter, int64_t after) {
  if (auto tenant = caller.HeldTo(); tenant.has_value()) filter.HoldTo(*std::move(tenant));
  return events::Subscription(log_, std::move(filter), after, {});
}

v1::GetDeskResponse Desk::GetDesk() {
  v1::GetDeskResponse response;
  response.set_desk_id(store_.desk_id());
  response.set_head_sequence(log_.head());
  response.set_oldest_sequence(log_.oldest());
  response.set_version(AGENTDESK_VERSION);
  response.set_restored_from(store_.origin().restored_from);
  response.set_restored_sequence(store_.origin().restored_sequence);
  *response.mutable_time() = ToProto(clock_.Now());
  return response;
}

}  // namespace agentdesk::desk
