#include "core_service/store/row_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace agentdesk::store {
namespace {

// OR FAIL: what fails is undone with its transaction, so SQLite need not keep what would undo a
// statement alone.
std::string InsertText(const RowQueue::Table& table, size_t columns, size_t rows) {
  std::string row = "(?";
  for (size_t i = 1; i < columns; ++i) row += ",?";
  row += ")";
  std::string text =
      absl::StrCat("INSERT OR FAIL INTO ", table.name, " (", table.columns, ") VALUES ", row);
  for (size_t i = 1; i < rows; ++i) absl::StrAppend(&text, ",", row);
  return text;
}

}  // namespace

RowQueue::RowQueue(Connection& connection, const Table& table)
    : connection_(connection),
      name_(table.name),
      columns_(1 + static_cast<size_t>(std::ranges::count(absl::string_view(table.columns), ','))) {
  for (size_t i = 0; i < kAtOnce.size(); ++i) {
    texts_[i] = InsertText(table, columns_, kAtOnce[i]);
    inserts_[i] = {table.purpose, texts_[i].c_str()};
  }
  connection_.Add(*this);
}

void RowQueue::Keep(Kind kind, absl::string_view bytes) {
  values_.push_back({kind, static_cast<int64_t>(bytes_.size()), bytes.size()});
  absl::StrAppend(&bytes_, bytes);
}

absl::Status RowQueue::Write() {
  // First: its own statements name the table, too.
  const size_t rows = std::exchange(rows_, 0);
  size_t row = 0;
  for (size_t size = 0; size < kAtOnce.size(); ++size) {
    for (; failure_.ok() && rows - row >= kAtOnce[size]; row += kAtOnce[size]) {
      failure_ = Insert(size, row * columns_);
    }
  }
  Discard();
  return failure_;
}

absl::Status RowQueue::Insert(size_t size, size_t first_value) {
  Statement insert(connection_, inserts_[size]);
  for (size_t i = first_value; i < first_value + kAtOnce[size] * columns_; ++i) {
    const Value& value = values_[i];
    if (value.kind == Kind::kNumber) {
      insert.Bind(value.number);
      continue;
    }
    const auto bytes =
        absl::string_view(bytes_).substr(static_cast<size_t>(value.number), value.size);
    if (value.kind == Kind::kText) {
      insert.Bind(bytes);
    } else {
      insert.Bind(Blob{bytes});
    }
  }
  return insert.Run();
}

void RowQueue::Discard() {
  rows_ = 0;
  values_.clear();
  bytes_.clear();
}

}  // namespace agentdesk::store
