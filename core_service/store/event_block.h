#ifndef AGENTDESK_CORE_SERVICE_STORE_EVENT_BLOCK_H_
#define AGENTDESK_CORE_SERVICE_STORE_EVENT_BLOCK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/base/uuid.h"

namespace agentdesk::store {

// The size of the encoded event at the front of `bytes`, of which no more is looked at than says
// how long it is. DataLoss when there is none, or not the whole of it.
absl::StatusOr<size_t> EncodedSize(absl::string_view bytes);

// The type that `event`'s payload says.
v1::EventType TypeOf(const v1::Event& event);

// A run of events in the order of the log, each encoded once, as the field `events` of a
// SubscribeResponse (protobuf's tag, length and bytes). Encodings lie back to back, so any run of
// neighbours is one piece of memory that can be put on the wire as it is, and a response is the
// concatenation of such pieces. Built by one thread; shared read-only afterwards.
class EventBlock {
 public:
  // What a filter needs to know of an event without decoding it.
  struct Entry {
    int64_t sequence;
    v1::EventType type;
    Uuid ticket_id;
    Uuid session_id;
    size_t offset;  // of its encoding in bytes()
    size_t size;
    std::string tenant;
  };
  // The block whose bytes() these are. DataLoss when they are not a run of whole events.
  static absl::StatusOr<EventBlock> Parse(std::string bytes);

  // Encodes and appends. Sequences must grow.
  void Append(const v1::Event& event);

  const std::vector<Entry>& entries() const { return entries_; }
  absl::string_view bytes() const { return bytes_; }
  absl::string_view Encoded(const Entry& entry) const {
    return absl::string_view(bytes_).substr(entry.offset, entry.size);
  }
  // The event itself, decoded.
  v1::Event Decode(const Entry& entry) const;
  bool empty() const { return entries_.empty(); }

 private:
  std::vector<Entry> entries_;
  std::string bytes_;
};

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_EVENT_BLOCK_H_
