#include "core_service/store/sqlite_events.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core_service/store/sqlite_reads.h"

namespace agentdesk::store {
namespace {

constexpr Sql kScan = {"read events",
                       "SELECT sequence, type, event FROM events"
                       " WHERE sequence > ? AND sequence <= ? ORDER BY sequence"};
constexpr Sql kReadOne = {"read an event",
                          "SELECT sequence, type, event FROM events WHERE sequence = ?"};
constexpr Sql kScanTicket = {"read the events of a ticket",
                             "SELECT sequence, type, event FROM events INDEXED BY events_by_ticket"
                             " WHERE ticket_key = ? AND sequence > ? AND sequence <= ?"
                             " ORDER BY sequence"};
constexpr Sql kTicketKey = {"find a ticket",
                            "SELECT ticket_key FROM tickets"
                            " WHERE ticket_id = ?1 AND (?2 IS NULL OR tenant = ?2)"};
constexpr Sql kSessionKey = {"find a session",
                             "SELECT ticket_key FROM tickets"
                             " WHERE session_id = ?1 AND (?2 IS NULL OR tenant = ?2)"};

// How many rows a read that looks for rare types walks before it answers with what it has. It keeps
// a view from being held for long.
constexpr int kMaxRowsWalked = 65536;

class TypeSet {
 public:
  explicit TypeSet(const v1::EventFilter* filter) {
    if (filter == nullptr || filter->types().empty()) {
      bits_ = ~uint64_t{0};
      return;
    }
    for (int type : filter->types()) {
      if (type > 0 && type < 64) bits_ |= uint64_t{1} << type;
    }
  }
  bool Has(int64_t type) const { return ((bits_ >> (type & 63)) & 1) != 0; }

