#ifndef AGENTDESK_CORE_SERVICE_DESK_DESK_H_
#define AGENTDESK_CORE_SERVICE_DESK_DESK_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/admin.pb.h"
#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/base/clock.h"
#include "core_service/base/metrics.h"
#include "core_service/base/mutex.h"
#include "core_service/base/thread_pool.h"
#include "core_service/base/uuid.h"
#include "core_service/domain/limits.h"
#include "core_service/events/event_log.h"
#include "core_service/events/subscription.h"
#include "core_service/store/store.h"

namespace agentdesk::desk {

class Committer;
class DeskMetrics;
class Timers;

// On whose behalf a command is given.
struct Caller {
  v1::Actor actor;
  std::string identity;  // whose request ids these are; empty while authentication is off
  std::vector<std::string> groups;
  std::vector<std::string> roles;
  std::string tenant;          // empty: the default one
  std::string trace_id;        // W3C trace id; may be empty
  std::string client_address;  // from where it is given; both as v1::Event says
  std::string gateway_address;
  bool authenticated = false;  // whether authentication is on
  bool all_tenants = false;    // whether it may see and touch what every tenant has
  absl::Time expires_at = absl::InfiniteFuture();  // from then on it is nobody's word

  // Whose tickets, sessions and events alone the caller may see and touch; nothing: everyone's.
  std::optional<std::string> HeldTo() const {
    return !authenticated || all_tenants ? std::nullopt : std::make_optional(tenant);
  }
};

// Called exactly once with a response or an error, on a thread of the desk or, for an error that is
// known at once, on the caller's own. Must not block.
template <typename Response>
using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

// The right to call off a claim that waits. Thread-safe.
class WaitingClaim {
 public:
  virtual ~WaitingClaim() = default;
  // The claim ends without a job, unless one was already given.
  virtual void Cancel() = 0;
};

// The state as of one position, in parts as SubscribeResponse carries them.
struct SnapshotParts {
  int64_t sequence = 0;
  std::vector<v1::Snapshot> parts;  // at least one; `more` is set in all but the last
  size_t bytes = 0;                 // of its rows, as they are encoded
  absl::Duration read_at;           // on the monotonic clock
  // Set when others need the room that it takes: who still sends it lets go of it.
  mutable std::atomic<bool> called_in{false};
};

struct DeskOptions {
  // Given and not yet answered, without claims that wait; past either: ResourceExhausted.
  size_t max_commands = 4096;
  size_t max_command_bytes = 64 * 1024 * 1024;  // those of 1 KiB or less are taken beyond it
  // In one transaction.
  int max_batch = 256;
  size_t max_batch_bytes = 4 * 1024 * 1024;
  size_t max_waiting_claims = 10000;  // past it: ResourceExhausted
  int read_threads = 2;               // for the calls that read
  int replay_threads = 2;             // for streams that are behind the tail
  size_t max_reads = 4096;  // that wait, of one caller; twice as many in all; and so of replays
  // Of all snapshots that somebody holds, as they are encoded; past it none is begun beside them
  // (ResourceExhausted), and the oldest are called in. One alone may be of any size.
  size_t max_snapshot_bytes = 512 * 1024 * 1024;
  int64_t max_open_tickets = 0;  // of one tenant, that have not ended; 0: any number
  int max_open_questions = domain::kMaxOpenQuestions;  // of one session, at most that many
  int64_t retain_events = 0;                           // how many Subscribe serves; 0: all
  // No question expires before the desk has been ready for so long.
  absl::Duration expiry_hold = absl::Seconds(30);
  absl::Duration remember_requests = absl::Hours(24 * 7);
  events::EventLog::Limits tail;
  // Where the desk tells about itself; must outlive it. Null: nobody asks.
  Metrics* metrics = nullptr;
  // Told once, on the writer's thread, when the store has failed: what was not acknowledged may or
  // may not exist, nothing more is taken, and the process must end.
  absl::AnyInvocable<void(absl::Status)> on_fatal;

