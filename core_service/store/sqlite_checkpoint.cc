#include "core_service/store/sqlite_checkpoint.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/store/sqlite_reads.h"

namespace agentdesk::store {
namespace {

constexpr int kTicketsAtOnce = 500;

constexpr Sql kRead = {"read the checkpoint", "SELECT sequence, chain, digest FROM checkpoint"};
constexpr Sql kStates = {"read the checkpoint's states",
                         "SELECT ticket_key, state FROM checkpoint_tickets ORDER BY ticket_key"};
constexpr Sql kState = {"read the checkpoint of a ticket",
                        "SELECT c.state FROM checkpoint_tickets c"
                        " JOIN tickets t ON t.ticket_key = c.ticket_key WHERE t.session_id = ?"};
constexpr Sql kForget = {"remove the last checkpoint", "DELETE FROM checkpoint_tickets"};
constexpr Sql kPutState = {"store the checkpoint of a ticket",
                           "INSERT INTO checkpoint_tickets (ticket_key, state)"
                           " SELECT ticket_key, ? FROM tickets WHERE session_id = ?"};
constexpr Sql kPut = {"store a checkpoint",
                      "INSERT OR REPLACE INTO checkpoint (checkpoint_key, sequence, chain, digest)"
                      " VALUES (1, ?, ?, ?)"};
constexpr Sql kTimeOf = {"read an event's time", "SELECT time_us FROM events WHERE sequence = ?"};

bool Read(absl::string_view bytes, Digest& digest) {
  if (bytes.size() != digest.size()) return false;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return true;
}

}  // namespace

absl::StatusOr<std::optional<StoredCheckpoint>> ReadCheckpoint(Connection& connection) {
  Statement read(connection, kRead);
  absl::StatusOr<bool> row = read.Next();
  if (!row.ok()) return row.status();
  if (!*row) return std::nullopt;
  StoredCheckpoint checkpoint;
  checkpoint.sequence = read.Int(0);
  if (!Read(read.Bytes(1), checkpoint.chain) || !Read(read.Bytes(2), checkpoint.digest)) {
    return absl::DataLossError("the checkpoint has no chain value or no digest");
  }
  return checkpoint;
}

absl::StatusOr<Digest> DigestOfCheckpoint(Connection& connection, const Digest& chain) {
  // A chain over the states, so that it is taken one row at a time.
  Digest digest = chain;
  Statement states(connection, kStates);
  while (true) {
    absl::StatusOr<bool> row = states.Next();
    if (!row.ok()) return row.status();
    if (!*row) return digest;
    digest = ContentHash(absl::StrCat(Bytes(digest), states.Int(0), ":", states.Bytes(1)));
  }
}

absl::StatusOr<TicketCheckpoint> FindCheckpoint(Connection& connection,
                                                absl::string_view session_id) {
  const std::optional<Uuid> id = ParseId(session_id);
  if (!id.has_value()) return absl::NotFoundError("no such session");
  Statement find(connection, kState, *id);
  absl::StatusOr<bool> row = find.Next();
  if (!row.ok()) return row.status();
  if (!*row) return absl::NotFoundError("the checkpoint has no such ticket");
  const absl::string_view bytes = find.Bytes(0);
  TicketCheckpoint state;
  if (!state.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError(
        absl::StrCat("the checkpoint of session ", session_id, " cannot be read"));
  }
  return state;
}

absl::Status PutCheckpoint(Connection& connection, View& transaction, const Digest& chain) {
  if (absl::Status status = Statement(connection, kForget).Run(); !status.ok()) return status;
  PageRequest request;
  request.size = kTicketsAtOnce;
  do {
    absl::StatusOr<Page<TicketRecord>> page = transaction.ListLiveTickets(request);
    if (!page.ok()) return page.status();
    for (const TicketRecord& ticket : page->rows) {
      const absl::StatusOr<TicketCheckpoint> state = ReadTicketState(transaction, ticket);
      if (!state.ok()) return state.status();
      const std::string bytes = state->SerializeAsString();
      Statement put(connection, kPutState, Blob{bytes}, *ParseId(ticket.ticket().session_id()));
      if (absl::Status status = put.Run(); !status.ok()) return status;
    }
    request.after = std::move(page->next);
  } while (!request.after.empty());
  const absl::StatusOr<Digest> digest = DigestOfCheckpoint(connection, chain);
  if (!digest.ok()) return digest.status();
  return Statement(connection, kPut, transaction.head(), Blob{Bytes(chain)}, Blob{Bytes(*digest)})
      .Run();
}

absl::StatusOr<int64_t> SequenceAt(Connection& connection, absl::Time time, int64_t head) {
  const int64_t wanted = absl::ToUnixMicros(time);
  int64_t before = 0;        // earlier than `time`
  int64_t found = head + 1;  // not earlier
  while (found - before > 1) {
    const int64_t middle = before + (found - before) / 2;
    Statement read(connection, kTimeOf, middle);
    absl::StatusOr<bool> row = read.Next();
    if (!row.ok()) return row.status();
    if (!*row) return absl::DataLossError(absl::StrCat("event ", middle, " is missing"));
    (read.Int(0) < wanted ? before : found) = middle;
  }
  return found;
}

}  // namespace agentdesk::store
