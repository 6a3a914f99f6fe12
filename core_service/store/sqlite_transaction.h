#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_TRANSACTION_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_TRANSACTION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core_service/store/event_block.h"
#include "core_service/store/row_queue.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/sqlite_reads.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

// The keys of the last rows of two tables, from which no row is ever removed; 0: there is none.
struct LastKeys {
  int64_t ticket = 0;
  int64_t job = 0;
};

absl::StatusOr<LastKeys> ReadLastKeys(Connection& connection);

// What passes from one transaction to the next. Belongs to the thread that writes.
struct Writer {
  Writer(std::unique_ptr<Connection> to_write, int pages, const LogEnd& end, const LastKeys& keys);

  const std::unique_ptr<Connection> connection;
  const int checkpoint_pages;
  LogEnd end;           // as of the last commit
  LastKeys keys;        // the same
  absl::Status failed;  // the first write that failed; nothing is written after it
  bool busy = false;    // a transaction exists
  RowQueue tickets;
  RowQueue jobs;
  RowQueue events;
};

class SqliteTransaction final : public SqliteReads<Transaction> {
 public:
  // FailedPrecondition when a write failed earlier, or another transaction exists.
  static absl::StatusOr<std::unique_ptr<Transaction>> Begin(Writer& writer);
  ~SqliteTransaction() override;

  absl::Status PutTicket(const TicketRecord& ticket) override;
  absl::Status PutJob(const JobRecord& job) override;
  absl::Status PutQuestion(const QuestionRecord& question) override;
  absl::Status PutRequest(const RequestRecord& request) override;
  absl::Status PutActivityKey(absl::string_view session_id, absl::string_view key) override;
  absl::Status Append(const v1::Event& event) override;
  absl::Status SetOldest(int64_t sequence) override;
  absl::Status PutCheckpoint() override;
  absl::StatusOr<int> ForgetRequests(absl::Time before, int limit) override;
  absl::StatusOr<std::shared_ptr<const EventBlock>> Commit() override;

 private:
  explicit SqliteTransaction(Writer& writer);

  // Runs a statement that writes. Its failure stops the store.
  absl::Status Write(Statement& statement) { return Written(statement.Run()); }
  absl::Status Written(absl::Status status);
  // A mistake of the caller: this transaction can no longer be committed.
  absl::Status Refuse(absl::string_view mistake);

  Writer& writer_;
  KnownRows rows_;
  LastKeys keys_;
  std::shared_ptr<EventBlock> appended_;
  absl::Status failed_;
  std::string record_;  // the record being written
};

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_TRANSACTION_H_