 private:
  uint64_t bits_ = 0;
};

absl::StatusOr<std::vector<int64_t>> KeysOf(
    Connection& connection, const Sql& sql, const std::optional<std::string>& tenant,
    const google::protobuf::RepeatedPtrField<std::string>& ids) {
  std::vector<int64_t> keys;
  for (const std::string& text : ids) {
    const std::optional<Uuid> id = ParseId(text);
    if (!id.has_value()) continue;
    Statement find(connection, sql, *id, tenant);
    absl::StatusOr<bool> row = find.Next();
    if (!row.ok()) return row.status();
    if (*row) keys.push_back(find.Int(0));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

// The keys of the tickets that a query names and may see; nothing when it names none and so lets
// all through.
absl::StatusOr<std::optional<std::vector<int64_t>>> TicketsOf(Connection& connection,
                                                              const EventQuery& query) {
  const v1::EventFilter* const filter = query.filter;
  std::optional<std::vector<int64_t>> keys;
  if (filter == nullptr) return keys;
  if (!filter->ticket_ids().empty()) {
    absl::StatusOr<std::vector<int64_t>> named =
        KeysOf(connection, kTicketKey, query.tenant, filter->ticket_ids());
    if (!named.ok()) return named.status();
    keys = *std::move(named);
  }
  if (!filter->session_ids().empty()) {
    absl::StatusOr<std::vector<int64_t>> named =
        KeysOf(connection, kSessionKey, query.tenant, filter->session_ids());
    if (!named.ok()) return named.status();
    if (!keys.has_value()) {
      keys = *std::move(named);
    } else {
      std::vector<int64_t> both;
      std::set_intersection(keys->begin(), keys->end(), named->begin(), named->end(),
                            std::back_inserter(both));
      keys = std::move(both);
    }
  }
  return keys;
}

// A block that fills up to the limits of a query.
class LimitedBlock {
 public:
  explicit LimitedBlock(const EventQuery& query)
      : max_events_(static_cast<size_t>(std::max(query.max_events, 1))),
        max_bytes_(query.max_bytes),
        tenant_(query.tenant),
        block_(std::make_shared<EventBlock>()) {}

  // Whether the event at which `statement` stands still fitted, or is another tenant's and left
  // out. When not, the block is complete up to the sequence before it.
  absl::StatusOr<bool> Add(const Statement& statement) {
    const absl::string_view encoded = statement.Bytes(2);
    if (full()) return false;
    absl::StatusOr<EventBlock::Entry> entry = EventBlock::ReadEntry(encoded);
    if (!entry.ok()) return entry.status();
    if (tenant_.has_value() && entry->tenant != *tenant_) return true;
    if (!block_->empty() && block_->bytes().size() + encoded.size() > max_bytes_) return false;
    block_->AppendEncoded(*std::move(entry), encoded);
    return true;
  }
  bool full() const { return block_->entries().size() == max_events_; }
  EventRead Finish(int64_t complete_up_to) { return {std::move(block_), complete_up_to}; }

 private:
  const size_t max_events_;
  const size_t max_bytes_;
  const std::optional<std::string> tenant_;
  std::shared_ptr<EventBlock> block_;
};

// Walks one run of rows in the order of the log.
absl::StatusOr<EventRead> Walk(Statement& statement, const TypeSet& types, LimitedBlock block,
                               int64_t end) {
  for (int walked = 0;; ++walked) {
    absl::StatusOr<bool> row = statement.Next();
    if (!row.ok()) return row.status();
    if (!*row) return block.Finish(end);
    const int64_t sequence = statement.Int(0);
    if (walked == kMaxRowsWalked) return block.Finish(sequence - 1);
    if (!types.Has(statement.Int(1))) continue;
    absl::StatusOr<bool> added = block.Add(statement);
    if (!added.ok()) return added.status();
    if (!*added) return block.Finish(sequence - 1);
    if (block.full()) return block.Finish(sequence);
  }
}

// Merges the runs of several tickets: first which events, from the index and the rows' heads, then
// the events themselves.
absl::StatusOr<EventRead> Merge(Connection& connection, const std::vector<int64_t>& tickets,
                                const TypeSet& types, const EventQuery& query, int64_t end) {
  LimitedBlock block(query);
  const auto most = static_cast<size_t>(std::max(query.max_events, 1));
  std::vector<int64_t> sequences;
  for (int64_t ticket : tickets) {
    Statement run(connection, kScanTicket, ticket, query.after, end);
    for (size_t found = 0; found < most;) {
      absl::StatusOr<bool> row = run.Next();
      if (!row.ok()) return row.status();
      if (!*row) break;
      if (!types.Has(run.Int(1))) continue;
      sequences.push_back(run.Int(0));
      ++found;
    }
  }
  std::sort(sequences.begin(), sequences.end());
  for (int64_t sequence : sequences) {
    Statement one(connection, kReadOne, sequence);
    absl::StatusOr<bool> row = one.Next();
    if (!row.ok()) return row.status();
    if (!*row) return absl::DataLossError("an index of the log names an event that is not there");
    absl::StatusOr<bool> added = block.Add(one);
    if (!added.ok()) return added.status();
    if (!*added) return block.Finish(sequence - 1);
    if (block.full()) return block.Finish(sequence);
  }
  return block.Finish(end);
}

}  // namespace

absl::StatusOr<EventRead> ReadEvents(Connection& connection, const EventQuery& query,
                                     int64_t head) {
  const int64_t end = std::min(query.up_to, head);
  LimitedBlock block(query);
  if (query.after >= end) return block.Finish(std::min(query.after, head));

  absl::StatusOr<std::optional<std::vector<int64_t>>> tickets = TicketsOf(connection, query);
  if (!tickets.ok()) return tickets.status();
  const TypeSet types(query.filter);
  if (!tickets->has_value()) {
    Statement scan(connection, kScan, query.after, end);
    return Walk(scan, types, std::move(block), end);
  }
  if ((*tickets)->empty()) return block.Finish(end);
  if ((*tickets)->size() == 1) {
    Statement scan(connection, kScanTicket, (*tickets)->front(), query.after, end);
    return Walk(scan, types, std::move(block), end);
  }
  return Merge(connection, **tickets, types, query, end);
}

}  // namespace agentdesk::store
