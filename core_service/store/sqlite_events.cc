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

// The columns of an event that reads look at. The tenant comes last, since behind a large event it
// is on another page.
#define AGENTDESK_EVENT_COLUMNS "sequence, type, event, tenant"

// What a replay reads: as little as can be, since it is done for each event of the log.
constexpr Sql kScan = {"read events",
                       "SELECT sequence, event FROM events WHERE sequence > ? ORDER BY sequence"};
constexpr Sql kSearch = {"read events",
                         "SELECT " AGENTDESK_EVENT_COLUMNS
                         " FROM events WHERE sequence > ? AND sequence <= ? ORDER BY sequence"};
constexpr Sql kReadOne = {"read an event",
                          "SELECT " AGENTDESK_EVENT_COLUMNS " FROM events WHERE sequence = ?"};
constexpr Sql kSearchTicket = {"read the events of a ticket",
                               "SELECT " AGENTDESK_EVENT_COLUMNS
                               " FROM events INDEXED BY events_by_ticket"
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
  bool all() const { return bits_ == ~uint64_t{0}; }
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
    while (true) {  // of a query for all tenants, several may have a ticket of this id
      absl::StatusOr<bool> row = find.Next();
      if (!row.ok()) return row.status();
      if (!*row) break;
      keys.push_back(find.Int(0));
    }
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

// What a read fills up to the limits of a query.
class LimitedRun {
 public:
  explicit LimitedRun(const EventQuery& query)
      : max_events_(std::max(query.max_events, 1)),
        max_bytes_(query.max_bytes),
        tenant_(query.tenant),
        bytes_(std::make_shared<std::string>()) {
    bytes_->reserve(std::min(max_bytes_, kReserve));
  }

  // Whether the event still fitted. When not, the run is complete up to the sequence before it.
  absl::StatusOr<bool> Add(absl::string_view encoded) {
    const absl::StatusOr<size_t> size = EncodedSize(encoded);
    if (!size.ok() || *size != encoded.size()) {
      return absl::DataLossError("a stored row is not an event");
    }
    if (events_ > 0 && bytes_->size() + encoded.size() > max_bytes_) return false;
    bytes_->append(encoded.data(), encoded.size());
    ++events_;
    return true;
  }
  // The same of the event at which `statement` stands, by AGENTDESK_EVENT_COLUMNS; one that is
  // another tenant's is left out.
  absl::StatusOr<bool> AddOwn(const Statement& statement) {
    if (tenant_.has_value() && statement.Bytes(3) != *tenant_) return true;
    return Add(statement.Bytes(2));
  }
  bool full() const { return events_ == max_events_; }
  EventRead Finish(int64_t complete_up_to) { return {std::move(bytes_), complete_up_to}; }

 private:
  // Of a whole batch of a stream: growing to it would copy it twice.
  static constexpr size_t kReserve = 256 * 1024;

  const int max_events_;
  const size_t max_bytes_;
  const std::optional<std::string> tenant_;
  std::shared_ptr<std::string> bytes_;
  int events_ = 0;
};

// Takes every event after a position, of a log that ends at `end`.
absl::StatusOr<EventRead> Scan(Connection& connection, const EventQuery& query, int64_t end) {
  LimitedRun run(query);
  Statement scan(connection, kScan, query.after);
  for (int64_t complete = query.after; complete < end;) {
    absl::StatusOr<bool> row = scan.Next();
    if (!row.ok()) return row.status();
    if (!*row) break;
    absl::StatusOr<bool> added = run.Add(scan.Bytes(1));
    if (!added.ok()) return added.status();
    if (!*added) return run.Finish(complete);
    complete = scan.Int(0);
    if (run.full()) return run.Finish(complete);
  }
  return run.Finish(end);
}

// Walks one run of rows in the order of the log.
absl::StatusOr<EventRead> Walk(Statement& statement, const TypeSet& types, LimitedRun run,
                               int64_t end) {
  for (int walked = 0;; ++walked) {
    absl::StatusOr<bool> row = statement.Next();
    if (!row.ok()) return row.status();
    if (!*row) return run.Finish(end);
    const int64_t sequence = statement.Int(0);
    if (walked == kMaxRowsWalked) return run.Finish(sequence - 1);
    if (!types.Has(statement.Int(1))) continue;
    absl::StatusOr<bool> added = run.AddOwn(statement);
    if (!added.ok()) return added.status();
    if (!*added) return run.Finish(sequence - 1);
    if (run.full()) return run.Finish(sequence);
  }
}

// Merges the runs of several tickets: first which events, from the index and the rows' heads, then
// the events themselves. Where one run stops before the end (all that is wanted was found, or its
// share of the rows was walked), the read is complete up to there, and no other goes further.
absl::StatusOr<EventRead> Merge(Connection& connection, const std::vector<int64_t>& tickets,
                                const TypeSet& types, const EventQuery& query, int64_t end) {
  LimitedRun run(query);
  const auto most = static_cast<size_t>(std::max(query.max_events, 1));
  std::vector<int64_t> sequences;
  auto rows_left = static_cast<size_t>(kMaxRowsWalked);
  for (size_t i = 0; i < tickets.size(); ++i) {
    const size_t share = std::max<size_t>(rows_left / (tickets.size() - i), 1);
    Statement of_ticket(connection, kSearchTicket, tickets[i], query.after, end);
    size_t walked = 0;
    for (size_t found = 0; found < most && walked < share; ++walked) {
      absl::StatusOr<bool> row = of_ticket.Next();
      if (!row.ok()) return row.status();
      if (!*row) break;
      if (types.Has(of_ticket.Int(1))) {
        sequences.push_back(of_ticket.Int(0));
        ++found;
      }
      if (found == most || walked + 1 == share) end = of_ticket.Int(0);
    }
    rows_left -= std::min(walked, rows_left);
  }
  std::sort(sequences.begin(), sequences.end());
  for (int64_t sequence : sequences) {
    if (sequence > end) break;
    Statement one(connection, kReadOne, sequence);
    absl::StatusOr<bool> row = one.Next();
    if (!row.ok()) return row.status();
    if (!*row) return absl::DataLossError("an index of the log names an event that is not there");
    absl::StatusOr<bool> added = run.AddOwn(one);
    if (!added.ok()) return added.status();
    if (!*added) return run.Finish(sequence - 1);
    if (run.full()) return run.Finish(sequence);
  }
  return run.Finish(end);
}

}  // namespace

absl::StatusOr<EventRead> ReadEvents(Connection& connection, const EventQuery& query,
                                     int64_t head) {
  const int64_t end = std::min(query.up_to, head);
  LimitedRun run(query);
  if (query.after >= end) return run.Finish(std::min(query.after, head));

  absl::StatusOr<std::optional<std::vector<int64_t>>> tickets = TicketsOf(connection, query);
  if (!tickets.ok()) return tickets.status();
  const TypeSet types(query.filter);
  if (!tickets->has_value()) {
    if (types.all() && !query.tenant.has_value()) return Scan(connection, query, end);
    Statement search(connection, kSearch, query.after, end);
    return Walk(search, types, std::move(run), end);
  }
  if ((*tickets)->empty()) return run.Finish(end);
  if ((*tickets)->size() == 1) {
    Statement search(connection, kSearchTicket, (*tickets)->front(), query.after, end);
    return Walk(search, types, std::move(run), end);
  }
  return Merge(connection, **tickets, types, query, end);
}

}  // namespace agentdesk::store
