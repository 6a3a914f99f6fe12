#ifndef AGENTDESK_CORE_SERVICE_DESK_COMMITTER_H_
#define AGENTDESK_CORE_SERVICE_DESK_COMMITTER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/mutex.h"
#include "core_service/desk/desk.h"
#include "core_service/desk/timers.h"
#include "core_service/desk/turn.h"
#include "core_service/events/event_log.h"
#include "core_service/store/store.h"

namespace agentdesk::desk {

// Something to decide. Created by a caller, run by the writer, finished by the publisher; one
// thread at a time has it.
class Command {
 public:
  virtual ~Command() = default;

  enum class Progress { kDecided, kWaits };
  // Decides and applies. A refusal is a result like any other: it is kept until Finish. kWaits:
  // there is nothing to decide yet; Run is called again when there may be.
  virtual Progress Run(Turn& turn) = 0;
  // Hands the result to who asked, or `committed` when that is an error. The last call.
  virtual void Finish(const absl::Status& committed) = 0;
  // The size of its request.
  virtual size_t bytes() const = 0;

  // For a command that may wait: whether it has been called off, until when it waits on the
  // monotonic clock, what is the same for all tries of one call (empty: it is tried once), whether
  // a job in this queue may be of use to it, and its end when it has waited in vain (GiveUp) or
  // there is no room for it to wait (Refuse).
  virtual bool called_off() const { return false; }
  virtual absl::Duration waits_until() const { return absl::ZeroDuration(); }
  virtual absl::string_view call() const { return {}; }
  virtual bool WaitsFor(absl::string_view /*tenant*/, absl::string_view /*queue*/) const {
    return false;
  }
  virtual void GiveUp() {}
  virtual void Refuse(const absl::Status& /*status*/) {}
};

// The one writer. A thread takes all commands that wait, up to a batch, lets each decide on the
// state that those before it left, and commits the lot in one transaction; a second thread, the
// publisher, then wakes the subscriptions and hands out the results while the writer is at the next
// batch. Where there is no next batch yet the writer does it itself.
//
// It also drives the timers, in the order of time: before a command is looked at, what was due when
// it arrived is decided, and nothing that was not. So a command that came in time is in time
// however long it had to wait for the writer, and a lease does not end while a renewal waits.
class Committer {
 public:
  struct Limits {
    size_t max_commands = 4096;
    size_t max_command_bytes = 64 * 1024 * 1024;
    int max_batch = 256;                       // commands, and as many timers
    size_t max_batch_bytes = 4 * 1024 * 1024;  // of requests, at least one command
    size_t max_waiting = 10000;
    int64_t retain_events = 0;
    absl::Duration remember_requests;
  };

  // Everything must outlive the committer. `on_fatal` as in DeskOptions.
  Committer(Limits limits, store::Store& store, events::EventLog& log, Timers& timers,
            Surroundings around, absl::AnyInvocable<void(absl::Status)> on_fatal);
  // Runs what was submitted, gives up what waits, and joins.
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Refused with ResourceExhausted (then finished on this thread) when too many are under way.
  void Submit(std::unique_ptr<Command> command) ABSL_LOCKS_EXCLUDED(mutex_);
  // Is never refused, and waits its turn like any other: for who asks whether the writer goes on.
  void SubmitProbe(std::unique_ptr<Command> command) ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets the writer look again at what waits: something was called off.
  void Nudge() ABSL_LOCKS_EXCLUDED(mutex_);
  // Submitted and not taken by the writer yet.
  size_t queued() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Commands = std::vector<std::unique_ptr<Command>>;
  struct Submitted {
    std::unique_ptr<Command> command;
    absl::Duration arrived;  // on the monotonic clock
  };
  struct Batch {
    std::vector<Submitted> commands;
    // Every command that arrived before this is in the batch or in one before it.
    absl::Duration complete_until;
  };
  // Submitted, neither finished nor waiting.
  struct Load {
    void Add(const Command& command);
    void Remove(const Command& command);
    size_t commands = 0;
    size_t bytes = 0;
  };
  struct Published {
    std::vector<std::shared_ptr<events::Waiter>> waiters;
    Commands finished;
    absl::Status status;
  };

  bool HasRoomLocked(const Command& command) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: there is no room for it, and the command stays the caller's.
  bool Enqueue(std::unique_ptr<Command>& command) ABSL_LOCKS_EXCLUDED(mutex_);
  void EnqueueLocked(std::unique_ptr<Command> command) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Write() ABSL_LOCKS_EXCLUDED(mutex_);
  void Publish() ABSL_LOCKS_EXCLUDED(mutex_);
  // False: the committer is stopping and nothing is left.
  bool TakeBatch(Batch& batch) ABSL_LOCKS_EXCLUDED(mutex_);
  void RunBatch(Batch batch);
  void RunCommands(Turn& turn, Batch& batch, Commands& finished);
  // The try of the same call that still waits, whose caller may have gone: it would take a job that
  // the later one is not told of.
  void EndEarlierTry(const Command& later, Commands& finished);
  // Decides what is due at `until`, `left` at most; what is left over comes in the next batch.
  void RunTimers(Turn& turn, absl::Duration until, int& left);
  void RunTimer(Turn& turn, const Timers::Due& due);
  void RunWaiting(Turn& turn, Commands& finished);
  // Stops counting, or counts again, commands that wait.
  void Park(const Command& command) ABSL_LOCKS_EXCLUDED(mutex_);
  void Unpark(const Commands& commands) ABSL_LOCKS_EXCLUDED(mutex_);
  // The wall clock's time, without what it leapt ahead since the start: a leap must not make every
  // remembered request an old one.
  absl::Time SteadyNow() const;
  void Forget(Turn& turn);
  absl::Status Retain(Turn& turn);
  absl::Status Commit(store::Transaction& transaction, Turn& turn, Published& published);
  // Nobody waits for the writer, and the publisher rests. Only the writer hands over, so the
  // publisher rests until it does.
  bool NothingElseToDo() ABSL_LOCKS_EXCLUDED(mutex_);
  void HandOver(Published published) ABSL_LOCKS_EXCLUDED(mutex_);
  void Deliver(const Published& published) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Duration NextDue() const;

  // Constant after construction.
  const Limits limits_;
  store::Store& store_;
  events::EventLog& log_;
  Timers& timers_;
  Clock& clock_;

  // The writer's alone, but for the metrics in it.
  Surroundings around_;
  absl::AnyInvocable<void(absl::Status)> on_fatal_;
  Commands waiting_;  // in the order in which they came
  const absl::Time started_;
  const absl::Duration started_monotonic_;
  absl::Duration forget_at_;
  absl::Status failed_;

  Mutex mutex_;
  Condition submitted_;                                  // the writer waits on it
  Condition handed_over_;                                // the publisher waits on it
  std::deque<Submitted> queue_ ABSL_GUARDED_BY(mutex_);  // in the order of arrival
  std::deque<Published> published_ ABSL_GUARDED_BY(mutex_);
  Load under_way_ ABSL_GUARDED_BY(mutex_);
  bool publishing_ ABSL_GUARDED_BY(mutex_) = false;  // the publisher is at one that it has taken
  bool nudged_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool writer_done_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread writer_;
  std::thread publisher_;
};

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_COMMITTER_H_
