#include "core_service/store/sqlite_transaction.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "core_service/store/event_chain.h"

namespace agentdesk::store {
namespace {

constexpr Sql kBegin = {"begin a transaction", "BEGIN IMMEDIATE"};
constexpr Sql kCommit = {"commit a transaction", "COMMIT"};
constexpr Sql kRollback = {"undo a transaction", "ROLLBACK"};

constexpr Sql kLastKeys = {
    "find the last rows",
    "SELECT (SELECT max(ticket_key) FROM tickets), (SELECT max(job_key) FROM jobs)"};

constexpr RowQueue::Table kTickets = {
    "store a ticket", "tickets",
    "ticket_key, ticket_id, session_id, status, tenant, actor, trace_id, record"};
constexpr RowQueue::Table kJobs = {
    "store a job", "jobs",
    "job_key, job_id, ticket_key, status, queue, priority, claimable, lease_token, due_us, tenant,"
    " actor, trace_id, record"};
constexpr RowQueue::Table kEvents = {
    "append an event", "events",
    "sequence, type, time_us, ticket_key, event, content_hash, chain, tenant, actor, trace_id"};

constexpr Sql kUpdateTicket = {"store a ticket",
                               "UPDATE tickets SET record = ? WHERE ticket_key = ?"};
constexpr Sql kUpdateTicketStatus = {
    "store a ticket", "UPDATE tickets SET status = ?, record = ? WHERE ticket_key = ?"};

constexpr Sql kUpdateJob = {"store a job", "UPDATE jobs SET record = ? WHERE job_key = ?"};
constexpr Sql kUpdateJobColumns = {
    "store a job",
    "UPDATE jobs SET status = ?, queue = ?, priority = ?, claimable = ?, lease_token = ?,"
    " due_us = ?, record = ? WHERE job_key = ?"};

constexpr Sql kQuestionKey = {"find a question",
                              "SELECT question_key FROM questions WHERE question_id = ?"};
constexpr Sql kInsertQuestion = {
    "store a question",
    "INSERT INTO questions (question_id, ticket_key, asker_key, state, expires_us, asked_sequence,"
    " closed_sequence, tenant, actor, trace_id, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (question_id) DO NOTHING"};
constexpr Sql kUpdateQuestion = {
    "store a question",
    "UPDATE questions SET state = ?, expires_us = ?, closed_sequence = ?, record = ?"
    " WHERE question_key = ?"};

constexpr Sql kInsertRequest = {
    "remember a request",
    "INSERT INTO requests (id_hash, caller, request_id, time_us, fingerprint, response,"
    " judged_as_of) VALUES (?, ?, ?, ?, ?, ?, nullif(?, -1))"};
constexpr Sql kDeleteRequest = {"forget a request", "DELETE FROM requests WHERE request_key = ?"};
constexpr Sql kForgetRequests = {
    "forget old requests",
    "DELETE FROM requests WHERE request_key IN"
    " (SELECT request_key FROM"
    "   (SELECT request_key, time_us FROM requests ORDER BY request_key LIMIT ?)"
    "  WHERE time_us < ?)"};
constexpr Sql kPutActivityKey = {"store an activity key",
                                 "INSERT INTO activity_keys (ticket_key, agent_key) VALUES (?, ?)"
                                 " ON CONFLICT (ticket_key, agent_key) DO NOTHING"};
constexpr Sql kSetOldest = {"move the oldest position", "UPDATE meta SET oldest = ?"};

}  // namespace

absl::StatusOr<LastKeys> ReadLastKeys(Connection& connection) {
  Statement read(connection, kLastKeys);
  const absl::StatusOr<bool> row = read.Next();
  if (!row.ok()) return row.status();
  return LastKeys{.ticket = read.Int(0), .job = read.Int(1)};
}

Writer::Writer(std::unique_ptr<Connection> to_write, int pages, const LogEnd& log_end,
               const LastKeys& last_keys)
    : connection(std::move(to_write)),
      checkpoint_pages(pages),
      end(log_end),
      keys(last_keys),
      tickets(*connection, kTickets),
      jobs(*connection, kJobs),
      events(*connection, kEvents) {}

absl::StatusOr<std::unique_ptr<Transaction>> SqliteTransaction::Begin(Writer& writer) {
  if (!writer.failed.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the store writes no more since a write failed: ", writer.failed.message()));
  }
  if (writer.busy) return absl::FailedPreconditionError("another transaction is under way");
  // Here rather than after a commit, whose callers wait for its outcome.
  absl::Status status = writer.connection->Checkpoint(writer.checkpoint_pages);
  if (status.ok()) status = Statement(*writer.connection, kBegin).Run();
  if (!status.ok()) {
    writer.failed = status;
    return status;
  }
  return std::unique_ptr<Transaction>(new SqliteTransaction(writer));
}

SqliteTransaction::SqliteTransaction(Writer& writer)
    : SqliteReads<Transaction>(*writer.connection, writer.end, &rows_),
      writer_(writer),
      keys_(writer.keys),
      appended_(std::make_shared<EventBlock>()) {
  writer_.busy = true;
}

SqliteTransaction::~SqliteTransaction() {
  for (RowQueue* queue : {&writer_.tickets, &writer_.jobs, &writer_.events}) {
    queue->Discard();
    Written(queue->failure()).IgnoreError();
  }
  if (connection_.in_transaction()) {
    const absl::Status status = Statement(connection_, kRollback).Run();
    if (!status.ok() && writer_.failed.ok()) writer_.failed = status;
  }
  writer_.busy = false;
}

absl::Status SqliteTransaction::Written(absl::Status status) {
  if (!status.ok()) {
    if (failed_.ok()) failed_ = status;
    if (writer_.failed.ok()) writer_.failed = status;
  }
  return status;
}

absl::Status SqliteTransaction::Refuse(absl::string_view mistake) {
  absl::Status status = absl::InternalError(mistake);
  if (failed_.ok()) failed_ = status;
  return status;
}

absl::Status SqliteTransaction::PutTicket(const TicketRecord& record) {
  const v1::Ticket& ticket = record.ticket();
  const std::optional<Uuid> id = ParseId(ticket.ticket_id());
  const std::optional<Uuid> session_id = ParseId(ticket.session_id());
  if (!id.has_value() || !session_id.has_value()) {
    return Refuse("a ticket to store has no id, or its session has none");
  }
  const int status_number = ticket.status();
  record.SerializeToString(&record_);

  KnownRows::Ticket& row = rows_.tickets[*session_id];
  if (row.key == 0) {
    row = {++keys_.ticket, status_number};
    return Written(writer_.tickets.Add(row.key, *id, *session_id, status_number, ticket.tenant(),
                                       ticket.created_by().id(), ticket.trace_id(), Blob{record_}));
  }
  if (row.status == status_number) {
    Statement update(connection_, kUpdateTicket, Blob{record_}, row.key);
    return Write(update);
  }
  row.status = status_number;
  Statement update(connection_, kUpdateTicketStatus, status_number, Blob{record_}, row.key);
  return Write(update);
}

absl::Status SqliteTransaction::PutJob(const JobRecord& record) {
  const v1::Job& job = record.job();
  const std::optional<Uuid> id = ParseJobId(job.job_id());
  if (!id.has_value()) return Refuse("a job to store has no id");
  const JobColumns columns = JobColumns::Of(record);
  record.SerializeToString(&record_);

  KnownRows::Job& row = rows_.jobs[*id];
  if (row.key == 0) {
    absl::StatusOr<int64_t> ticket = TicketKeyOfSession(job.session_id());
    if (!ticket.ok()) return ticket.status();
    if (*ticket == 0) return Refuse(absl::StrCat("no ticket is stored for ", job.job_id()));
    row = {++keys_.job, columns};
    return Written(writer_.jobs.Add(row.key, *id, *ticket, columns.status, columns.queue,
                                    columns.priority, columns.claimable, columns.lease_token,
                                    columns.due_us, job.tenant(), job.created_by().id(),
                                    job.trace_id(), Blob{record_}));
  }
  if (row.columns == columns) {
    Statement update(connection_, kUpdateJob, Blob{record_}, row.key);
    return Write(update);
  }
  row.columns = columns;
  Statement update(connection_, kUpdateJobColumns, columns.status, columns.queue, columns.priority,
                   columns.claimable, columns.lease_token, columns.due_us, Blob{record_}, row.key);
  return Write(update);
}

absl::Status SqliteTransaction::PutQuestion(const QuestionRecord& record) {
  const v1::Question& question = record.question();
  const std::optional<Uuid> id = ParseId(question.question_id());
  if (!id.has_value()) return Refuse("a question to store has no id");
  const int state = question.state();
  const int64_t expires_us =
      question.has_expires_at() ? absl::ToUnixMicros(FromProto(question.expires_at())) : kNever;
  const int64_t closed = question.closed_sequence() == 0 ? kNever : question.closed_sequence();
  record.SerializeToString(&record_);

  int64_t& key = rows_.questions[*id];
  if (key == 0) {
    absl::StatusOr<int64_t> ticket = TicketKeyOfSession(question.session_id());
    if (!ticket.ok()) return ticket.status();
    if (*ticket == 0) {
      return Refuse(absl::StrCat("no ticket is stored for question ", question.question_id()));
    }
    Statement insert(connection_, kInsertQuestion, *id, *ticket, question.key(), state, expires_us,
                     question.asked_sequence(), closed, question.tenant(), question.asked_by().id(),
                     question.trace_id(), Blob{record_});
    if (absl::Status status = Write(insert); !status.ok()) return status;
    if (connection_.changes() == 1) {
      key = connection_.last_key();
      return absl::OkStatus();
    }
    Statement find(connection_, kQuestionKey, *id);
    absl::StatusOr<bool> found = find.Next();
    if (!found.ok()) return found.status();
    if (!*found) return Refuse("cannot find a question which exists");
    key = find.Int(0);
  }
  Statement update(connection_, kUpdateQuestion, state, expires_us, closed, Blob{record_}, key);
  return Write(update);
}

absl::Status SqliteTransaction::PutRequest(const RequestRecord& request) {
  const std::pair<std::string, std::string> name(request.caller(), request.request_id());
  if (!rows_.requests.contains(name)) {
    absl::Status found = FindRequest(name.first, name.second).status();
    if (!found.ok() && !absl::IsNotFound(found)) return found;
  }
  // A replaced request becomes the newest row, so rows stay in the order of their times, which is
  // the order in which they are forgotten.
  int64_t& key = rows_.requests[name];
  if (key != 0) {
    Statement remove(connection_, kDeleteRequest, key);
    if (absl::Status status = Write(remove); !status.ok()) return status;
  }
  Statement insert(connection_, kInsertRequest, HashOfRequestId(name.first, name.second),
                   name.first, name.second, request.time_us(), Blob{request.fingerprint()},
                   Blob{request.response()},
                   request.has_judged_as_of() ? request.judged_as_of() : int64_t{-1});
  if (absl::Status status = Write(insert); !status.ok()) return status;
  key = connection_.last_key();
  return absl::OkStatus();
}

absl::Status SqliteTransaction::PutActivityKey(absl::string_view session_id,
                                               absl::string_view key) {
  absl::StatusOr<int64_t> ticket = TicketKeyOfSession(session_id);
  if (!ticket.ok()) return ticket.status();
  if (*ticket == 0) return Refuse("an activity key to store names no stored session");
  Statement put(connection_, kPutActivityKey, *ticket, key);
  return Write(put);
}

absl::Status SqliteTransaction::Append(const v1::Event& event) {
  if (event.sequence() != end_.head + 1) {
    return Refuse(absl::StrCat("event ", event.sequence(), " cannot follow event ", end_.head));
  }
  appended_->Append(event);
  const EventBlock::Entry& entry = appended_->entries().back();
  const absl::string_view encoded = appended_->Encoded(entry);
  absl::StatusOr<EventParts> parts = SplitEvent(encoded);
  if (!parts.ok()) return Refuse(parts.status().message());
  if (parts->type == v1::EVENT_TYPE_UNSPECIFIED) return Refuse("an event to append has no payload");
  absl::StatusOr<int64_t> ticket = TicketKeyOfSession(event.session_id());
  if (!ticket.ok()) return ticket.status();
  if (*ticket == 0) return Refuse(absl::StrCat("no ticket is stored for event ", entry.sequence));

  const Digest content_hash = ContentHash(parts->payload);
  const Digest chain = ChainValue(end_.chain, parts->header, parts->type, content_hash);
  const int64_t time_us = absl::ToUnixMicros(FromProto(event.time()));
  absl::Status status =
      Written(writer_.events.Add(entry.sequence, static_cast<int>(parts->type), time_us, *ticket,
                                 Blob{encoded}, Blob{Bytes(content_hash)}, Blob{Bytes(chain)},
                                 event.tenant(), event.actor().id(), event.trace_id()));
  if (!status.ok()) return status;
  end_.head = entry.sequence;
  end_.time_us = time_us;
  end_.chain = chain;
  return absl::OkStatus();
}

absl::Status SqliteTransaction::SetOldest(int64_t sequence) {
  Statement set(connection_, kSetOldest, sequence);
  if (absl::Status status = Write(set); !status.ok()) return status;
  end_.oldest = sequence;
  return absl::OkStatus();
}

absl::Status SqliteTransaction::PutCheckpoint() {
  return Written(store::PutCheckpoint(connection_, *this, end_.chain));
}

absl::StatusOr<int> SqliteTransaction::ForgetRequests(absl::Time before, int limit) {
  Statement forget(connection_, kForgetRequests, limit, absl::ToUnixMicros(before));
  if (absl::Status status = Write(forget); !status.ok()) return status;
  rows_.requests.clear();
  return connection_.changes();
}

absl::StatusOr<std::shared_ptr<const EventBlock>> SqliteTransaction::Commit() {
  if (!failed_.ok()) {
    if (writer_.failed.ok()) writer_.failed = failed_;
    return absl::FailedPreconditionError(
        absl::StrCat("an earlier step of the transaction failed: ", failed_.message()));
  }
  if (!connection_.in_transaction()) {
    return Refuse("the transaction has ended already");
  }
  for (RowQueue* queue : {&writer_.tickets, &writer_.jobs, &writer_.events}) {
    if (absl::Status status = Written(queue->Write()); !status.ok()) return status;
  }
  Statement commit(connection_, kCommit);
  if (absl::Status status = Write(commit); !status.ok()) return status;
  writer_.end = end_;
  writer_.keys = keys_;
  return std::shared_ptr<const EventBlock>(std::move(appended_));
}

}  // namespace agentdesk::store
