// The lists of SqliteReads. Each is read in one of two ways: a tenant that has a name has runs of
// its own in the indexes *_by_tenant, so that what others have costs it nothing; everyone's, and
// the default tenant's, is read from the runs of all.

#include <optional>
#include <string>
#include <utility>

#include "core_service/store/page_position.h"
#include "core_service/store/sqlite_reads.h"
#include "core_service/store/sqlite_rows.h"

namespace agentdesk::store {
namespace {

// Of ?3, and of a tenant with a name by its own index.
#define OF_TENANT " AND (?3 IS NULL OR tenant = ?3)"
#define OF_NAMED " AND tenant = ?3 AND tenant <> ''"

#define TICKETS "SELECT " AGENTDESK_TICKET_COLUMNS " FROM tickets "
#define BY_STATUS(status, range) \
  TICKETS "INDEXED BY tickets_by_status WHERE status = " status " AND ticket_key " range OF_TENANT
#define NAMED_BY_STATUS(status, range) \
  TICKETS "INDEXED BY tickets_by_tenant WHERE status = " status " AND ticket_key " range OF_NAMED
// One run of the index for each status, merged in the order of the keys.
#define OPEN(run, range)                                                                         \
  run("1", range) " UNION ALL " run("2", range) " UNION ALL " run("3", range) " UNION ALL " run( \
      "4", range)
#define CLOSED(run, range) \
  run("5", range) " UNION ALL " run("6", range) " UNION ALL " run("7", range)
#define NEWEST " ORDER BY ticket_key DESC LIMIT ?2"
#define OLDEST " ORDER BY ticket_key LIMIT ?2"

constexpr Sql kTickets = {"list tickets", TICKETS "WHERE ticket_key < ?1" OF_TENANT NEWEST};
constexpr Sql kTicketsOfNamed = {"list tickets", OPEN(NAMED_BY_STATUS, "< ?1") " UNION ALL " CLOSED(
                                                     NAMED_BY_STATUS, "< ?1") NEWEST};
constexpr Sql kTicketsByStatus = {"list tickets by status", BY_STATUS("?4", "< ?1") NEWEST};
constexpr Sql kTicketsOfNamedByStatus = {"list tickets by status",
                                         NAMED_BY_STATUS("?4", "< ?1") NEWEST};
constexpr Sql kOpenSessions = {"list open sessions", OPEN(BY_STATUS, "< ?1") NEWEST};
constexpr Sql kOpenSessionsOfNamed = {"list open sessions", OPEN(NAMED_BY_STATUS, "< ?1") NEWEST};
constexpr Sql kClosedSessions = {"list closed sessions", CLOSED(BY_STATUS, "< ?1") NEWEST};
constexpr Sql kClosedSessionsOfNamed = {"list closed sessions",
                                        CLOSED(NAMED_BY_STATUS, "< ?1") NEWEST};
constexpr Sql kLiveTickets = {"list live tickets", OPEN(BY_STATUS, "> ?1") OLDEST};
constexpr Sql kLiveTicketsOfNamed = {"list live tickets", OPEN(NAMED_BY_STATUS, "> ?1") OLDEST};

#define JOBS "SELECT " AGENTDESK_JOB_COLUMNS " FROM jobs "
#define NAMED_JOBS(status, range) \
  JOBS "INDEXED BY jobs_by_tenant WHERE status = " status " AND job_key " range OF_NAMED
#define NEWEST_JOBS " ORDER BY job_key DESC LIMIT ?2"
constexpr Sql kJobs = {"list jobs", JOBS "WHERE job_key < ?1" OF_TENANT NEWEST_JOBS};
constexpr Sql kJobsOfNamed = {
    "list jobs", OPEN(NAMED_JOBS, "< ?1") " UNION ALL " CLOSED(NAMED_JOBS, "< ?1") NEWEST_JOBS};
constexpr Sql kJobsByStatus = {
    "list jobs by status",
    JOBS "INDEXED BY jobs_by_status WHERE status = ?4 AND job_key < ?1" OF_TENANT NEWEST_JOBS};
constexpr Sql kJobsOfNamedByStatus = {"list jobs by status", NAMED_JOBS("?4", "< ?1") NEWEST_JOBS};
constexpr Sql kJobsOfTicket = {"list the jobs of a ticket", JOBS
                               "INDEXED BY jobs_by_ticket WHERE job_key < ?1"
                               " AND ticket_key = (SELECT t.ticket_key FROM tickets t"
                               "                   WHERE t.session_id = ?5)"
                               " AND (?4 = 0 OR status = ?4)" OF_TENANT NEWEST_JOBS};

// Questions of one state after the position (?1, ?4). Two runs of the index: SQLite would seek by
// the first column of a comparison of pairs alone, and walk all questions without a deadline each
// time.
#define QUESTIONS "SELECT " AGENTDESK_QUESTION_COLUMNS ", expires_us FROM questions "
#define AFTER_POSITION(index, state, whose)                                            \
  QUESTIONS "INDEXED BY " index " WHERE state = " state                                \
            " AND expires_us = ?1 AND question_key > ?4" whose " UNION ALL " QUESTIONS \
            "INDEXED BY " index " WHERE state = " state " AND expires_us > ?1" whose
#define BY_STATE(state) AFTER_POSITION("questions_by_deadline", state, OF_TENANT)
#define NAMED_BY_STATE(state) AFTER_POSITION("questions_by_tenant", state, OF_NAMED)
#define ALL_STATES(run) \
  run("1") " UNION ALL " run("2") " UNION ALL " run("3") " UNION ALL " run("4")
#define NEAREST " ORDER BY expires_us, question_key LIMIT ?2"
constexpr Sql kQuestions = {"list questions", ALL_STATES(BY_STATE) NEAREST};
constexpr Sql kQuestionsOfNamed = {"list questions", ALL_STATES(NAMED_BY_STATE) NEAREST};
constexpr Sql kQuestionsByState = {"list questions by state", BY_STATE("?5") NEAREST};
constexpr Sql kQuestionsOfNamedByState = {"list questions by state", NAMED_BY_STATE("?5") NEAREST};
constexpr Sql kQuestionsOfSession = {"list the questions of a session", QUESTIONS
                                     "INDEXED BY questions_by_asked"
                                     " WHERE (expires_us, question_key) > (?1, ?4)"
                                     " AND ticket_key = (SELECT t.ticket_key FROM tickets t"
                                     "                   WHERE t.session_id = ?6)"
                                     " AND (?5 = 0 OR state = ?5)" OF_TENANT NEAREST};

#undef OF_TENANT
#undef OF_NAMED
#undef TICKETS
#undef BY_STATUS
#undef NAMED_BY_STATUS
#undef OPEN
#undef CLOSED
#undef NEWEST
#undef OLDEST
#undef JOBS
#undef NAMED_JOBS
#undef NEWEST_JOBS
#undef QUESTIONS
#undef AFTER_POSITION
#undef BY_STATE
#undef NAMED_BY_STATE
#undef ALL_STATES
#undef NEAREST

// One more than asked for, to know whether there is a next page.
int64_t RowsToRead(const PageRequest& page) { return int64_t{page.size} + 1; }

// Reads a page by `read`; `token` makes the position of the row at which the statement stands. The
// record, whose size counts, is in the column `record`.
template <typename Row, typename Read, typename Token>
absl::StatusOr<Page<Row>> ReadPage(Statement& statement, const PageRequest& request, int record,
                                   Read read, Token token) {
  Page<Row> page;
  std::string last;
  size_t bytes = 0;
  while (true) {
    absl::StatusOr<bool> more = statement.Next();
    if (!more.ok()) return more.status();
    if (!*more) return page;
    bytes += statement.Bytes(record).size();
    const bool full = page.rows.size() == static_cast<size_t>(request.size) ||
                      (!page.rows.empty() && bytes > request.max_bytes);
    if (full) {
      page.next = std::move(last);
      return page;
    }
    absl::StatusOr<Row> row = read(statement);
    if (!row.ok()) return row.status();
    page.rows.push_back(*std::move(row));
    last = token(statement);
  }
}

std::string TokenOfKey(const Statement& statement) { return KeyToken(statement.Int(0)); }

std::string TokenOfDeadline(const Statement& statement) {
  return DeadlineToken({statement.Int(3), statement.Int(0)});
}

}  // namespace

template <typename Base>
absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::PageOfTickets(Statement& list,
                                                                    const PageRequest& page) {
  return ReadPage<TicketRecord>(
      list, page, kTicketRecord, [this](const Statement& row) { return ReadTicket(row); },
      TokenOfKey);
}

template <typename Base>
absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::ListTickets(v1::JobStatus status,
                                                                  const PageRequest& page) {
  absl::StatusOr<int64_t> before = KeyAfter(page, INT64_MAX);
  if (!before.ok()) return before.status();
  if (status == v1::JOB_STATUS_UNSPECIFIED) {
    Statement list(connection_, held_to_named() ? kTicketsOfNamed : kTickets, *before,
                   RowsToRead(page), tenant_);
    return PageOfTickets(list, page);
  }
  Statement list(connection_, held_to_named() ? kTicketsOfNamedByStatus : kTicketsByStatus, *before,
                 RowsToRead(page), tenant_, static_cast<int>(status));
  return PageOfTickets(list, page);
}

template <typename Base>
absl::StatusOr<Page<JobRecord>> SqliteReads<Base>::ListJobs(absl::string_view session_id,
                                                            v1::JobStatus status,
                                                            const PageRequest& page) {
  absl::StatusOr<int64_t> before = KeyAfter(page, INT64_MAX);
  if (!before.ok()) return before.status();
  const auto read = [this](const Statement& row) { return ReadJob(row); };
  const int status_number = status;
  if (!session_id.empty()) {
    const std::optional<Uuid> id = ParseId(session_id);
    if (!id.has_value()) return Page<JobRecord>{};
    Statement list(connection_, kJobsOfTicket, *before, RowsToRead(page), tenant_, status_number,
                   *id);
    return ReadPage<JobRecord>(list, page, kJobRecord, read, TokenOfKey);
  }
  if (status == v1::JOB_STATUS_UNSPECIFIED) {
    Statement list(connection_, held_to_named() ? kJobsOfNamed : kJobs, *before, RowsToRead(page),
                   tenant_);
    return ReadPage<JobRecord>(list, page, kJobRecord, read, TokenOfKey);
  }
  Statement list(connection_, held_to_named() ? kJobsOfNamedByStatus : kJobsByStatus, *before,
                 RowsToRead(page), tenant_, status_number);
  return ReadPage<JobRecord>(list, page, kJobRecord, read, TokenOfKey);
}

template <typename Base>
absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::ListSessions(v1::SessionState state,
                                                                   const PageRequest& page) {
  if (state == v1::SESSION_STATE_UNSPECIFIED) {
    return ListTickets(v1::JOB_STATUS_UNSPECIFIED, page);
  }
  absl::StatusOr<int64_t> before = KeyAfter(page, INT64_MAX);
  if (!before.ok()) return before.status();
  const Sql& open = held_to_named() ? kOpenSessionsOfNamed : kOpenSessions;
  const Sql& closed = held_to_named() ? kClosedSessionsOfNamed : kClosedSessions;
  Statement list(connection_, state == v1::SESSION_STATE_OPEN ? open : closed, *before,
                 RowsToRead(page), tenant_);
  return PageOfTickets(list, page);
}

template <typename Base>
absl::StatusOr<Page<QuestionRecord>> SqliteReads<Base>::ListQuestions(v1::QuestionState state,
                                                                      absl::string_view session_id,
                                                                      const PageRequest& page) {
  absl::StatusOr<DeadlinePosition> after = DeadlineAfter(page);
  if (!after.ok()) return after.status();
  const auto read = [this](const Statement& row) { return ReadQuestion(row); };
  const int state_number = state;
  if (!session_id.empty()) {
    const std::optional<Uuid> id = ParseId(session_id);
    if (!id.has_value()) return Page<QuestionRecord>{};
    Statement list(connection_, kQuestionsOfSession, after->expires_us, RowsToRead(page), tenant_,
                   after->key, state_number, *id);
    return ReadPage<QuestionRecord>(list, page, kQuestionRecord, read, TokenOfDeadline);
  }
  if (state == v1::QUESTION_STATE_UNSPECIFIED) {
    Statement list(connection_, held_to_named() ? kQuestionsOfNamed : kQuestions, after->expires_us,
                   RowsToRead(page), tenant_, after->key);
    return ReadPage<QuestionRecord>(list, page, kQuestionRecord, read, TokenOfDeadline);
  }
  Statement list(connection_, held_to_named() ? kQuestionsOfNamedByState : kQuestionsByState,
                 after->expires_us, RowsToRead(page), tenant_, after->key, state_number);
  return ReadPage<QuestionRecord>(list, page, kQuestionRecord, read, TokenOfDeadline);
}

template <typename Base>
absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::ListLiveTickets(const PageRequest& page) {
  absl::StatusOr<int64_t> after = KeyAfter(page, 0);
  if (!after.ok()) return after.status();
  Statement list(connection_, held_to_named() ? kLiveTicketsOfNamed : kLiveTickets, *after,
                 RowsToRead(page), tenant_);
  return PageOfTickets(list, page);
}

#define LISTS_OF(Base)                                                                             \
  template absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::PageOfTickets(                    \
      Statement&, const PageRequest&);                                                             \
                                                                                                   \
  template absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::ListTickets(v1::JobStatus,        \
                                                                             const PageRequest&);  \
  template absl::StatusOr<Page<JobRecord>> SqliteReads<Base>::ListJobs(                            \
      absl::string_view, v1::JobStatus, const PageRequest&);                                       \
  template absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::ListSessions(v1::SessionState,    \
                                                                              const PageRequest&); \
  template absl::StatusOr<Page<QuestionRecord>> SqliteReads<Base>::ListQuestions(                  \
      v1::QuestionState, absl::string_view, const PageRequest&);                                   \
  template absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::ListLiveTickets(const PageRequest&)
LISTS_OF(View);
LISTS_OF(Transaction);
#undef LISTS_OF

}  // namespace agentdesk::store
