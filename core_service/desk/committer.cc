#include "core_service/desk/committer.h"

#include <algorithm>
#include <utility>

#include "core_service/base/error.h"
#include "core_service/base/log.h"
#include "core_service/domain/job.h"
#include "core_service/domain/question.h"

namespace agentdesk::desk {
namespace {

constexpr absl::Duration kForgetInterval = absl::Minutes(1);
constexpr int kForgetAtOnce = 1000;

absl::Status StoreFailed() {
  return ErrorWithReason(absl::StatusCode::kUnavailable, "unavailable",
                         "the desk's store has failed and the outcome is unknown; repeat under the "
                         "same request_id when the core is back");
}

}  // namespace

Committer::Committer(Limits limits, store::Store& store, events::EventLog& log, Timers& timers,
                     Surroundings around, absl::AnyInvocable<void(absl::Status)> on_fatal)
    : limits_(limits),
      store_(store),
      log_(log),
      timers_(timers),
      around_(std::move(around)),
      on_fatal_(std::move(on_fatal)),
      forget_at_(around_.clock.Monotonic() + kForgetInterval) {
  writer_ = std::thread([this] { Write(); });
  publisher_ = std::thread([this] { Publish(); });
}

Committer::~Committer() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  submitted_.NotifyAll();
  writer_.join();
  publisher_.join();
}

void Committer::Submit(std::unique_ptr<Command> command) {
  {
    MutexLock lock(mutex_);
    if (under_way_ < limits_.max_commands) {
      ++under_way_;
      queue_.emplace_back().swap(command);
    }
  }
  if (command != nullptr) {
    command->Finish(Overloaded("too many calls wait for the desk; repeat in a moment"));
    return;
  }
  submitted_.NotifyOne();
}

void Committer::Nudge() {
  {
    MutexLock lock(mutex_);
    nudged_ = true;
  }
  submitted_.NotifyOne();
}

absl::Duration Committer::NextDue() const {
  absl::Duration due = std::min(timers_.next(), forget_at_);
  for (const std::unique_ptr<Command>& command : waiting_) {
    due = std::min(due, command->waits_until());
  }
  return due;
}

