#ifndef AGENTDESK_CORE_SERVICE_DESK_TURN_H_
#define AGENTDESK_CORE_SERVICE_DESK_TURN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/uuid.h"
#include "core_service/desk/desk.h"
#include "core_service/desk/desk_metrics.h"
#include "core_service/desk/open_tickets.h"
#include "core_service/desk/timers.h"
#include "core_service/domain/change.h"
#include "core_service/store/store.h"

namespace agentdesk::desk {

// What is true for as long as the desk runs, and what its commands may reach besides the
// transaction.
struct Surroundings {
  Clock& clock;
  IdSource& ids;
  Timers& timers;
  DeskMetrics& metrics;
  std::string desk_id;
  int64_t restores;                 // how often the desk was restored from a backup
  int max_open_questions;           // of one session
  absl::Duration no_expiry_before;  // on the monotonic clock
  OpenTickets open_tickets;
};

// What jobs wait in: a tenant, and the name of a queue.
using TenantQueue = std::pair<std::string, std::string>;

// One transaction, as the commands of a batch see it one after the other: it loads the state that
// the domain decides on, and applies the change that it decides. Used by the writer thread alone.
//
// An error that comes from the store, rather than from the domain, spoils the transaction:
// `failure()` tells, and the batch must be given up.
class Turn {
 public:
  Turn(store::Transaction& transaction, Surroundings& around);
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // NotFound names the field; InvalidArgument: the id is malformed; FailedPrecondition
  // (`ambiguous_ticket`): it is of tickets of several tenants, and the caller sees them all.
  absl::StatusOr<domain::TicketState> LoadTicket(absl::string_view ticket_id);
  absl::StatusOr<domain::TicketState> LoadTicketOfSession(absl::string_view session_id);
  // The ticket whose latest job this is. An earlier job of the ticket has no lease any more:
  // FailedPrecondition (`lease_lost`).
  absl::StatusOr<domain::TicketState> LoadTicketOfJob(absl::string_view job_id);
  // Passes on what the store said, nothing for NotFound, and remembers any other error.
  template <typename T>
  absl::StatusOr<std::optional<T>> Optional(absl::StatusOr<T> found) {
    if (found.ok()) return std::optional<T>(*std::move(found));
    if (absl::IsNotFound(found.status())) return std::optional<T>();
    return Spoil(found.status());
  }
  // Remembers an error of the store, and passes it on.
  absl::Status Spoil(absl::Status status);

  domain::Context ContextFor(const Caller& caller);
  // For what the desk does by itself.
  domain::Context ContextForTimer();
  // Stores the rows, appends the events, and sets the timers that follow from them.
  absl::Status Apply(const domain::Change& change);
  absl::Status Remember(const store::RequestRecord& request);
  // Forgets requests older than `before`, `limit` at most; says how many. Only the full number is
  // worth a commit when nothing else has changed.
  absl::StatusOr<int> Forget(absl::Time before, int limit);

  // When what is being decided arrived, on the monotonic clock: what was not over by then is not
  // over for it.
  void set_as_of(absl::Duration as_of) { as_of_ = as_of; }
  // Whether the lease of a job that has one has come to its end by then; that may not be in the log
  // yet.
  bool LeaseIsOver(absl::string_view job_id) const;
  // Gives the lease of a job a full term.
  void StartTerm(absl::string_view job_id, absl::Duration term);
  // Begins the terms that were given since the turn began once more, now.
  void StartTermsAgain();
  // Moves the oldest position that Subscribe serves, and stores a checkpoint of the log.
  absl::Status Compact(int64_t oldest);
  // Writes what is there already, so that a commit is due though nothing has changed.
  absl::Status Touch();

  store::Transaction& transaction() { return transaction_; }
  Surroundings& around() { return around_; }
  const absl::Status& failure() const { return failure_; }
  bool changed() const { return changed_; }
  int64_t head() const { return head_; }
  // The queues in which a job became claimable in this transaction.
  absl::flat_hash_set<TenantQueue>& claimable_queues() { return claimable_queues_; }

 private:
  absl::StatusOr<domain::TicketState> Complete(absl::StatusOr<domain::TicketRecord> ticket,
                                               absl::string_view field, absl::string_view id);
  absl::Time Now();
  void SetJobTimers(const domain::JobRecord& job);
  void SetQuestionTimer(const domain::QuestionRecord& question);

  store::Transaction& transaction_;
  Surroundings& around_;
  int64_t head_;
  absl::Time last_time_;
  absl::Status failure_;
  bool changed_ = false;
  absl::Duration as_of_;
  std::vector<std::pair<std::string, absl::Duration>> terms_;  // by job
  absl::flat_hash_set<TenantQueue> claimable_queues_;
};

// `text` in the one form in which ids are stored; InvalidArgument that names `field`.
absl::StatusOr<std::string> NormalUuid(absl::string_view field, absl::string_view text);
absl::StatusOr<std::string> NormalJobId(absl::string_view text);

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_TURN_H_