  // How many views of the store are open at a time at most: those, one for the input of agents and
  // one for snapshots.
  int max_views() const { return read_threads + replay_threads + 2; }
};

// One ordered log and the state that it tells of. Commands go to the one writer thread, which
// decides them one after the other and commits many in one transaction; reads run on their own
// threads and never wait for it. Thread-safe.
//
// Every command may be refused with ResourceExhausted (reason `overloaded`, with a time to wait)
// and fail with Unavailable (the outcome is unknown); the other errors are those of the domain and
// of the call's comment in the protos.
class Desk {
 public:
  // Loads what has a time and starts the threads. `store`, `clock` and `ids` must outlive the desk.
  static absl::StatusOr<std::unique_ptr<Desk>> Start(DeskOptions options, store::Store& store,
                                                     Clock& clock, IdSource& ids);
  // Finishes what was taken, calls off claims that wait, and joins the threads.
  ~Desk();
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  void Execute(Caller caller, v1::CreateTicketRequest request, Done<v1::CreateTicketResponse> done);
  void Execute(Caller caller, v1::CancelTicketRequest request, Done<v1::CancelTicketResponse> done);
  void Execute(Caller caller, v1::RetryTicketRequest request, Done<v1::RetryTicketResponse> done);
  void Execute(Caller caller, v1::RenewLeaseRequest request, Done<v1::RenewLeaseResponse> done);
  void Execute(Caller caller, v1::ReportActivityRequest request,
               Done<v1::ReportActivityResponse> done);
  void Execute(Caller caller, v1::AskQuestionRequest request, Done<v1::AskQuestionResponse> done);
  void Execute(Caller caller, v1::WithdrawQuestionRequest request,
               Done<v1::WithdrawQuestionResponse> done);
  void Execute(Caller caller, v1::ReleaseJobRequest request, Done<v1::ReleaseJobResponse> done);
  void Execute(Caller caller, v1::CompleteJobRequest request, Done<v1::CompleteJobResponse> done);
  void Execute(Caller caller, v1::FailJobRequest request, Done<v1::FailJobResponse> done);
  void Execute(Caller caller, v1::SubmitResponseRequest request,
               Done<v1::SubmitResponseResponse> done);
  void Execute(Caller caller, v1::SendMessageRequest request, Done<v1::SendMessageResponse> done);
  // Waits for a job as long as the request says. `done` may be called before this returns.
  std::unique_ptr<WaitingClaim> Claim(Caller caller, v1::ClaimJobRequest request,
                                      Done<v1::ClaimJobResponse> done);

  void Read(const Caller& caller, const v1::GetTicketRequest& request,
            Done<v1::GetTicketResponse> done);
  void Read(const Caller& caller, const v1::ListTicketsRequest& request,
            Done<v1::ListTicketsResponse> done);
  void Read(const Caller& caller, const v1::GetJobRequest& request, Done<v1::GetJobResponse> done);
  void Read(const Caller& caller, const v1::ListJobsRequest& request,
            Done<v1::ListJobsResponse> done);
  void Read(const Caller& caller, const v1::GetSessionRequest& request,
            Done<v1::GetSessionResponse> done);
  void Read(const Caller& caller, const v1::ListSessionsRequest& request,
            Done<v1::ListSessionsResponse> done);
  void Read(const Caller& caller, const v1::GetQuestionRequest& request,
            Done<v1::GetQuestionResponse> done);
  void Read(const Caller& caller, const v1::ListQuestionsRequest& request,
            Done<v1::ListQuestionsResponse> done);
  void Read(const Caller& caller, const v1::ListEventsRequest& request,
            Done<v1::ListEventsResponse> done);
  v1::GetDeskResponse GetDesk();
  // Whether the desk takes writes: the writer, which also drives the timers, commits something that
  // changes nothing. OK once that is durable; Unavailable when the store has failed. It is never
  // refused; where the writer hangs, `done` is not called.
  void Probe(absl::AnyInvocable<void(absl::Status)> done);
  // The same for reads: a thread for them opens a view, before all that waits. Where none comes to
  // it, `done` is not called.
  void ProbeReads(absl::AnyInvocable<void(absl::Status)> done);

  // Moves the oldest position that Subscribe serves, and stores a checkpoint.
  void Execute(Caller caller, v1::CompactRequest request, Done<v1::CompactResponse> done);

  // Whether a position can be subscribed to: OutOfRange with reason `compacted`, `other_desk` or
  // `ahead` and what can be served; InvalidArgument for a position other than 0 without its desk.
  absl::Status CheckPosition(absl::string_view desk_id, int64_t after);
  // A cursor that starts after a position, from where the writer thread wakes it.
  events::Subscription Subscribe(const Caller& caller, events::Filter filter, int64_t after);
  // The state now; tickets and sessions only those that `filter` names, where it names any. Those
  // who wait for the same at a time get the same parts. `wanted` may be asked, on a thread of the
  // desk, when their turn has come; where it says no, `done` is not called.
  void TakeSnapshot(const Caller& caller, const v1::EventFilter& filter,
                    Done<std::shared_ptr<const SnapshotParts>> done,
                    absl::AnyInvocable<bool()> wanted = nullptr);
  // Runs `task`, which may block, on a thread that reads. ResourceExhausted when too much waits.
  absl::Status PostRead(absl::AnyInvocable<void(store::Store&)> task);
  // The same for a stream of `identity` (Caller::identity) that reads on in the log, on threads of
  // their own: however many such streams there are, other reads do not wait behind them. Nor do
  // those of one identity wait behind all those of another.
  absl::Status PostReplay(absl::string_view identity, absl::AnyInvocable<void(store::Store&)> task);
  // The same for the input of agents, which has a thread of its own: a cancel does not wait behind
  // the reads of others.
  absl::Status PostInput(absl::AnyInvocable<void(store::Store&)> task);

