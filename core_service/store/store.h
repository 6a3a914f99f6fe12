#ifndef AGENTDESK_CORE_SERVICE_STORE_STORE_H_
#define AGENTDESK_CORE_SERVICE_STORE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/record/v1/record.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/store/event_block.h"

namespace agentdesk::store {

using record::v1::JobRecord;
using record::v1::QuestionRecord;
using record::v1::RequestRecord;
using record::v1::TicketCheckpoint;
using record::v1::TicketRecord;

// A page of a list: rows and where the next page starts (empty: this was the last).
template <typename Row>
struct Page {
  std::vector<Row> rows;
  std::string next;
};

// Which page. `after` is the `next` of the page before, or empty; it holds a position, so what
// existed throughout and kept its place is seen exactly once. InvalidArgument when it is none of
// ours.
struct PageRequest {
  int size = 50;
  size_t max_bytes = 1024 * 1024;  // of stored rows; ends the page, but it has at least one row
  std::string after;
};

// Which stored events to read: those after one position and up to another that pass the filter.
struct EventQuery {
  int64_t after = 0;
  int64_t up_to = INT64_MAX;
  const v1::EventFilter* filter = nullptr;  // null or empty: all
  std::optional<std::string> tenant;        // whose alone; nothing: those of every tenant
  int max_events = 256;
  size_t max_bytes = 256 * 1024;  // ends the read, but it has at least one event if there is one
};

struct EventRead {
  // The events as they are stored, back to back: what EventBlock::Parse takes, and a stream sends.
  std::shared_ptr<const std::string> bytes;
  // All events up to here that pass the filter are in the bytes: at least the last one's sequence;
  // the end of the range where the query was read to its end. They may also be none or few before
  // that end, since a search for rare events answers after a while with how far it came: go on from
  // here.
  int64_t complete_up_to = 0;
};

// Where a desk came from.
struct Origin {
  int64_t restores = 0;           // how often it, or a desk that it stems from, was restored
  std::string restored_from;      // the desk whose backup it was restored from; empty: none
  int64_t restored_sequence = 0;  // the last event that came from there
};

// The desk's state at one moment. Methods that find one thing answer NotFound when it is not there;
// any method answers Internal or Unavailable when the store cannot be read. Ids are in the one form
// that AgentDesk writes; an id in any other form is simply not found. Not thread-safe.
//
// A view may be held to one tenant: then the methods from FindTicket on act as if nothing of any
// other tenant were in the store, but for those that are given a session or a key of one, whose
// caller has found it before. head(), oldest() and last_time() stay those of the log.
class View {
 public:
  virtual ~View() = default;

  // Nothing: all tenants, as in the beginning. Empty: the default one.
  virtual void HoldTo(std::optional<std::string> tenant) = 0;

  // The last event's sequence as of this view; 0 when there is none.
  virtual int64_t head() const = 0;
  // The first position that Subscribe still serves (1 while nothing was compacted).
  virtual int64_t oldest() const = 0;
  // The last event's time; absl::InfinitePast() when there is none.
  virtual absl::Time last_time() const = 0;

  // Ids of tickets are unique in a tenant; all other ids are among all of them. FailedPrecondition
  // (`ambiguous_ticket`) where this is held to none, and several tenants have a ticket of this id.
  virtual absl::StatusOr<TicketRecord> FindTicket(absl::string_view ticket_id) = 0;
  virtual absl::StatusOr<TicketRecord> FindTicketOfSession(absl::string_view session_id) = 0;
  virtual absl::StatusOr<JobRecord> FindJob(absl::string_view job_id) = 0;
  virtual absl::StatusOr<QuestionRecord> FindQuestion(absl::string_view question_id) = 0;
  // The one asked last under this key.
  virtual absl::StatusOr<QuestionRecord> FindQuestionByKey(absl::string_view session_id,
                                                           absl::string_view key) = 0;
  virtual absl::StatusOr<RequestRecord> FindRequest(absl::string_view caller,
                                                    absl::string_view request_id) = 0;
  // Whether a keyed message or tool call of this session is stored.
  virtual absl::StatusOr<bool> HasActivityKey(absl::string_view session_id,
                                              absl::string_view key) = 0;

  // The questions of a session that were open at a position (INT64_MAX: now), oldest first, `limit`
  // at most.
  virtual absl::StatusOr<std::vector<QuestionRecord>> OpenQuestions(absl::string_view session_id,
                                                                    int64_t as_of, int limit) = 0;
  // The question of a session that was asked last at or before a position.
  virtual absl::StatusOr<QuestionRecord> LatestQuestion(absl::string_view session_id,
                                                        int64_t as_of) = 0;
  // Whether the session's agent said, did or asked anything after one position and up to another.
  virtual absl::StatusOr<bool> AgentSpoke(absl::string_view session_id, int64_t after,
                                          int64_t up_to) = 0;

  // The claimable job with the highest priority, then the oldest, of these queues.
  virtual absl::StatusOr<JobRecord> NextClaimableJob(const std::vector<std::string>& queues) = 0;

