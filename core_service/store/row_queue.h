#ifndef AGENTDESK_CORE_SERVICE_STORE_ROW_QUEUE_H_
#define AGENTDESK_CORE_SERVICE_STORE_ROW_QUEUE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core_service/base/uuid.h"
#include "core_service/store/sqlite_connection.h"

namespace agentdesk::store {

// New rows of one table, written many by one statement: SQLite then opens the table and its indexes
// once for all of them and finds their ends once, which is more than a third of what a row costs
// it. Rows are written when there are enough, and before any other statement runs on the connection
// that names the table, so nobody can tell that they were not written at once.
//
// Used by the thread that uses the connection, within its transactions.
class RowQueue {
 public:
  struct Table {
    const char* purpose;  // for errors: `store a ticket`
    const char* name;
    const char* columns;  // separated by commas
  };
  // Both must outlive it, and the connection runs no statement after it is gone.
  RowQueue(Connection& connection, const Table& table);
  RowQueue(const RowQueue&) = delete;
  RowQueue& operator=(const RowQueue&) = delete;

  // A row, by the values of its columns in their order, which are copied. Errors are those of
  // Write.
  template <typename... Values>
  absl::Status Add(const Values&... values) {
    (Keep(values), ...);
    return ++rows_ < kAtOnce.front() && bytes_.size() < kMaxBytes ? absl::OkStatus() : Write();
  }
  // Writes what is queued. Once that has failed, for which a row that exists already is a reason,
  // the transaction is spoilt and no row is written any more: each call answers what the first
  // failure was.
  absl::Status Write();
  // Forgets what is queued, as its transaction is undone.
  void Discard();

  const char* table() const { return name_; }
  bool empty() const { return rows_ == 0; }
  const absl::Status& failure() const { return failure_; }

 private:
  // How many rows one statement writes, each size as often as it fits.
  static constexpr std::array<size_t, 3> kAtOnce = {16, 4, 1};
  // Longer rows are not worth the memory.
  static constexpr size_t kMaxBytes = 64 * 1024;

  enum class Kind { kNumber, kText, kBlob };
  struct Value {
    Kind kind;
    int64_t number;  // or where it begins in bytes_
    size_t size;
  };

  void Keep(int64_t number) { values_.push_back({Kind::kNumber, number, 0}); }
  void Keep(int number) { Keep(int64_t{number}); }
  void Keep(bool value) { Keep(int64_t{value}); }
  void Keep(absl::string_view text) { Keep(Kind::kText, text); }
  void Keep(const std::string& text) { Keep(Kind::kText, text); }
  void Keep(const char* text) { Keep(Kind::kText, text); }
  void Keep(Blob blob) { Keep(Kind::kBlob, blob.bytes); }
  void Keep(const Uuid& id) { Keep(Kind::kBlob, id.ToBytes()); }
  void Keep(Kind kind, absl::string_view bytes);
  absl::Status Insert(size_t size, size_t first_value);

  Connection& connection_;
  const char* const name_;
  const size_t columns_;
  std::array<std::string, kAtOnce.size()> texts_;
  std::array<Sql, kAtOnce.size()> inserts_;

  size_t rows_ = 0;
  std::vector<Value> values_;
  std::string bytes_;
  absl::Status failure_;
};

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_ROW_QUEUE_H_