  const std::string& desk_id() const { return store_.desk_id(); }
  events::EventLog& log() { return log_; }
  Clock& clock() { return clock_; }

 private:
  Desk(const DeskOptions& options, store::Store& store, Clock& clock, IdSource& ids, int64_t head,
       int64_t oldest);

  void AddReadings(Metrics& metrics);
  // Sets the timers of what was under way when the desk was last up. Says before when, on the
  // monotonic clock, no question expires.
  absl::StatusOr<absl::Duration> LoadTimers(store::View& view, absl::Duration expiry_hold);
  template <typename Request, typename Response>
  void Submit(Caller caller, Request request, Done<Response> done);
  // Runs `read` on a view of what the caller may see, on a thread that reads, where callers take
  // turns.
  template <typename Response>
  void OnView(const Caller& caller, Done<Response> done,
              absl::AnyInvocable<absl::StatusOr<Response>(store::View&)> read);
  // Reads a page of rows and adds each to the response, with the token of the page after it.
  // `arguments` are what the token is good for.
  template <typename Response, typename Row>
  void OnPage(
      const Caller& caller, int page_size, absl::string_view page_token, std::string arguments,
      Done<Response> done,
      absl::AnyInvocable<absl::StatusOr<store::Page<Row>>(store::View&, const store::PageRequest&)>
          list,
      absl::AnyInvocable<void(Row&, Response&)> add);
  // One who waits for a snapshot, and all who wait for the same.
  struct SnapshotTaker {
    Done<std::shared_ptr<const SnapshotParts>> done;
    absl::AnyInvocable<bool()> wanted;
  };
  std::vector<SnapshotTaker> TakersOf(const std::string& same) ABSL_LOCKS_EXCLUDED(snapshot_mutex_);
  // These two on the thread of snapshots_. How much a snapshot that is begun now may take; and room
  // for the next, when that was too little.
  size_t SnapshotRoom() ABSL_LOCKS_EXCLUDED(snapshot_mutex_);
  void CallInSnapshots() ABSL_LOCKS_EXCLUDED(snapshot_mutex_);
  // Of what the tenant has, or everyone (nothing); of all tickets, or of those that are named.
  absl::StatusOr<std::shared_ptr<const SnapshotParts>> ReadSnapshot(
      const std::optional<std::string>& tenant, const v1::EventFilter& names)
      ABSL_LOCKS_EXCLUDED(snapshot_mutex_);
  // Shows the lease as it is now: renewals are not stored.
  void ObserveLease(v1::Job& job);

  // Constant after construction; each provides its own synchronization.
  const size_t max_snapshot_bytes_;
  store::Store& store_;
  Clock& clock_;
  IdSource& ids_;
  events::EventLog log_;
  Metrics unread_;  // where nobody asks
  std::unique_ptr<DeskMetrics> metrics_;
  std::unique_ptr<Timers> timers_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<ThreadPool> readers_;
  std::unique_ptr<ThreadPool> replays_;
  std::unique_ptr<ThreadPool> inputs_;
  // One thread: a snapshot may be long, and those that come for the same meanwhile share the next.
  std::unique_ptr<ThreadPool> snapshots_;

  Mutex snapshot_mutex_;
  // By what they wait for; a task of snapshots_ is on its way for each.
  absl::flat_hash_map<std::string, std::vector<SnapshotTaker>> snapshot_takers_
      ABSL_GUARDED_BY(snapshot_mutex_);
  // Those that were read and that somebody may still hold, the oldest first.
  std::vector<std::weak_ptr<const SnapshotParts>> living_snapshots_
      ABSL_GUARDED_BY(snapshot_mutex_);
  // The last snapshot of everything; as good as a new one while nothing was committed since.
  std::shared_ptr<const SnapshotParts> snapshot_ ABSL_GUARDED_BY(snapshot_mutex_);
};

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_DESK_H_
