#ifndef AGENTDESK_WS_GATEWAY_EVENT_JSON_H_
#define AGENTDESK_WS_GATEWAY_EVENT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/frame.h"

namespace agentdesk::gateway {

enum class Protocol : uint8_t {
  kPlain,   // no subprotocol
  kV1,      // agentdesk.v1
  kStream,  // the messages of agentdesk.v1 as Server-Sent Events
};

// Appends the event as one JSON object. Returns false, and appends nothing, where the plain
// protocol does not know the event.
bool AppendPlainEvent(const v1::Event& event, std::string& out);
void AppendV1Event(const v1::Event& event, std::string& out);

// An event's type as the protocols name it (`ticket_created`), and back.
absl::string_view EventTypeName(v1::EventType type);
std::optional<v1::EventType> ParseEventType(absl::string_view name);
v1::EventType TypeOf(const v1::Event& event);

// Consecutive events of one desk's log, encoded once for every connection: their bytes in each
// protocol back to back, so that a run of events is a run of bytes. Immutable and thread-safe.
struct EventBlock {
  struct Entry {
    int64_t sequence = 0;
    // Where the event's frames end; they begin where those of the entry before end.
    size_t plain_end = 0;
    size_t v1_end = 0;
    Uuid ticket;
    Uuid session;
    v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;
    uint32_t tenant = 0;  // whose it is, as an index of `tenants`
  };

  std::string desk_id;
  // The block holds every event (that its filter lets through) after the first and up to the
  // second.
  int64_t after = 0;
  int64_t up_to = 0;
  // When the first of the events was committed, on the core's clock.
  absl::Time committed = absl::InfinitePast();
  std::vector<Entry> entries;
  std::vector<std::string> tenants;  // each that some entry has, once
  Frames plain;
  Frames v1;

  // Of all entries together.
  const Frames& frames(Protocol protocol) const {
    if (protocol == Protocol::kStream) return stream().frames;
    return protocol == Protocol::kPlain ? plain : v1;
  }
  size_t end(Protocol protocol, size_t index) const {
    if (protocol == Protocol::kStream) return stream().ends[index];
    return protocol == Protocol::kPlain ? entries[index].plain_end : entries[index].v1_end;
  }
  // What it costs to keep, without what is made for streams.
  size_t size() const {
    return sizeof(EventBlock) + entries.size() * sizeof(Entry) + plain.bytes.size() +
           v1.bytes.size();
  }

 private:
  struct Stream {
    Frames frames;
    std::vector<size_t> ends;
  };

  // Made at the first call, as most gateways have no such reader.
  const Stream& stream() const;

  mutable std::once_flag stream_made_;
  mutable Stream stream_;
};

// `after` is the position of the batch before. A block without events is only progress.
std::shared_ptr<const EventBlock> EncodeEvents(
    std::string desk_id, int64_t after, int64_t up_to,
    const google::protobuf::RepeatedPtrField<v1::Event>& events);
// Blocks of one desk that follow each other without a hole, as one: whoever gets all of them is
// written to once. At least one.
std::shared_ptr<const EventBlock> JoinBlocks(
    const std::vector<std::shared_ptr<const EventBlock>>& blocks);
// What a client resumes a stream after: `DESK:N`.
std::string StreamPosition(absl::string_view desk_id, int64_t sequence);

// The frames of one part of a snapshot, each of at most `max_bytes` unless a single item is larger.
// Without items there is one frame if `more` is false, which ends the snapshot, and else none.
std::vector<Frames> EncodeSnapshot(const v1::Snapshot& snapshot, int64_t up_to, size_t max_bytes);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_EVENT_JSON_H_
