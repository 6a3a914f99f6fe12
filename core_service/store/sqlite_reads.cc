#include "core_service/store/sqlite_reads.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/timestamp.h"
#include "core_service/store/page_position.h"
#include "core_service/store/sqlite_events.h"

namespace agentdesk::store {
namespace {

#define TICKET "ticket_key, ticket_id, session_id, record"
#define JOB "job_key, job_id, ticket_key, record"
#define QUESTION "question_key, question_id, record"
// Where the record is among these columns.
constexpr int kTicketRecord = 3;
constexpr int kJobRecord = 3;
constexpr int kQuestionRecord = 2;

constexpr Sql kLogEnd = {"read the end of the log",
                         "SELECT m.oldest, e.sequence, e.time_us, e.chain FROM meta m"
                         " LEFT JOIN events e ON e.sequence = (SELECT max(sequence) FROM events)"};

constexpr Sql kTicketById = {"read a ticket", "SELECT " TICKET " FROM tickets WHERE ticket_id = ?"};
constexpr Sql kTicketBySession = {"read a session",
                                  "SELECT " TICKET " FROM tickets WHERE session_id = ?"};
constexpr Sql kTicketKeyBySession = {"find a session",
                                     "SELECT ticket_key FROM tickets WHERE session_id = ?"};
constexpr Sql kJobById = {"read a job", "SELECT " JOB " FROM jobs WHERE job_id = ?"};
constexpr Sql kJobByKey = {"read a job", "SELECT " JOB " FROM jobs WHERE job_key = ?"};
constexpr Sql kQuestionById = {"read a question",
                               "SELECT " QUESTION " FROM questions WHERE question_id = ?"};
constexpr Sql kQuestionByKey = {"read a question",
                                "SELECT " QUESTION
                                " FROM questions"
                                " WHERE ticket_key = ? AND asker_key = ? AND asker_key <> ''"
                                " ORDER BY question_key DESC LIMIT 1"};
constexpr Sql kRequest = {"read a request",
                          "SELECT request_key, time_us, fingerprint, response, judged_as_of"
                          " FROM requests"
                          " WHERE id_hash = ? AND caller = ? AND request_id = ?"};
constexpr Sql kActivityKey = {"find an activity key",
                              "SELECT 1 FROM activity_keys WHERE ticket_key = ? AND agent_key = ?"};

constexpr Sql kOpenQuestions = {"read the open questions of a session",
                                "SELECT " QUESTION
                                " FROM questions INDEXED BY questions_by_closed"
                                " WHERE ticket_key = ?1 AND closed_sequence > ?2"
                                "   AND asked_sequence <= ?2"
                                " ORDER BY asked_sequence LIMIT ?3"};
constexpr Sql kLatestQuestion = {"read the latest question of a session",
                                 "SELECT " QUESTION
                                 " FROM questions INDEXED BY questions_by_asked"
                                 " WHERE ticket_key = ? AND asked_sequence <= ?"
                                 " ORDER BY asked_sequence DESC LIMIT 1"};
// The types: agent_message, tool_call, agent_question.
constexpr Sql kAgentSpoke = {"look for an agent's activity",
                             "SELECT 1 FROM events INDEXED BY events_by_ticket"
                             " WHERE ticket_key = ? AND sequence > ? AND sequence <= ?"
                             "   AND type IN (5, 6, 7) LIMIT 1"};
constexpr Sql kClaimable = {"find a job to claim",
                            "SELECT job_key, priority FROM jobs INDEXED BY jobs_claimable"
                            " WHERE claimable = 1 AND queue = ?"
                            " ORDER BY priority DESC, job_key LIMIT 1"};

constexpr Sql kTickets = {"list tickets",
                          "SELECT " TICKET
                          " FROM tickets WHERE ticket_key < ? ORDER BY ticket_key DESC LIMIT ?"};
constexpr Sql kTicketsByStatus = {"list tickets by status",
                                  "SELECT " TICKET
                                  " FROM tickets INDEXED BY tickets_by_status"
                                  " WHERE ticket_key < ? AND status = ?"
                                  " ORDER BY ticket_key DESC LIMIT ?"};
// One run of the index for each status, merged in the order of the keys.
constexpr Sql kOpenSessions = {"list open sessions",
                               "SELECT " TICKET
                               " FROM tickets WHERE status = 1 AND ticket_key < ?1 UNION ALL "
                               "SELECT " TICKET
                               " FROM tickets WHERE status = 2 AND ticket_key < ?1 UNION ALL "
                               "SELECT " TICKET
                               " FROM tickets WHERE status = 3 AND ticket_key < ?1 UNION ALL "
                               "SELECT " TICKET
                               " FROM tickets WHERE status = 4 AND ticket_key < ?1"
                               " ORDER BY ticket_key DESC LIMIT ?2"};
constexpr Sql kClosedSessions = {"list closed sessions",
                                 "SELECT " TICKET
                                 " FROM tickets WHERE status = 5 AND ticket_key < ?1 UNION ALL "
                                 "SELECT " TICKET
                                 " FROM tickets WHERE status = 6 AND ticket_key < ?1 UNION ALL "
                                 "SELECT " TICKET
                                 " FROM tickets WHERE status = 7 AND ticket_key < ?1"
                                 " ORDER BY ticket_key DESC LIMIT ?2"};
constexpr Sql kLiveTickets = {"list live tickets",
                              "SELECT " TICKET
                              " FROM tickets WHERE status = 1 AND ticket_key > ?1 UNION ALL "
                              "SELECT " TICKET
                              " FROM tickets WHERE status = 2 AND ticket_key > ?1 UNION ALL "
                              "SELECT " TICKET
                              " FROM tickets WHERE status = 3 AND ticket_key > ?1 UNION ALL "
                              "SELECT " TICKET
                              " FROM tickets WHERE status = 4 AND ticket_key > ?1"
                              " ORDER BY ticket_key LIMIT ?2"};

constexpr Sql kJobs = {"list jobs",
                       "SELECT " JOB " FROM jobs WHERE job_key < ? ORDER BY job_key DESC LIMIT ?"};
constexpr Sql kJobsByStatus = {"list jobs by status",
                               "SELECT " JOB
                               " FROM jobs INDEXED BY jobs_by_status"
                               " WHERE job_key < ? AND status = ? ORDER BY job_key DESC LIMIT ?"};
constexpr Sql kJobsOfTicket = {"list the jobs of a ticket",
                               "SELECT " JOB
                               " FROM jobs INDEXED BY jobs_by_ticket WHERE job_key < ?1"
                               "   AND ticket_key = (SELECT t.ticket_key FROM tickets t"
                               "                     WHERE t.ticket_id = ?3)"
                               "   AND (?4 = 0 OR status = ?4) ORDER BY job_key DESC LIMIT ?2"};
constexpr Sql kLeasedJobs = {"read the leased jobs", "SELECT " JOB
                                                     " FROM jobs INDEXED BY jobs_leased"
                                                     " WHERE lease_token > 0 ORDER BY lease_token"};
constexpr Sql kDelayedJobs = {"read the delayed jobs",
                              "SELECT " JOB
                              " FROM jobs INDEXED BY jobs_delayed"
                              " WHERE claimable = 0 AND status = 1 ORDER BY due_us"};

// Questions of one state after the position (?1, ?2). Two runs of the index: SQLite would seek by
// the first column of a comparison of pairs alone, and walk all questions without a deadline each
// time.
#define QUESTIONS_AFTER(state)                                            \
  "SELECT " QUESTION ", expires_us FROM questions WHERE state = " state   \
  " AND expires_us = ?1 AND question_key > ?2 UNION ALL SELECT " QUESTION \
  ", expires_us FROM questions WHERE state = " state " AND expires_us > ?1"
#define BY_DEADLINE " ORDER BY expires_us, question_key LIMIT ?3"
constexpr Sql kQuestionsByState = {"list questions by state", QUESTIONS_AFTER("?4") BY_DEADLINE};
constexpr Sql kQuestions = {
    "list questions",
    QUESTIONS_AFTER("1") " UNION ALL " QUESTIONS_AFTER("2") " UNION ALL " QUESTIONS_AFTER(
        "3") " UNION ALL " QUESTIONS_AFTER("4") BY_DEADLINE};
constexpr Sql kQuestionsOfSession = {"list the questions of a session",
                                     "SELECT " QUESTION
                                     ", expires_us FROM questions INDEXED BY questions_by_asked"
                                     " WHERE (expires_us, question_key) > (?1, ?2)"
                                     "   AND ticket_key = (SELECT t.ticket_key FROM tickets t"
                                     "                     WHERE t.session_id = ?4)"
                                     "   AND (?5 = 0 OR state = ?5)" BY_DEADLINE};
constexpr Sql kDeadlines = {"read the questions with a deadline",
                            "SELECT " QUESTION
                            " FROM questions INDEXED BY questions_by_deadline"
                            " WHERE state = 1 AND expires_us < ? ORDER BY expires_us"};

#undef TICKET
#undef JOB
#undef QUESTION
#undef QUESTIONS_AFTER
#undef BY_DEADLINE

absl::Status NoSuch(absl::string_view what) {
  return absl::NotFoundError(absl::StrCat("no such ", what));
}

template <typename Record>
absl::StatusOr<Record> ParseRecord(absl::string_view bytes) {
  Record record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError(absl::StrCat("a stored row is not a ", record.GetTypeName()));
  }
  return record;
}

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

std::optional<Uuid> ParseId(absl::string_view id) {
  if (id.size() != 36) return std::nullopt;
  for (char c : id) {
    if (c >= 'A' && c <= 'F') return std::nullopt;
  }
  return Uuid::Parse(id);
}

std::optional<Uuid> ParseJobId(absl::string_view id) {
  if (!absl::ConsumePrefix(&id, "job-")) return std::nullopt;
  return ParseId(id);
}

int64_t HashOfRequestId(absl::string_view caller, absl::string_view request_id) {
  const Digest digest = ContentHash(absl::StrCat(caller.size(), ":", caller, request_id));
  int64_t hash = 0;
  for (size_t i = 0; i < 8; ++i) hash = (hash << 8) | digest[i];
  return hash;
}

absl::StatusOr<LogEnd> ReadLogEnd(Connection& connection) {
  Statement read(connection, kLogEnd);
  absl::StatusOr<bool> row = read.Next();
  if (!row.ok()) return row.status();
  if (!*row) return absl::DataLossError("the desk's file has lost its id; restore a backup");
  LogEnd end;
  end.oldest = read.Int(0);
  if (read.IsNull(1)) return end;
  end.head = read.Int(1);
  end.time_us = read.Int(2);
  const absl::string_view chain = read.Bytes(3);
  if (chain.size() != end.chain.size()) {
    return absl::DataLossError("the last event of the log has no chain value; restore a backup");
  }
  std::copy(chain.begin(), chain.end(), end.chain.begin());
  return end;
}

JobColumns JobColumns::Of(const JobRecord& record) {
  JobColumns columns;
  columns.status = record.job().status();
  columns.queue = record.job().queue();
  columns.priority = record.job().priority();
  columns.claimable = record.claimable();
  columns.lease_token = record.lease_token();
  if (record.job().has_next_attempt_at()) {
    columns.due_us = absl::ToUnixMicros(FromProto(record.job().next_attempt_at()));
  }
  return columns;
}

template <typename Base>
absl::Time SqliteReads<Base>::last_time() const {
  return end_.head == 0 ? absl::InfinitePast() : absl::FromUnixMicros(end_.time_us);
}

template <typename Base>
absl::StatusOr<TicketRecord> SqliteReads<Base>::ReadTicket(const Statement& statement) {
  absl::StatusOr<TicketRecord> record = ParseRecord<TicketRecord>(statement.Bytes(kTicketRecord));
  if (record.ok() && known_ != nullptr) {
    const int64_t key = statement.Int(0);
    known_->tickets[Uuid::FromBytes(statement.Bytes(1))] = {key, record->ticket().status()};
    known_->sessions[Uuid::FromBytes(statement.Bytes(2))] = key;
  }
  return record;
}

template <typename Base>
absl::StatusOr<JobRecord> SqliteReads<Base>::ReadJob(const Statement& statement) {
  absl::StatusOr<JobRecord> record = ParseRecord<JobRecord>(statement.Bytes(kJobRecord));
  if (record.ok() && known_ != nullptr) {
    known_->jobs[Uuid::FromBytes(statement.Bytes(1))] = {statement.Int(0), JobColumns::Of(*record)};
  }
  return record;
}

template <typename Base>
absl::StatusOr<QuestionRecord> SqliteReads<Base>::ReadQuestion(const Statement& statement) {
  absl::StatusOr<QuestionRecord> record =
      ParseRecord<QuestionRecord>(statement.Bytes(kQuestionRecord));
  if (record.ok() && known_ != nullptr) {
    known_->questions[Uuid::FromBytes(statement.Bytes(1))] = statement.Int(0);
  }
  return record;
}

template <typename Base>
absl::StatusOr<std::vector<JobRecord>> SqliteReads<Base>::AllJobs(Statement& statement) {
  std::vector<JobRecord> jobs;
  while (true) {
    absl::StatusOr<bool> row = statement.Next();
    if (!row.ok()) return row.status();
    if (!*row) return jobs;
    absl::StatusOr<JobRecord> job = ReadJob(statement);
    if (!job.ok()) return job.status();
    jobs.push_back(*std::move(job));
  }
}

template <typename Base>
absl::StatusOr<std::vector<QuestionRecord>> SqliteReads<Base>::AllQuestions(Statement& statement) {
  std::vector<QuestionRecord> questions;
  while (true) {
    absl::StatusOr<bool> row = statement.Next();
    if (!row.ok()) return row.status();
    if (!*row) return questions;
    absl::StatusOr<QuestionRecord> question = ReadQuestion(statement);
    if (!question.ok()) return question.status();
    questions.push_back(*std::move(question));
  }
}

template <typename Base>
absl::StatusOr<TicketRecord> SqliteReads<Base>::FindTicket(absl::string_view ticket_id) {
  const std::optional<Uuid> id = ParseId(ticket_id);
  if (!id.has_value()) return NoSuch("ticket");
  Statement find(connection_, kTicketById, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (*row) return ReadTicket(find);
  if (known_ != nullptr) known_->tickets[*id] = {};
  return NoSuch("ticket");
}

template <typename Base>
absl::StatusOr<TicketRecord> SqliteReads<Base>::FindTicketOfSession(absl::string_view session_id) {
  const std::optional<Uuid> id = ParseId(session_id);
  if (!id.has_value()) return NoSuch("session");
  Statement find(connection_, kTicketBySession, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return NoSuch("session");
  return ReadTicket(find);
}

template <typename Base>
absl::StatusOr<int64_t> SqliteReads<Base>::TicketKeyOfSession(absl::string_view session_id) {
  const std::optional<Uuid> id = ParseId(session_id);
  if (!id.has_value()) return 0;
  if (known_ != nullptr) {
    const auto known = known_->sessions.find(*id);
    if (known != known_->sessions.end()) return known->second;
  }
  Statement find(connection_, kTicketKeyBySession, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return 0;
  const int64_t key = find.Int(0);
  if (known_ != nullptr) known_->sessions[*id] = key;
  return key;
}

template <typename Base>
absl::StatusOr<JobRecord> SqliteReads<Base>::FindJob(absl::string_view job_id) {
  const std::optional<Uuid> id = ParseJobId(job_id);
  if (!id.has_value()) return NoSuch("job");
  Statement find(connection_, kJobById, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (*row) return ReadJob(find);
  if (known_ != nullptr) known_->jobs[*id] = {};
  return NoSuch("job");
}

template <typename Base>
absl::StatusOr<QuestionRecord> SqliteReads<Base>::FindQuestion(absl::string_view question_id) {
  const std::optional<Uuid> id = ParseId(question_id);
  if (!id.has_value()) return NoSuch("question");
  Statement find(connection_, kQuestionById, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (*row) return ReadQuestion(find);
  if (known_ != nullptr) known_->questions[*id] = 0;
  return NoSuch("question");
}

template <typename Base>
absl::StatusOr<QuestionRecord> SqliteReads<Base>::FindQuestionByKey(absl::string_view session_id,
                                                                    absl::string_view key) {
  absl::StatusOr<int64_t> ticket = TicketKeyOfSession(session_id);
  if (!ticket.ok()) return ticket.status();
  if (*ticket == 0) return NoSuch("question");
  Statement find(connection_, kQuestionByKey, *ticket, key);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return NoSuch("question");
  return ReadQuestion(find);
}

template <typename Base>
absl::StatusOr<RequestRecord> SqliteReads<Base>::FindRequest(absl::string_view caller,
                                                             absl::string_view request_id) {
  const int64_t hash = HashOfRequestId(caller, request_id);
  Statement find(connection_, kRequest, hash, caller, request_id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (known_ != nullptr) {
    known_->requests[{std::string(caller), std::string(request_id)}] = *row ? find.Int(0) : 0;
  }
  if (!*row) return NoSuch("request");
  RequestRecord request;
  request.set_caller(std::string(caller));
  request.set_request_id(std::string(request_id));
  request.set_time_us(find.Int(1));
  request.set_fingerprint(std::string(find.Bytes(2)));
  request.set_response(std::string(find.Bytes(3)));
  if (!find.IsNull(4)) request.set_judged_as_of(find.Int(4));
  return request;
}

template <typename Base>
absl::StatusOr<bool> SqliteReads<Base>::HasActivityKey(absl::string_view session_id,
                                                       absl::string_view key) {
  absl::StatusOr<int64_t> ticket = TicketKeyOfSession(session_id);
  if (!ticket.ok()) return ticket.status();
  Statement find(connection_, kActivityKey, *ticket, key);
  return find.Next();
}

template <typename Base>
absl::StatusOr<std::vector<QuestionRecord>> SqliteReads<Base>::OpenQuestions(
    absl::string_view session_id, int64_t as_of, int limit) {
  absl::StatusOr<int64_t> ticket = TicketKeyOfSession(session_id);
  if (!ticket.ok()) return ticket.status();
  Statement find(connection_, kOpenQuestions, *ticket, std::min(as_of, kNever - 1), limit);
  return AllQuestions(find);
}

template <typename Base>
absl::StatusOr<QuestionRecord> SqliteReads<Base>::LatestQuestion(absl::string_view session_id,
                                                                 int64_t as_of) {
  absl::StatusOr<int64_t> ticket = TicketKeyOfSession(session_id);
  if (!ticket.ok()) return ticket.status();
  Statement find(connection_, kLatestQuestion, *ticket, as_of);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return NoSuch("question");
  return ReadQuestion(find);
}

template <typename Base>
absl::StatusOr<bool> SqliteReads<Base>::AgentSpoke(absl::string_view session_id, int64_t after,
                                                   int64_t up_to) {
  absl::StatusOr<int64_t> ticket = TicketKeyOfSession(session_id);
  if (!ticket.ok()) return ticket.status();
  Statement find(connection_, kAgentSpoke, *ticket, after, up_to);
  return find.Next();
}

template <typename Base>
absl::StatusOr<JobRecord> SqliteReads<Base>::NextClaimableJob(
    const std::vector<std::string>& queues) {
  int64_t best_key = 0;
  int64_t best_priority = 0;
  for (const std::string& queue : queues) {
    Statement find(connection_, kClaimable, queue);
    absl::StatusOr<bool> row = find.Next();
    if (!row.ok()) return row.status();
    if (!*row) continue;
    const int64_t key = find.Int(0);
    const int64_t priority = find.Int(1);
    if (best_key == 0 || priority > best_priority ||
        (priority == best_priority && key < best_key)) {
      best_key = key;
      best_priority = priority;
    }
  }
  if (best_key == 0) return absl::NotFoundError("no job to claim");
  Statement read(connection_, kJobByKey, best_key);
  absl::StatusOr<bool> row = read.Next();
  if (!row.ok()) return row.status();
  if (!*row) return absl::DataLossError("an index of jobs names a job that is not there");
  return ReadJob(read);
}

template <typename Base>
absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::ListTickets(v1::JobStatus status,
                                                                  const PageRequest& page) {
  absl::StatusOr<int64_t> before = KeyAfter(page, INT64_MAX);
  if (!before.ok()) return before.status();
  const auto read = [this](const Statement& row) { return ReadTicket(row); };
  if (status == v1::JOB_STATUS_UNSPECIFIED) {
    Statement list(connection_, kTickets, *before, RowsToRead(page));
    return ReadPage<TicketRecord>(list, page, kTicketRecord, read, TokenOfKey);
  }
  Statement list(connection_, kTicketsByStatus, *before, static_cast<int>(status),
                 RowsToRead(page));
  return ReadPage<TicketRecord>(list, page, kTicketRecord, read, TokenOfKey);
}

template <typename Base>
absl::StatusOr<Page<JobRecord>> SqliteReads<Base>::ListJobs(absl::string_view ticket_id,
                                                            v1::JobStatus status,
                                                            const PageRequest& page) {
  absl::StatusOr<int64_t> before = KeyAfter(page, INT64_MAX);
  if (!before.ok()) return before.status();
  const auto read = [this](const Statement& row) { return ReadJob(row); };
  const int status_number = status;
  if (!ticket_id.empty()) {
    const std::optional<Uuid> id = ParseId(ticket_id);
    if (!id.has_value()) return Page<JobRecord>{};
    Statement list(connection_, kJobsOfTicket, *before, RowsToRead(page), *id, status_number);
    return ReadPage<JobRecord>(list, page, kJobRecord, read, TokenOfKey);
  }
  if (status == v1::JOB_STATUS_UNSPECIFIED) {
    Statement list(connection_, kJobs, *before, RowsToRead(page));
    return ReadPage<JobRecord>(list, page, kJobRecord, read, TokenOfKey);
  }
  Statement list(connection_, kJobsByStatus, *before, status_number, RowsToRead(page));
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
  Statement list(connection_, state == v1::SESSION_STATE_OPEN ? kOpenSessions : kClosedSessions,
                 *before, RowsToRead(page));
  return ReadPage<TicketRecord>(
      list, page, kTicketRecord, [this](const Statement& row) { return ReadTicket(row); },
      TokenOfKey);
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
    Statement list(connection_, kQuestionsOfSession, after->expires_us, after->key,
                   RowsToRead(page), *id, state_number);
    return ReadPage<QuestionRecord>(list, page, kQuestionRecord, read, TokenOfDeadline);
  }
  if (state == v1::QUESTION_STATE_UNSPECIFIED) {
    Statement list(connection_, kQuestions, after->expires_us, after->key, RowsToRead(page));
    return ReadPage<QuestionRecord>(list, page, kQuestionRecord, read, TokenOfDeadline);
  }
  Statement list(connection_, kQuestionsByState, after->expires_us, after->key, RowsToRead(page),
                 state_number);
  return ReadPage<QuestionRecord>(list, page, kQuestionRecord, read, TokenOfDeadline);
}

template <typename Base>
absl::StatusOr<Page<TicketRecord>> SqliteReads<Base>::ListLiveTickets(const PageRequest& page) {
  absl::StatusOr<int64_t> after = KeyAfter(page, 0);
  if (!after.ok()) return after.status();
  Statement list(connection_, kLiveTickets, *after, RowsToRead(page));
  return ReadPage<TicketRecord>(
      list, page, kTicketRecord, [this](const Statement& row) { return ReadTicket(row); },
      TokenOfKey);
}

template <typename Base>
absl::StatusOr<EventRead> SqliteReads<Base>::ReadEvents(const EventQuery& query) {
  return store::ReadEvents(connection_, query, end_.head);
}

template <typename Base>
absl::StatusOr<std::vector<JobRecord>> SqliteReads<Base>::LeasedJobs() {
  Statement read(connection_, kLeasedJobs);
  return AllJobs(read);
}

template <typename Base>
absl::StatusOr<std::vector<JobRecord>> SqliteReads<Base>::DelayedJobs() {
  Statement read(connection_, kDelayedJobs);
  return AllJobs(read);
}

template <typename Base>
absl::StatusOr<std::vector<QuestionRecord>> SqliteReads<Base>::QuestionsWithDeadline() {
  Statement read(connection_, kDeadlines, kNever);
  return AllQuestions(read);
}

template class SqliteReads<View>;
template class SqliteReads<Transaction>;

}  // namespace agentdesk::store