  // Newest first. JOB_STATUS_UNSPECIFIED and an empty id: all.
  virtual absl::StatusOr<Page<TicketRecord>> ListTickets(v1::JobStatus status,
                                                         const PageRequest& page) = 0;
  virtual absl::StatusOr<Page<JobRecord>> ListJobs(absl::string_view session_id,
                                                   v1::JobStatus status,
                                                   const PageRequest& page) = 0;
  // The tickets of these sessions; newest first.
  virtual absl::StatusOr<Page<TicketRecord>> ListSessions(v1::SessionState state,
                                                          const PageRequest& page) = 0;
  // Nearest deadline first, then oldest.
  virtual absl::StatusOr<Page<QuestionRecord>> ListQuestions(v1::QuestionState state,
                                                             absl::string_view session_id,
                                                             const PageRequest& page) = 0;
  // Tickets that have not ended, oldest first.
  virtual absl::StatusOr<Page<TicketRecord>> ListLiveTickets(const PageRequest& page) = 0;

  virtual absl::StatusOr<EventRead> ReadEvents(const EventQuery& query) = 0;
  // The first event of this time or later; head() + 1 when there is none.
  virtual absl::StatusOr<int64_t> SequenceAt(absl::Time time) = 0;

  // The position of the last checkpoint; 0: there is none.
  virtual absl::StatusOr<int64_t> CheckpointSequence() = 0;
  // A session's ticket as of the last checkpoint; NotFound where it had ended by then, or did not
  // exist.
  virtual absl::StatusOr<TicketCheckpoint> FindCheckpoint(absl::string_view session_id) = 0;

  // What has a time at which something is due, for the timers to load at start: jobs with a live
  // lease, queued jobs that are not claimable yet, open questions with a deadline.
  virtual absl::StatusOr<std::vector<JobRecord>> LeasedJobs() = 0;
  virtual absl::StatusOr<std::vector<JobRecord>> DelayedJobs() = 0;
  virtual absl::StatusOr<std::vector<QuestionRecord>> QuestionsWithDeadline() = 0;
};

// What is about to change. It sees its own changes. Held to a tenant it still writes anything.
// Nothing of it exists for anyone else until Commit has returned OK; destroyed before that, nothing
// of it ever existed.
//
// An error of any method here other than NotFound, and FailedPrecondition of FindTicket, means that
// the transaction can only be destroyed.
class Transaction : public View {
 public:
  // Replaces what was read, or put, in this transaction: a ticket by the id of its session, a job
  // by its own. Anything else must be new; that it was not may be told only by a later call.
  virtual absl::Status PutTicket(const TicketRecord& ticket) = 0;
  virtual absl::Status PutJob(const JobRecord& job) = 0;
  virtual absl::Status PutQuestion(const QuestionRecord& question) = 0;
  virtual absl::Status PutRequest(const RequestRecord& request) = 0;
  virtual absl::Status PutActivityKey(absl::string_view session_id, absl::string_view key) = 0;
  // Appends to the log. `event.sequence` must be head() + 1 (Internal otherwise).
  virtual absl::Status Append(const v1::Event& event) = 0;
  // Moves the first position that Subscribe serves; no row is deleted.
  virtual absl::Status SetOldest(int64_t sequence) = 0;
  // Stores a checkpoint of head(), in place of the one before: the chain value there, and the state
  // of every ticket that has not ended. A check may start from it.
  virtual absl::Status PutCheckpoint() = 0;
  // Forgets results older than `before`, `limit` at most; says how many.
  virtual absl::StatusOr<int> ForgetRequests(absl::Time before, int limit) = 0;

  // Makes everything durable (it has reached the disk when this returns OK) and returns the events
  // appended, for the live tail. Any error: the outcome is unknown, the store takes no further
  // transaction, and the process must end.
  virtual absl::StatusOr<std::shared_ptr<const EventBlock>> Commit() = 0;
};

// All that is kept of a ticket.
absl::StatusOr<TicketCheckpoint> ReadTicketState(View& view, const TicketRecord& ticket);

// The whole desk as of one moment, as bytes from which it can be restored. Not thread-safe.
class Copy {
 public:
  virtual ~Copy() = default;

  // The last event that it has.
  virtual int64_t head() const = 0;
  // Does a part of the work that is short enough for a thread that others need too, and returns the
  // next bytes, at most 256 KiB; none, while the copy is still being made. ResourceExhausted when
  // the disk is full.
  virtual absl::StatusOr<std::string> Next() = 0;
  // Whether all bytes were returned.
  virtual bool done() const = 0;
};

// Where a desk is kept. Begin() and the transaction belong to one thread at a time, the writer;
// OpenView may be called from any thread, and the view used by one thread at a time.
class Store {
 public:
  virtual ~Store() = default;

  // The log's own id, minted when the store was made.
  virtual const std::string& desk_id() const = 0;
  virtual const Origin& origin() const = 0;
  // FailedPrecondition while another transaction exists, and for ever once a write or a commit has
  // failed; the text then names that failure.
  virtual absl::StatusOr<std::unique_ptr<Transaction>> Begin() = 0;
  // The state as last committed, held still until the view is destroyed. Never waits for the
  // writer; waits for another view to be destroyed when too many are open. ResourceExhausted after
  // a second of that.
  virtual absl::StatusOr<std::unique_ptr<View>> OpenView() = 0;
  // Begins to copy the desk while it goes on working; the copy is of the moment of this call. May
  // be called from any thread; the store must outlive the copy. ResourceExhausted while another
  // copy exists, or when the disk has no room for one.
  virtual absl::StatusOr<std::unique_ptr<Copy>> BeginCopy() = 0;
};

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_STORE_H_
