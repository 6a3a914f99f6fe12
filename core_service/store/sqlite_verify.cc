#include "core_service/store/sqlite_verify.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "core_service/store/data_dir.h"
#include "core_service/store/event_block.h"
#include "core_service/store/event_chain.h"
#include "core_service/store/sqlite_checkpoint.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/sqlite_reads.h"
#include "core_service/store/sqlite_schema.h"

namespace agentdesk::store {
namespace {

constexpr Sql kBegin = {"begin to check", "BEGIN"};
constexpr Sql kIntegrity = {"check the file", "PRAGMA integrity_check(1)"};
constexpr Sql kLog = {
    "read the log",
    "SELECT e.sequence, e.type, e.event, e.content_hash, e.chain, e.erased_by, e.time_us, e.tenant,"
    " e.actor, e.trace_id, t.ticket_id, t.session_id, e.ticket_key FROM events e"
    " LEFT JOIN tickets t ON t.ticket_key = e.ticket_key WHERE e.sequence > ? ORDER BY e.sequence"};
constexpr Sql kTickets = {"read the tickets",
                          "SELECT ticket_id, session_id, status, tenant, actor, trace_id, record"
                          " FROM tickets ORDER BY ticket_key"};
constexpr Sql kJobs = {
    "read the jobs",
    "SELECT j.job_id, j.status, j.queue, j.priority, j.claimable, j.lease_token, j.due_us,"
    " j.tenant, j.actor, j.trace_id, j.record, t.ticket_id FROM jobs j"
    " LEFT JOIN tickets t ON t.ticket_key = j.ticket_key ORDER BY j.job_key"};
constexpr Sql kQuestions = {
    "read the questions",
    "SELECT q.question_id, q.asker_key, q.state, q.expires_us, q.asked_sequence, q.closed_sequence,"
    " q.tenant, q.actor, q.trace_id, q.record, t.ticket_id FROM questions q"
    " LEFT JOIN tickets t ON t.ticket_key = q.ticket_key ORDER BY q.question_key"};
constexpr Sql kHasKey = {"find an activity key",
                         "SELECT 1 FROM activity_keys WHERE ticket_key = ? AND agent_key = ?"};
constexpr Sql kCountKeys = {"count the activity keys", "SELECT count(*) FROM activity_keys"};
constexpr Sql kRequests = {"read the remembered requests",
                           "SELECT request_key, id_hash, caller, request_id FROM requests"};
constexpr Sql kCountCheckpointed = {
    "count the checkpoint's tickets",
    "SELECT count(*) FROM checkpoint_tickets c"
    " LEFT JOIN tickets t ON t.ticket_key = c.ticket_key WHERE t.ticket_key IS NULL"};

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat(what, "; the desk was changed or is damaged"));
}

absl::Status Fault(int64_t sequence, absl::string_view what) {
  return Damaged(absl::StrCat("event ", sequence, " ", what));
}

std::string IdOf(absl::string_view bytes) {
  return bytes.size() == 16 ? Uuid::FromBytes(bytes).ToString() : std::string();
}

