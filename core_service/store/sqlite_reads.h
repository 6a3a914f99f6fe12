#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_READS_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_READS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core_service/base/uuid.h"
#include "core_service/store/event_chain.h"
#include "core_service/store/sqlite_checkpoint.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

// What stands in a column for a deadline that does not exist and for a question that is still open,
// so that both sort last and compare as later than anything.
constexpr int64_t kNever = INT64_MAX;

// Where the log ends, as of a transaction or a view.
struct LogEnd {
  int64_t head = 0;
  int64_t oldest = 1;
  int64_t time_us = INT64_MIN;  // of the last event; INT64_MIN: there is none
  Digest chain{};               // of the last event
};

absl::StatusOr<LogEnd> ReadLogEnd(Connection& connection);

// The columns of a job's row that indexes hold.
struct JobColumns {
  int status = 0;
  std::string queue;
  int priority = 0;
  bool claimable = false;
  int64_t lease_token = 0;
  int64_t due_us = 0;

  static JobColumns Of(const JobRecord& record);
  friend bool operator==(const JobColumns&, const JobColumns&) = default;
};

// What a transaction has learned of rows, so that writing what was just read needs no second
// lookup, and indexes are touched only where their columns change. Key 0: there is no such row.
struct KnownRows {
  struct Ticket {
    int64_t key = 0;
    int status = 0;
  };
  struct Job {
    int64_t key = 0;
    JobColumns columns;
  };
  absl::flat_hash_map<Uuid, Ticket> tickets;  // by session: ids of tickets are a tenant's own
  absl::flat_hash_map<Uuid, Job> jobs;
  absl::flat_hash_map<Uuid, int64_t> questions;
  absl::flat_hash_map<std::pair<std::string, std::string>, int64_t> requests;  // by caller and id
};

// The UUID of an id as AgentDesk writes it, nothing for any other form.
std::optional<Uuid> ParseId(absl::string_view id);
// The same of a job's id.
std::optional<Uuid> ParseJobId(absl::string_view id);

// What requests are found by. The texts must be compared as well.
int64_t HashOfRequestId(absl::string_view caller, absl::string_view request_id);

// The reading half of views and transactions, over one connection with an open transaction. `Base`
// is View or Transaction. The lists are in sqlite_lists.cc.
template <typename Base>
class SqliteReads : public Base {
 public:
  void HoldTo(std::optional<std::string> tenant) override { tenant_ = std::move(tenant); }
  int64_t head() const override { return end_.head; }
  int64_t oldest() const override { return end_.oldest; }
  absl::Time last_time() const override;

  absl::StatusOr<TicketRecord> FindTicket(absl::string_view ticket_id) override;
  absl::StatusOr<TicketRecord> FindTicketOfSession(absl::string_view session_id) override;
  absl::StatusOr<JobRecord> FindJob(absl::string_view job_id) override;
  absl::StatusOr<QuestionRecord> FindQuestion(absl::string_view question_id) override;
  absl::StatusOr<QuestionRecord> FindQuestionByKey(absl::string_view session_id,
                                                   absl::string_view key) override;
  absl::StatusOr<RequestRecord> FindRequest(absl::string_view caller,
                                            absl::string_view request_id) override;
  absl::StatusOr<bool> HasActivityKey(absl::string_view session_id, absl::string_view key) override;
  absl::StatusOr<std::vector<QuestionRecord>> OpenQuestions(absl::string_view session_id,
                                                            int64_t as_of, int limit) override;
  absl::StatusOr<QuestionRecord> LatestQuestion(absl::string_view session_id,
                                                int64_t as_of) override;
  absl::StatusOr<bool> AgentSpoke(absl::string_view session_id, int64_t after,
                                  int64_t up_to) override;
  absl::StatusOr<JobRecord> NextClaimableJob(const std::vector<std::string>& queues) override;
  absl::StatusOr<Page<TicketRecord>> ListTickets(v1::JobStatus status,
                                                 const PageRequest& page) override;
  absl::StatusOr<Page<JobRecord>> ListJobs(absl::string_view session_id, v1::JobStatus status,
                                           const PageRequest& page) override;
  absl::StatusOr<Page<TicketRecord>> ListSessions(v1::SessionState state,
                                                  const PageRequest& page) override;
  absl::StatusOr<Page<QuestionRecord>> ListQuestions(v1::QuestionState state,
                                                     absl::string_view session_id,
                                                     const PageRequest& page) override;
  absl::StatusOr<Page<TicketRecord>> ListLiveTickets(const PageRequest& page) override;
  absl::StatusOr<EventRead> ReadEvents(const EventQuery& query) override;
  absl::StatusOr<int64_t> SequenceAt(absl::Time time) override {
    return store::SequenceAt(connection_, time, end_.head);
  }
  absl::StatusOr<int64_t> CheckpointSequence() override {
    const absl::StatusOr<std::optional<StoredCheckpoint>> stored = ReadCheckpoint(connection_);
    if (!stored.ok()) return stored.status();
    return stored->has_value() ? (*stored)->sequence : 0;
  }
  absl::StatusOr<TicketCheckpoint> FindCheckpoint(absl::string_view session_id) override {
    return store::FindCheckpoint(connection_, session_id);
  }
  absl::StatusOr<std::vector<JobRecord>> LeasedJobs() override;
  absl::StatusOr<std::vector<JobRecord>> DelayedJobs() override;
  absl::StatusOr<std::vector<QuestionRecord>> QuestionsWithDeadline() override;

 protected:
  // `known` may be null: then nothing is remembered.
  SqliteReads(Connection& connection, const LogEnd& end, KnownRows* known)
      : connection_(connection), end_(end), known_(known) {}

  // The key of the ticket that has this session; 0: there is none.
  absl::StatusOr<int64_t> TicketKeyOfSession(absl::string_view session_id);

  Connection& connection_;
  LogEnd end_;
  KnownRows* const known_;

 private:
  struct Claimable {
    int64_t key = 0;  // 0: none
    int64_t priority = 0;
  };

  // Whether a row of this tenant is not to be seen.
  bool Hides(const std::string& tenant) const { return tenant_.has_value() && *tenant_ != tenant; }
  bool held_to_named() const { return !tenant_.value_or("").empty(); }

  // Read the row at which `statement` stands; its columns are those of sqlite_rows.h.
  absl::StatusOr<TicketRecord> ReadTicket(const Statement& statement);
  absl::StatusOr<JobRecord> ReadJob(const Statement& statement);
  absl::StatusOr<QuestionRecord> ReadQuestion(const Statement& statement);
  absl::StatusOr<std::vector<JobRecord>> AllJobs(Statement& statement);
  absl::StatusOr<std::vector<QuestionRecord>> AllQuestions(Statement& statement);
  absl::StatusOr<Page<TicketRecord>> PageOfTickets(Statement& list, const PageRequest& page);
  // Takes a tenant's next job in these queues for `best` where it comes before that.
  absl::Status FindClaimable(const std::string& tenant, const std::vector<std::string>& queues,
                             Claimable& best);

  std::optional<std::string> tenant_;  // that this is held to
};

extern template class SqliteReads<View>;
extern template class SqliteReads<Transaction>;

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_READS_H_
