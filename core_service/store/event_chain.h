#ifndef AGENTDESK_CORE_SERVICE_STORE_EVENT_CHAIN_H_
#define AGENTDESK_CORE_SERVICE_STORE_EVENT_CHAIN_H_

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentdesk/v1/event.pb.h"

namespace agentdesk::store {

// The chain makes a log that was changed afterwards recognisable, and yet lets content be erased.
//
// An event is encoded as the field `events` of a SubscribeResponse: tag, length, then the event's
// own fields in the order of their numbers. The fields below 20 are its header (sequence, time,
// ids, attempt, actor, tenant, trace id); the one field from 20 up is its payload. With `||` for
// putting bytes one after the other:
//
//   content_hash = SHA-256(bytes of the payload message, without tag and length)
//   chain        = SHA-256(chain of the event before || header as encoded
//                          || event type as 4 bytes, most significant first || content_hash)
//
// The chain before the first event is 32 zero bytes. Hashes are taken over the bytes that are
// stored, never over a second encoding. An event whose content was erased keeps its header, its
// type and its content_hash, so its chain value and all later ones still verify.
using Digest = std::array<uint8_t, 32>;

inline absl::string_view Bytes(const Digest& digest) {
  return absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size());
}

// The parts of an encoded event. The views point into what was split.
struct EventParts {
  absl::string_view header;
  v1::EventType type = v1::EVENT_TYPE_UNSPECIFIED;
  absl::string_view payload;
};

// DataLoss when `encoded` is not one whole event, its header before its payload.
absl::StatusOr<EventParts> SplitEvent(absl::string_view encoded);

Digest ContentHash(absl::string_view payload);
Digest ChainValue(const Digest& previous, absl::string_view header, v1::EventType type,
                  const Digest& content_hash);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_EVENT_CHAIN_H_
