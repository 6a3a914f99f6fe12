#include "core_service/desk/committer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core_service/base/error.h"
#include "core_service/base/log.h"
#include "core_service/domain/job.h"
#include "core_service/domain/question.h"

namespace agentdesk::desk {
namespace {

constexpr absl::Duration kForgetInterval = absl::Minutes(1);
constexpr int kForgetAtOnce = 1000;
// A command of this size or less is not refused for the bytes of others: so many of them are
// little, and a renewal that is refused costs a lease.
constexpr size_t kSmallCommandBytes = 1024;

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
      clock_(around.clock),
      around_(std::move(around)),
      on_fatal_(std::move(on_fatal)),
      started_(clock_.Now()),
      started_monotonic_(clock_.Monotonic()),
      forget_at_(started_monotonic_ + kForgetInterval) {
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

void Committer::Load::Add(const Command& command) {
  ++commands;
  bytes += command.bytes();
}

void Committer::Load::Remove(const Command& command) {
  --commands;
  bytes -= command.bytes();
}

bool Committer::HasRoomLocked(const Command& command) const {
  const bool fits =
      under_way_.bytes < limits_.max_command_bytes || command.bytes() <= kSmallCommandBytes;
  return fits && under_way_.commands < limits_.max_commands;
}

bool Committer::Enqueue(std::unique_ptr<Command>& command) {
  MutexLock lock(mutex_);
  if (!HasRoomLocked(*command)) return false;
  EnqueueLocked(std::move(command));
  return true;
}

void Committer::EnqueueLocked(std::unique_ptr<Command> command) {
  under_way_.Add(*command);
  queue_.push_back({std::move(command), clock_.Monotonic()});
}

void Committer::SubmitProbe(std::unique_ptr<Command> command) {
  {
    MutexLock lock(mutex_);
    EnqueueLocked(std::move(command));
  }
  submitted_.NotifyOne();
}

void Committer::Submit(std::unique_ptr<Command> command) {
  if (Enqueue(command)) {
    submitted_.NotifyOne();
    return;
  }
  around_.metrics.Refused();
  command->Finish(Overloaded("too many calls wait for the desk; repeat in a moment"));
}

void Committer::Nudge() {
  {
    MutexLock lock(mutex_);
    nudged_ = true;
  }
  submitted_.NotifyOne();
}

size_t Committer::queued() {
  MutexLock lock(mutex_);
  return queue_.size();
}

absl::Duration Committer::NextDue() const {
  // What falls due is not taken any more, and would be due for ever.
  if (!failed_.ok()) return absl::InfiniteDuration();
  absl::Duration due = std::min(timers_.next(), forget_at_);
  for (const std::unique_ptr<Command>& command : waiting_) {
    due = std::min(due, command->waits_until());
  }
  return due;
}

bool Committer::TakeBatch(Batch& batch) {
  const absl::Duration due = NextDue();
  MutexLock lock(mutex_);
  while (queue_.empty() && !stopping_ && !nudged_ && clock_.Monotonic() < due) {
    clock_.WaitUntil(submitted_, mutex_, due);
  }
  if (stopping_ && queue_.empty()) return false;
  nudged_ = false;
  size_t bytes = 0;
  while (!queue_.empty() && batch.commands.size() < static_cast<size_t>(limits_.max_batch)) {
    bytes += queue_.front().command->bytes();
    if (bytes > limits_.max_batch_bytes && !batch.commands.empty()) break;
    batch.commands.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  batch.complete_until = queue_.empty() ? clock_.Monotonic() : queue_.front().arrived;
  return true;
}

void Committer::Write() {
  while (true) {
    Batch batch;
    if (!TakeBatch(batch)) break;
    RunBatch(std::move(batch));
  }
  for (std::unique_ptr<Command>& command : waiting_) command->GiveUp();
  Unpark(waiting_);
  Published last;
  last.finished = std::move(waiting_);
  HandOver(std::move(last));
  {
    MutexLock lock(mutex_);
    writer_done_ = true;
  }
  handed_over_.NotifyOne();
}

void Committer::Park(const Command& command) {
  MutexLock lock(mutex_);
  under_way_.Remove(command);
}

void Committer::Unpark(const Commands& commands) {
  MutexLock lock(mutex_);
  for (const std::unique_ptr<Command>& command : commands) under_way_.Add(*command);
}

void Committer::RunBatch(Batch batch) {
  Published published;
  absl::Status committed = failed_;
  if (committed.ok()) {
    absl::StatusOr<std::unique_ptr<store::Transaction>> transaction = store_.Begin();
    committed = transaction.status();
    if (committed.ok()) {
      Turn turn(**transaction, around_);
      RunCommands(turn, batch, published.finished);
      RunWaiting(turn, published.finished);
      Forget(turn);
      committed = Commit(**transaction, turn, published);
      // Whoever got a term learns of it only now, and the disk may have taken longer than the term.
      if (committed.ok()) turn.StartTermsAgain();
    }
  }
  for (Submitted& left : batch.commands) {
    if (left.command != nullptr) published.finished.push_back(std::move(left.command));
  }
  const bool fails_now = !committed.ok() && failed_.ok();
  if (fails_now) {
    failed_ = committed;
    LogError("the store has failed", {{"error", committed}});
    Unpark(waiting_);
    for (std::unique_ptr<Command>& command : waiting_) {
      published.finished.push_back(std::move(command));
    }
    waiting_.clear();
  }
  if (!committed.ok()) published.status = StoreFailed();
  HandOver(std::move(published));
  if (fails_now && on_fatal_) on_fatal_(failed_);
}

void Committer::RunCommands(Turn& turn, Batch& batch, Commands& finished) {
  int timers_left = limits_.max_batch;
  for (Submitted& submitted : batch.commands) {
    RunTimers(turn, submitted.arrived, timers_left);
    if (!turn.failure().ok()) return;
    turn.set_as_of(submitted.arrived);
    std::unique_ptr<Command> command = std::move(submitted.command);
    EndEarlierTry(*command, finished);
    if (command->Run(turn) == Command::Progress::kWaits) {
      if (waiting_.size() < limits_.max_waiting) {
        Park(*command);
        waiting_.push_back(std::move(command));
        continue;
      }
      command->Refuse(Overloaded("too many claims wait for a job; repeat in a moment"));
    }
    finished.push_back(std::move(command));
  }
  RunTimers(turn, batch.complete_until, timers_left);
  turn.set_as_of(batch.complete_until);
}

void Committer::EndEarlierTry(const Command& later, Commands& finished) {
  if (later.call().empty()) return;
  const auto earlier = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& command) {
    return command->call() == later.call();
  });
  if (earlier == waiting_.end()) return;
  (*earlier)->GiveUp();
  Commands ended;
  ended.push_back(std::move(*earlier));
  waiting_.erase(earlier);
  Unpark(ended);
  finished.push_back(std::move(ended.front()));
}

absl::Status Committer::Commit(store::Transaction& transaction, Turn& turn, Published& published) {
  if (!turn.failure().ok()) return turn.failure();
  if (!turn.changed()) return absl::OkStatus();
  if (absl::Status status = Retain(turn); !status.ok()) return status;
  // Both before anybody can read the store as of this commit.
  log_.SetOldest(transaction.oldest());
  log_.Expect(turn.head());
  const absl::Duration decided = clock_.Monotonic();
  absl::StatusOr<std::shared_ptr<const store::EventBlock>> block = transaction.Commit();
  if (!block.ok()) return block.status();
  around_.metrics.Committed(published.finished.size(), clock_.Monotonic() - decided);
  published.waiters = log_.Append(*std::move(block));
  return absl::OkStatus();
}

absl::Status Committer::Retain(Turn& turn) {
  if (limits_.retain_events == 0) return absl::OkStatus();
  // What this very batch appends has been read by nobody yet, however much it is.
  const int64_t oldest = std::min(turn.head() - limits_.retain_events + 1, log_.head() + 1);
  if (oldest <= turn.transaction().oldest()) return absl::OkStatus();
  return turn.transaction().SetOldest(oldest);
}

absl::Time Committer::SteadyNow() const {
  return std::min(clock_.Now(), started_ + (clock_.Monotonic() - started_monotonic_));
}

void Committer::Forget(Turn& turn) {
  const absl::Duration now = clock_.Monotonic();
  if (now < forget_at_ || !turn.failure().ok()) return;
  const absl::StatusOr<int> forgotten =
      turn.Forget(SteadyNow() - limits_.remember_requests, kForgetAtOnce);
  // While there is a backlog each batch takes a share of it.
  if (forgotten.ok() && *forgotten < kForgetAtOnce) forget_at_ = now + kForgetInterval;
}

void Committer::RunTimers(Turn& turn, absl::Duration until, int& left) {
  for (; left > 0 && turn.failure().ok(); --left) {
    const std::optional<Timers::Due> due = timers_.TakeDue(until);
    if (!due.has_value()) return;
    RunTimer(turn, *due);
  }
}

void Committer::RunTimer(Turn& turn, const Timers::Due& due) {
  if (due.kind == Timers::Kind::kDeadline) {
    const absl::StatusOr<store::QuestionRecord> question = turn.transaction().FindQuestion(due.id);
    if (!question.ok()) {
      (void)turn.Spoil(question.status());
      return;
    }
    if (question->question().state() != v1::QUESTION_STATE_OPEN) return;
    const absl::StatusOr<domain::TicketState> state =
        turn.LoadTicketOfSession(question->question().session_id());
    if (!state.ok()) return;
    around_.metrics.DeadlineMissed();
    (void)turn.Apply(domain::ExpireQuestion(*question, *state, turn.ContextForTimer()));
    return;
  }
  const absl::StatusOr<domain::TicketState> state = turn.LoadTicketOfJob(due.id);
  if (!state.ok()) return;
  if (due.kind == Timers::Kind::kLease && state->job.lease_token() != 0) {
    LogInfo("a lease ran out", {{"job_id", due.id}, {"worker", state->job.job().worker()}});
    around_.metrics.LeaseExpired();
    (void)turn.Apply(domain::LoseLease(*state, turn.ContextForTimer()));
  } else if (due.kind == Timers::Kind::kClaimable &&
             state->job.job().status() == v1::JOB_STATUS_QUEUED) {
    (void)turn.Apply(domain::BecomeClaimable(state->job));
  }
}

void Committer::RunWaiting(Turn& turn, Commands& finished) {
  const absl::Duration now = clock_.Monotonic();
  absl::flat_hash_set<TenantQueue>& queues = turn.claimable_queues();
  Commands still_waiting;
  Commands done;
  for (std::unique_ptr<Command>& command : waiting_) {
    bool decided = false;
    if (command->called_off() || command->waits_until() <= now) {
      command->GiveUp();
      decided = true;
    } else if (turn.failure().ok()) {
      const auto wants = [&](const TenantQueue& queue) {
        return command->WaitsFor(queue.first, queue.second);
      };
      if (std::any_of(queues.begin(), queues.end(), wants)) {
        decided = command->Run(turn) == Command::Progress::kDecided;
        // What it waits for holds nothing more for the others either.
        if (!decided) absl::erase_if(queues, wants);
      }
    }
    (decided ? done : still_waiting).push_back(std::move(command));
  }
  waiting_ = std::move(still_waiting);
  Unpark(done);
  std::move(done.begin(), done.end(), std::back_inserter(finished));
}

bool Committer::NothingElseToDo() {
  MutexLock lock(mutex_);
  return queue_.empty() && published_.empty() && !publishing_;
}

void Committer::HandOver(Published published) {
  // It then takes less time than to wake the publisher, which everybody who waits for this batch
  // would wait for too.
  if (NothingElseToDo()) return Deliver(published);
  {
    MutexLock lock(mutex_);
    published_.push_back(std::move(published));
  }
  handed_over_.NotifyOne();
}

void Committer::Deliver(const Published& published) {
  events::EventLog::Wake(published.waiters);
  for (const std::unique_ptr<Command>& command : published.finished) {
    command->Finish(published.status);
  }
  MutexLock lock(mutex_);
  for (const std::unique_ptr<Command>& command : published.finished) {
    under_way_.Remove(*command);
  }
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
      publishing_ = true;
    }
    Deliver(published);
    MutexLock lock(mutex_);
    publishing_ = false;
  }
}

}  // namespace agentdesk::desk