bool Committer::TakeBatch(Commands& batch) {
  const absl::Duration due = NextDue();
  MutexLock lock(mutex_);
  while (queue_.empty() && !stopping_ && !nudged_ && around_.clock.Monotonic() < due) {
    around_.clock.WaitUntil(submitted_, mutex_, due);
  }
  if (stopping_ && queue_.empty()) return false;
  nudged_ = false;
  while (!queue_.empty() && batch.size() < static_cast<size_t>(limits_.max_batch)) {
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return true;
}

void Committer::Write() {
  while (true) {
    Commands batch;
    if (!TakeBatch(batch)) break;
    RunBatch(std::move(batch));
  }
  for (std::unique_ptr<Command>& command : waiting_) command->GiveUp();
  {
    // Commands that wait are not counted as under way; they are now that they are handed over.
    MutexLock lock(mutex_);
    under_way_ += waiting_.size();
  }
  Published last;
  last.finished = std::move(waiting_);
  HandOver(std::move(last));
  {
    MutexLock lock(mutex_);
    writer_done_ = true;
  }
  handed_over_.NotifyOne();
}

void Committer::RunBatch(Commands batch) {
  Published published;
  if (!failed_.ok()) {
    published.finished = std::move(batch);
    published.status = StoreFailed();
    HandOver(std::move(published));
    return;
  }
  absl::StatusOr<std::unique_ptr<store::Transaction>> transaction = store_.Begin();
  absl::Status committed = transaction.status();
  size_t now_waiting = 0;
  if (committed.ok()) {
    Turn turn(**transaction, around_);
    RunTimers(turn);
    for (std::unique_ptr<Command>& command : batch) {
      if (turn.failure().ok() && command->Run(turn) == Command::Progress::kWaits) {
        if (waiting_.size() < limits_.max_waiting) {
          waiting_.push_back(std::move(command));
          ++now_waiting;
          continue;
        }
        command->GiveUp();
      }
      published.finished.push_back(std::move(command));
    }
    {
      MutexLock lock(mutex_);
      under_way_ -= now_waiting;
    }
    RunWaiting(turn, published.finished);
    Forget(turn);
    committed = Commit(**transaction, turn, published);
  } else {
    published.finished = std::move(batch);
  }
  if (!committed.ok()) {
    failed_ = committed;
    LogError("the store has failed", {{"error", committed}});
    published.status = StoreFailed();
    for (std::unique_ptr<Command>& command : waiting_) {
      published.finished.push_back(std::move(command));
    }
    MutexLock lock(mutex_);
    under_way_ += waiting_.size();
    waiting_.clear();
  }
  HandOver(std::move(published));
  if (!failed_.ok() && on_fatal_) on_fatal_(failed_);
}

absl::Status Committer::Commit(store::Transaction& transaction, Turn& turn, Published& published) {
  if (!turn.failure().ok()) return turn.failure();
  if (!turn.changed()) return absl::OkStatus();
  if (absl::Status status = Retain(turn); !status.ok()) return status;
  const int64_t oldest = transaction.oldest();
  log_.Expect(turn.head());
  absl::StatusOr<std::shared_ptr<const store::EventBlock>> block = transaction.Commit();
  if (!block.ok()) return block.status();
  log_.SetOldest(oldest);
  published.waiters = log_.Append(*std::move(block));
  return absl::OkStatus();
}

absl::Status Committer::Retain(Turn& turn) {
  if (limits_.retain_events == 0) return absl::OkStatus();
  const int64_t oldest = turn.head() - limits_.retain_events + 1;
  if (oldest <= turn.transaction().oldest()) return absl::OkStatus();
  return turn.transaction().SetOldest(oldest);
}

void Committer::Forget(Turn& turn) {
  const absl::Duration now = around_.clock.Monotonic();
  if (now < forget_at_ || !turn.failure().ok()) return;
  const absl::StatusOr<int> forgotten = turn.transaction().ForgetRequests(
      around_.clock.Now() - limits_.remember_requests, kForgetAtOnce);
  if (!forgotten.ok()) {
    (void)turn.Spoil(forgotten.status());
    return;
  }
  // A transaction that only forgets is not worth an fsync of its own: what it did not get to do is
  // done again, and while there is a backlog each batch takes a share of it.
  if (*forgotten < kForgetAtOnce) forget_at_ = now + kForgetInterval;
}

void Committer::RunTimers(Turn& turn) {
  const absl::Duration now = around_.clock.Monotonic();
  for (int i = 0; i < limits_.max_batch && turn.failure().ok(); ++i) {
    const std::optional<Timers::Due> due = timers_.TakeDue(now);
    if (!due.has_value()) return;
    store::Transaction& transaction = turn.transaction();
    if (due->kind == Timers::Kind::kDeadline) {
      absl::StatusOr<store::QuestionRecord> question = transaction.FindQuestion(due->id);
      if (!question.ok()) {
        (void)turn.Spoil(question.status());
        return;
      }
      if (question->question().state() != v1::QUESTION_STATE_OPEN) continue;
      absl::StatusOr<domain::TicketState> state = turn.LoadTicket(question->question().ticket_id());
      if (!state.ok()) return;
      (void)turn.Apply(domain::ExpireQuestion(*question, *state, turn.ContextForTimer()));
      continue;
    }
    absl::StatusOr<domain::TicketState> state = turn.LoadTicketOfJob(due->id);
    if (!state.ok()) continue;
    if (due->kind == Timers::Kind::kLease && state->job.lease_token() != 0) {
      LogInfo("a lease ran out", {{"job_id", due->id}, {"worker", state->job.job().worker()}});
      (void)turn.Apply(domain::LoseLease(*state, turn.ContextForTimer()));
    } else if (due->kind == Timers::Kind::kClaimable &&
               state->job.job().status() == v1::JOB_STATUS_QUEUED) {
      (void)turn.Apply(domain::BecomeClaimable(state->job));
    }
  }
}

void Committer::RunWaiting(Turn& turn, Commands& finished) {
  const absl::Duration now = around_.clock.Monotonic();
  absl::flat_hash_set<std::string>& queues = turn.claimable_queues();
  Commands still_waiting;
  size_t done = 0;
  for (std::unique_ptr<Command>& command : waiting_) {
    bool decided = false;
    if (command->called_off() || command->waits_until() <= now) {
      command->GiveUp();
      decided = true;
    } else if (turn.failure().ok()) {
      const bool wanted = std::any_of(queues.begin(), queues.end(), [&](const std::string& queue) {
        return command->WaitsFor(queue);
      });
      if (wanted) {
        decided = command->Run(turn) == Command::Progress::kDecided;
        // Its queues hold nothing more for the others either.
        if (!decided) {
          absl::erase_if(queues,
                         [&](const std::string& queue) { return command->WaitsFor(queue); });
        }
      }
    }
    if (decided) {
      ++done;
      finished.push_back(std::move(command));
    } else {
      still_waiting.push_back(std::move(command));
    }
  }
  waiting_ = std::move(still_waiting);
  MutexLock lock(mutex_);
  under_way_ += done;
}

void Committer::HandOver(Published published) {
  {
    MutexLock lock(mutex_);
    published_.push_back(std::move(published));
  }
  handed_over_.NotifyOne();
}

void Committer::Publish() {
  while (true) {
    Published published;
    {
      MutexLock lock(mutex_);
      while (published_.empty() && !writer_done_) handed_over_.Wait(mutex_);
      if (published_.empty()) return;
      published = std::move(published_.front());
      published_.pop_front();
    }
    events::EventLog::Wake(published.waiters);
    for (const std::unique_ptr<Command>& command : published.finished) {
      command->Finish(published.status);
    }
    MutexLock lock(mutex_);
    under_way_ -= published.finished.size();
  }
}

}  // namespace agentdesk::desk
