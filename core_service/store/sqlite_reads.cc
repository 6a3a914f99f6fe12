#include "core_service/store/sqlite_reads.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/store/sqlite_events.h"
#include "core_service/store/sqlite_rows.h"

namespace agentdesk::store {
namespace {

constexpr Sql kLogEnd = {"read the end of the log",
                         "SELECT m.oldest, e.sequence, e.time_us, e.chain FROM meta m"
                         " LEFT JOIN events e ON e.sequence = (SELECT max(sequence) FROM events)"};

constexpr Sql kTicketById = {"read a ticket",
                             "SELECT " AGENTDESK_TICKET_COLUMNS
                             " FROM tickets"
                             " WHERE ticket_id = ?1 AND (?2 IS NULL OR tenant = ?2)"};
constexpr Sql kTicketBySession = {
    "read a session", "SELECT " AGENTDESK_TICKET_COLUMNS " FROM tickets WHERE session_id = ?"};
constexpr Sql kTicketKeyBySession = {"find a session",
                                     "SELECT ticket_key, status FROM tickets WHERE session_id = ?"};
constexpr Sql kJobById = {"read a job",
                          "SELECT " AGENTDESK_JOB_COLUMNS " FROM jobs WHERE job_id = ?"};
constexpr Sql kJobByKey = {"read a job",
                           "SELECT " AGENTDESK_JOB_COLUMNS " FROM jobs WHERE job_key = ?"};
constexpr Sql kQuestionById = {"read a question", "SELECT " AGENTDESK_QUESTION_COLUMNS
                                                  " FROM questions WHERE question_id = ?"};
constexpr Sql kQuestionByKey = {"read a question",
                                "SELECT " AGENTDESK_QUESTION_COLUMNS
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
                                "SELECT " AGENTDESK_QUESTION_COLUMNS
                                " FROM questions INDEXED BY questions_by_closed"
                                " WHERE ticket_key = ?1 AND closed_sequence > ?2"
                                "   AND asked_sequence <= ?2"
                                " ORDER BY asked_sequence LIMIT ?3"};
constexpr Sql kLatestQuestion = {"read the latest question of a session",
                                 "SELECT " AGENTDESK_QUESTION_COLUMNS
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
                            " WHERE claimable = 1 AND tenant = ? AND queue = ?"
                            " ORDER BY priority DESC, job_key LIMIT 1"};
constexpr Sql kNextClaimableTenant = {"find a tenant with a job to claim",
                                      "SELECT tenant FROM jobs INDEXED BY jobs_claimable"
                                      " WHERE claimable = 1 AND tenant > ?"
                                      " ORDER BY tenant LIMIT 1"};

constexpr Sql kLeasedJobs = {"read the leased jobs", "SELECT " AGENTDESK_JOB_COLUMNS
                                                     " FROM jobs INDEXED BY jobs_leased"
                                                     " WHERE lease_token > 0 ORDER BY lease_token"};
constexpr Sql kDelayedJobs = {"read the delayed jobs",
                              "SELECT " AGENTDESK_JOB_COLUMNS
                              " FROM jobs INDEXED BY jobs_delayed"
                              " WHERE claimable = 0 AND status = 1 ORDER BY due_us"};

constexpr Sql kDeadlines = {"read the questions with a deadline",
                            "SELECT " AGENTDESK_QUESTION_COLUMNS
                            " FROM questions INDEXED BY questions_by_deadline"
                            " WHERE state = 1 AND expires_us < ? ORDER BY expires_us"};

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
    known_->tickets[Uuid::FromBytes(statement.Bytes(1))] = {statement.Int(0),
                                                            record->ticket().status()};
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
  Statement find(connection_, kTicketById, *id, tenant_);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return NoSuch("ticket");
  absl::StatusOr<TicketRecord> ticket = ReadTicket(find);
  if (tenant_.has_value() || !ticket.ok()) return ticket;
  row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return ticket;
  return ErrorWithReason(absl::StatusCode::kFailedPrecondition, "ambiguous_ticket",
                         "ticket_id: several tenants have a ticket with this id; ask with an "
                         "identity of the tenant whose ticket is meant");
}

template <typename Base>
absl::StatusOr<TicketRecord> SqliteReads<Base>::FindTicketOfSession(absl::string_view session_id) {
  const std::optional<Uuid> id = ParseId(session_id);
  if (!id.has_value()) return NoSuch("session");
  Statement find(connection_, kTicketBySession, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return NoSuch("session");
  absl::StatusOr<TicketRecord> ticket = ReadTicket(find);
  if (ticket.ok() && Hides(ticket->ticket().tenant())) return NoSuch("session");
  return ticket;
}

template <typename Base>
absl::StatusOr<int64_t> SqliteReads<Base>::TicketKeyOfSession(absl::string_view session_id) {
  const std::optional<Uuid> id = ParseId(session_id);
  if (!id.has_value()) return 0;
  if (known_ != nullptr) {
    const auto known = known_->tickets.find(*id);
    if (known != known_->tickets.end()) return known->second.key;
  }
  Statement find(connection_, kTicketKeyBySession, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return 0;
  if (known_ != nullptr) known_->tickets[*id] = {find.Int(0), static_cast<int>(find.Int(1))};
  return find.Int(0);
}

template <typename Base>
absl::StatusOr<JobRecord> SqliteReads<Base>::FindJob(absl::string_view job_id) {
  const std::optional<Uuid> id = ParseJobId(job_id);
  if (!id.has_value()) return NoSuch("job");
  Statement find(connection_, kJobById, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (*row) {
    absl::StatusOr<JobRecord> job = ReadJob(find);
    if (job.ok() && Hides(job->job().tenant())) return NoSuch("job");
    return job;
  }
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
  if (*row) {
    absl::StatusOr<QuestionRecord> question = ReadQuestion(find);
    if (question.ok() && Hides(question->question().tenant())) return NoSuch("question");
    return question;
  }
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
absl::Status SqliteReads<Base>::FindClaimable(const std::string& tenant,
                                              const std::vector<std::string>& queues,
                                              Claimable& best) {
  for (const std::string& queue : queues) {
    Statement find(connection_, kClaimable, tenant, queue);
    absl::StatusOr<bool> row = find.Next();
    if (!row.ok()) return row.status();
    if (!*row) continue;
    const Claimable found{find.Int(0), find.Int(1)};
    if (best.key == 0 || found.priority > best.priority ||
        (found.priority == best.priority && found.key < best.key)) {
      best = found;
    }
  }
  return absl::OkStatus();
}

template <typename Base>
absl::StatusOr<JobRecord> SqliteReads<Base>::NextClaimableJob(
    const std::vector<std::string>& queues) {
  Claimable best;
  std::string tenant = tenant_.value_or("");
  while (true) {
    if (absl::Status s = FindClaimable(tenant, queues, best); !s.ok()) return s;
    if (tenant_.has_value()) break;
    Statement next(connection_, kNextClaimableTenant, tenant);
    absl::StatusOr<bool> row = next.Next();
    if (!row.ok()) return row.status();
    if (!*row) break;
    tenant = std::string(next.Bytes(0));
  }
  if (best.key == 0) return absl::NotFoundError("no job to claim");
  Statement read(connection_, kJobByKey, best.key);
  absl::StatusOr<bool> row = read.Next();
  if (!row.ok()) return row.status();
  if (!*row) return absl::DataLossError("an index of jobs names a job that is not there");
  return ReadJob(read);
}

template <typename Base>
absl::StatusOr<EventRead> SqliteReads<Base>::ReadEvents(const EventQuery& query) {
  EventQuery held = query;
  if (tenant_.has_value()) held.tenant = tenant_;
  return store::ReadEvents(connection_, held, end_.head);
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