absl::Status VerifyFile(Connection& connection) {
  Statement check(connection, kIntegrity);
  absl::StatusOr<bool> row = check.Next();
  if (!row.ok()) return row.status();
  if (*row && check.Bytes(0) == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the desk's file is damaged: ", check.Bytes(0)));
}

// The log, event by event.
class LogVerifier {
 public:
  LogVerifier(Connection& connection, int64_t after, const Digest& chain)
      : connection_(connection), sequence_(after), chain_(chain) {}

  absl::Status Run(const std::optional<StoredCheckpoint>& checkpoint) {
    const bool from_the_first = sequence_ == 0;
    Statement log(connection_, kLog, sequence_);
    while (true) {
      absl::StatusOr<bool> row = log.Next();
      if (!row.ok()) return row.status();
      if (!*row) break;
      absl::StatusOr<LogEntry> entry = Follow(log);
      if (!entry.ok()) return entry.status();
      if (absl::Status status = VerifyKey(log, entry->event); !status.ok()) return status;
      if (checkpoint.has_value() && checkpoint->sequence == sequence_ &&
          checkpoint->chain != chain_) {
        return Damaged("the checkpoint has another chain value than the log");
      }
    }
    if (checkpoint.has_value() && checkpoint->sequence > sequence_) {
      return Fault(sequence_ + 1, "is missing, and the checkpoint knows it");
    }
    if (!from_the_first) return absl::OkStatus();
    Statement count(connection_, kCountKeys);
    if (absl::StatusOr<bool> row = count.Next(); !row.ok()) return row.status();
    if (count.Int(0) == keys_) return absl::OkStatus();
    return Damaged(absl::StrCat("there are ", count.Int(0), " keys of activities, and ", keys_,
                                " in the log"));
  }

  // Only the entries themselves.
  absl::Status Visit(absl::FunctionRef<absl::Status(const LogEntry&)> visit) {
    Statement log(connection_, kLog, sequence_);
    while (true) {
      absl::StatusOr<bool> row = log.Next();
      if (!row.ok()) return row.status();
      if (!*row) return absl::OkStatus();
      absl::StatusOr<LogEntry> entry = Follow(log);
      if (!entry.ok()) return entry.status();
      if (absl::Status status = visit(*entry); !status.ok()) return status;
    }
  }

  int64_t head() const { return sequence_; }
  const Digest& chain() const { return chain_; }

 private:
  absl::StatusOr<LogEntry> Follow(const Statement& row) {
    const int64_t sequence = row.Int(0);
    if (sequence != ++sequence_) return Fault(sequence_, "is missing");
    const absl::StatusOr<EventParts> parts = SplitEvent(row.Bytes(2));
    if (!parts.ok()) return Fault(sequence, "cannot be read");
    if (static_cast<int64_t>(parts->type) != row.Int(1)) return Fault(sequence, "has another type");

    const absl::string_view stored_hash = row.Bytes(3);
    Digest content_hash{};
    if (stored_hash.size() != content_hash.size()) return Fault(sequence, "has no content hash");
    std::copy(stored_hash.begin(), stored_hash.end(), content_hash.begin());
    const bool erased = !row.IsNull(5);
    if (erased ? !parts->payload.empty() : ContentHash(parts->payload) != content_hash) {
      return Fault(sequence, "does not have the content that its hash was made of");
    }
    chain_ = ChainValue(chain_, parts->header, parts->type, content_hash);
    if (row.Bytes(4) != Bytes(chain_)) {
      return Fault(sequence, "does not follow from those before it");
    }
    const absl::StatusOr<EventBlock> block = EventBlock::Parse(std::string(row.Bytes(2)));
    if (!block.ok()) return block.status();
    LogEntry entry;
    entry.event = block->Decode(block->entries().front());
    entry.type = parts->type;
    entry.header = std::string(parts->header);
    entry.content_hash = content_hash;
    entry.chain = chain_;
    entry.erased_by = erased ? row.Int(5) : 0;
    if (absl::Status status = VerifyColumns(row, entry.event); !status.ok()) return status;
    return entry;
  }

  absl::Status VerifyColumns(const Statement& row, const v1::Event& event) {
    if (event.sequence() != sequence_) return Fault(sequence_, "has another sequence in it");
    const int64_t time_us = absl::ToUnixMicros(FromProto(event.time()));
    if (time_us != row.Int(6)) return Fault(sequence_, "has another time in its row");
    if (time_us < last_us_) return Fault(sequence_, "is older than the one before it");
    last_us_ = time_us;
    if (event.tenant() != row.Bytes(7) || event.actor().id() != row.Bytes(8) ||
        event.trace_id() != row.Bytes(9)) {
      return Fault(sequence_, "has another tenant, actor or trace in its row");
    }
    if (event.ticket_id() != IdOf(row.Bytes(10)) || event.session_id() != IdOf(row.Bytes(11))) {
      return Fault(sequence_, "has a row that belongs to another ticket, or to none");
    }
    return absl::OkStatus();
  }

  absl::Status VerifyKey(const Statement& row, const v1::Event& event) {
    std::string key;
    if (event.has_agent_message()) key = event.agent_message().key();
    if (event.has_tool_call()) key = event.tool_call().key();
    if (key.empty()) return absl::OkStatus();
    ++keys_;
    Statement find(connection_, kHasKey, row.Int(12), key);
    const absl::StatusOr<bool> known = find.Next();
    if (!known.ok()) return known.status();
    return *known ? absl::OkStatus() : Fault(sequence_, "has a key that is not remembered");
  }

  Connection& connection_;
  int64_t sequence_;
  Digest chain_;
  int64_t last_us_ = INT64_MIN;
  int64_t keys_ = 0;
};

template <typename Record>
absl::StatusOr<Record> ReadRecord(absl::string_view bytes, absl::string_view what) {
  Record record;
  if (record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return record;
  return Damaged(absl::StrCat(what, " cannot be read"));
}

// Runs `verify` on each row; it answers what is wrong, or nothing.
template <typename Verify>
absl::Status ForEach(Connection& connection, const Sql& sql, Verify verify) {
  Statement rows(connection, sql);
  while (true) {
    absl::StatusOr<bool> row = rows.Next();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    if (absl::Status status = verify(rows); !status.ok()) return status;
  }
}

absl::Status VerifyTicket(const Statement& row) {
  const std::string id = IdOf(row.Bytes(0));
  const std::string name = absl::StrCat("ticket ", id);
  const absl::StatusOr<TicketRecord> record = ReadRecord<TicketRecord>(row.Bytes(6), name);
  if (!record.ok()) return record.status();
  const v1::Ticket& ticket = record->ticket();
  if (ticket.ticket_id() != id || ticket.session_id() != IdOf(row.Bytes(1)) ||
      ticket.status() != row.Int(2) || ticket.tenant() != row.Bytes(3) ||
      ticket.created_by().id() != row.Bytes(4) || ticket.trace_id() != row.Bytes(5)) {
    return Damaged(absl::StrCat(name, " has another record than its row"));
  }
  return absl::OkStatus();
}

absl::Status VerifyJob(const Statement& row) {
  const std::string id = absl::StrCat("job-", IdOf(row.Bytes(0)));
  const absl::StatusOr<JobRecord> record = ReadRecord<JobRecord>(row.Bytes(10), id);
  if (!record.ok()) return record.status();
  const v1::Job& job = record->job();
  JobColumns columns;
  columns.status = static_cast<int>(row.Int(1));
  columns.queue = std::string(row.Bytes(2));
  columns.priority = static_cast<int>(row.Int(3));
  columns.claimable = row.Int(4) != 0;
  columns.lease_token = row.Int(5);
  columns.due_us = row.Int(6);
  if (job.job_id() != id || !(JobColumns::Of(*record) == columns) || job.tenant() != row.Bytes(7) ||
      job.created_by().id() != row.Bytes(8) || job.trace_id() != row.Bytes(9)) {
    return Damaged(absl::StrCat(id, " has another record than its row"));
  }
  if (job.ticket_id() != IdOf(row.Bytes(11))) {
    return Damaged(absl::StrCat(id, " has a row that belongs to another ticket, or to none"));
  }
  return absl::OkStatus();
}

absl::Status VerifyQuestion(const Statement& row) {
  const std::string id = IdOf(row.Bytes(0));
  const std::string name = absl::StrCat("question ", id);
  const absl::StatusOr<QuestionRecord> record = ReadRecord<QuestionRecord>(row.Bytes(9), name);
  if (!record.ok()) return record.status();
  const v1::Question& question = record->question();
  const int64_t expires_us =
      question.has_expires_at() ? absl::ToUnixMicros(FromProto(question.expires_at())) : kNever;
  const int64_t closed = question.closed_sequence() == 0 ? kNever : question.closed_sequence();
  if (question.question_id() != id || question.key() != row.Bytes(1) ||
      question.state() != row.Int(2) || expires_us != row.Int(3) ||
      question.asked_sequence() != row.Int(4) || closed != row.Int(5) ||
      question.tenant() != row.Bytes(6) || question.asked_by().id() != row.Bytes(7) ||
      question.trace_id() != row.Bytes(8)) {
    return Damaged(absl::StrCat(name, " has another record than its row"));
  }
  if (question.ticket_id() != IdOf(row.Bytes(10))) {
    return Damaged(absl::StrCat(name, " has a row that belongs to another ticket, or to none"));
  }
  return absl::OkStatus();
}

absl::Status VerifyRequest(const Statement& row) {
  if (row.Int(1) == HashOfRequestId(row.Bytes(2), row.Bytes(3))) return absl::OkStatus();
  return Damaged(absl::StrCat("remembered request ", row.Int(0), " cannot be found by its id"));
}

absl::Status VerifyRows(Connection& connection) {
  absl::Status status = ForEach(connection, kTickets, VerifyTicket);
  if (status.ok()) status = ForEach(connection, kJobs, VerifyJob);
  if (status.ok()) status = ForEach(connection, kQuestions, VerifyQuestion);
  if (status.ok()) status = ForEach(connection, kRequests, VerifyRequest);
  return status;
}

absl::Status VerifyCheckpoint(Connection& connection, const StoredCheckpoint& checkpoint) {
  Statement orphans(connection, kCountCheckpointed);
  if (absl::StatusOr<bool> row = orphans.Next(); !row.ok()) return row.status();
  const absl::StatusOr<Digest> digest = DigestOfCheckpoint(connection, checkpoint.chain);
  if (!digest.ok()) return digest.status();
  if (orphans.Int(0) == 0 && *digest == checkpoint.digest) return absl::OkStatus();
  return Damaged("the checkpoint does not have the states that its digest was made of");
}

absl::Status VerifyLogAndRows(Connection& connection, bool since_checkpoint) {
  const absl::StatusOr<std::optional<StoredCheckpoint>> checkpoint = ReadCheckpoint(connection);
  if (!checkpoint.ok()) return checkpoint.status();
  int64_t after = 0;
  Digest chain{};
  if (checkpoint->has_value()) {
    if (absl::Status status = VerifyCheckpoint(connection, **checkpoint); !status.ok()) {
      return status;
    }
    if (since_checkpoint) {
      after = (*checkpoint)->sequence;
      chain = (*checkpoint)->chain;
    }
  }
  LogVerifier log(connection, after, chain);
  if (absl::Status status = log.Run(*checkpoint); !status.ok()) return status;
  const absl::StatusOr<LogEnd> end = ReadLogEnd(connection);
  if (!end.ok()) return end.status();
  if (end->oldest < 1 || end->oldest > log.head() + 1) {
    return Damaged(absl::StrCat("the oldest position to subscribe to is ", end->oldest,
                                ", and the log ends at ", log.head()));
  }
  return VerifyRows(connection);
}

// A desk's file, held so that nobody changes it, and found to be whole.
struct HeldFile {
  std::optional<DataDir> dir;  // let go of after the file
  std::unique_ptr<Connection> connection;
};

absl::StatusOr<HeldFile> HoldFile(const std::string& path, const std::string& vfs) {
  struct stat info {};
  std::string file = path;
  const bool is_directory = stat(file.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  if (is_directory) absl::StrAppend(&file, "/", DataDir::kDeskFile);
  if (stat(file.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat("there is no desk: ", file));
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", file));
  }
  HeldFile held;
  if (is_directory) {
    absl::StatusOr<DataDir> dir = DataDir::Hold(path);
    if (!dir.ok()) return dir.status();
    held.dir.emplace(*std::move(dir));
  }
  // After a crash the end of a desk is in the log beside its file, which only a writer can take up.
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(
      file, vfs, is_directory ? Connection::Access::kWrite : Connection::Access::kFrozen);
  if (!connection.ok()) return connection.status();
  held.connection = *std::move(connection);
  absl::Status status = Statement(*held.connection, kBegin).Run();
  if (status.ok()) status = VerifyFile(*held.connection);
  if (status.ok()) status = VerifySchema(*held.connection);
  // As it is closed SQLite copies the log into the file, as a start does; so it goes to the disk
  // first, as there, or stays as it is.
  if (status.ok() && is_directory) status = held.connection->RewriteLog();
  if (!status.ok()) {
    held.connection->KeepLog();
    return status;
  }
  return held;
}

// A view of a desk that nobody changes.
class FileView final : public SqliteReads<View> {
 public:
  FileView(HeldFile file, const LogEnd& end)
      : SqliteReads<View>(*file.connection, end, nullptr), file_(std::move(file)) {}

 private:
  const HeldFile file_;
};

}  // namespace

absl::StatusOr<VerifiedDesk> VerifySqliteStore(const VerifyOptions& options) {
  absl::StatusOr<HeldFile> file = HoldFile(options.path, options.vfs);
  if (!file.ok()) return file.status();
  Connection& connection = *file->connection;
  const absl::Status status = VerifyLogAndRows(connection, options.since_checkpoint);
  if (!status.ok()) return status;

  absl::StatusOr<DeskIdentity> identity = ReadIdentity(connection);
  if (!identity.ok()) return identity.status();
  const absl::StatusOr<LogEnd> end = ReadLogEnd(connection);
  if (!end.ok()) return end.status();
  return VerifiedDesk{identity->desk_id, identity->origin,
                      std::make_unique<FileView>(*std::move(file), *end)};
}

absl::StatusOr<VerifiedLog> VerifySqliteLog(
    const std::string& path, absl::FunctionRef<absl::Status(const LogEntry&)> visit) {
  const absl::StatusOr<HeldFile> file = HoldFile(path, /*vfs=*/"");
  if (!file.ok()) return file.status();
  const absl::StatusOr<DeskIdentity> identity = ReadIdentity(*file->connection);
  if (!identity.ok()) return identity.status();
  LogVerifier log(*file->connection, 0, Digest{});
  if (absl::Status status = log.Visit(visit); !status.ok()) return status;
  return VerifiedLog{identity->desk_id, log.head(), log.chain()};
}

}  // namespace agentdesk::store
