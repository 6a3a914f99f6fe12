#ifndef AGENTDESK_CORE_SERVICE_BASE_UUID_H_
#define AGENTDESK_CORE_SERVICE_BASE_UUID_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentdesk {

// A UUID (RFC 9562) as a value of 16 bytes. All zero: none.
struct Uuid {
  uint64_t high = 0;
  uint64_t low = 0;

  // Reads 32 hex digits in any case, with dashes at the usual four places or with none.
  static std::optional<Uuid> Parse(absl::string_view text);
  // Lower case with dashes: the one form that AgentDesk writes.
  std::string ToString() const;
  // The 16 bytes in network order, and back; `bytes` must have 16.
  std::string ToBytes() const;
  static Uuid FromBytes(absl::string_view bytes);

  bool is_nil() const { return high == 0 && low == 0; }
  friend bool operator==(const Uuid&, const Uuid&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Uuid& uuid) {
    return H::combine(std::move(state), uuid.high, uuid.low);
  }
};

// Where new ids and chance come from, passed in so that tests are exact. Thread-safe.
class IdSource {
 public:
  virtual ~IdSource() = default;

  // A UUIDv7: ids minted later sort later, which keeps the store's indexes compact.
  virtual Uuid NewUuid(absl::Time now) = 0;
  // Uniform in [0, 1).
  virtual double Fraction() = 0;

  // Random bits of the operating system. Never destroyed.
  static IdSource& Real();
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_UUID_H_
