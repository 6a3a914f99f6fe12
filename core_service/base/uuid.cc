#include "core_service/base/uuid.h"

#include <array>
#include <cstdint>
#include <random>

#include "absl/random/random.h"

namespace agentdesk {
namespace {

constexpr uint8_t kNoDigit = 0xff;

constexpr std::array<uint8_t, 256> HexDigits() {
  std::array<uint8_t, 256> digits{};
  for (uint8_t& digit : digits) digit = kNoDigit;
  for (uint8_t i = 0; i < 10; ++i) digits['0' + i] = i;
  for (uint8_t i = 10; i < 16; ++i) digits['a' + i - 10] = digits['A' + i - 10] = i;
  return digits;
}

// Appends the hex digits of `text` to `value`; what is no digit turns bits 4 and up of `seen` on.
void TakeHex(absl::string_view text, uint64_t& value, uint8_t& seen) {
  static constexpr std::array<uint8_t, 256> kDigits = HexDigits();
  for (const char c : text) {
    const uint8_t digit = kDigits[static_cast<uint8_t>(c)];
    seen |= digit;
    value = (value << 4) | (digit & 0x0f);
  }
}

// Not by the default constructor: that takes its seed from a pool of absl's that all threads share,
// with a lock that the thread sanitizer cannot see.
absl::BitGen SeededBits() {
  std::random_device device;
  std::array<uint32_t, 8> seed{};
  for (uint32_t& word : seed) word = device();
  std::seed_seq sequence(seed.begin(), seed.end());
  return absl::BitGen(sequence);
}

class RealIdSource final : public IdSource {
 public:
  Uuid NewUuid(absl::Time now) override {
    thread_local absl::BitGen bits = SeededBits();
    const auto ms = static_cast<uint64_t>(absl::ToUnixMillis(now));
    return Uuid{(ms << 16) | 0x7000 | absl::Uniform<uint64_t>(bits, 0, 0x1000),
                (uint64_t{2} << 62) | (absl::Uniform<uint64_t>(bits) >> 2)};
  }
  double Fraction() override {
    thread_local absl::BitGen bits = SeededBits();
    return absl::Uniform<double>(bits, 0, 1);
  }
};

}  // namespace

// Ids are read and written many times for each event, so neither has a branch for each digit.
std::optional<Uuid> Uuid::Parse(absl::string_view text) {
  Uuid uuid;
  uint8_t seen = 0;
  if (text.size() == 32) {
    TakeHex(text.substr(0, 16), uuid.high, seen);
    TakeHex(text.substr(16), uuid.low, seen);
  } else if (text.size() == 36) {
    if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') {
      return std::nullopt;
    }
    TakeHex(text.substr(0, 8), uuid.high, seen);
    TakeHex(text.substr(9, 4), uuid.high, seen);
    TakeHex(text.substr(14, 4), uuid.high, seen);
    TakeHex(text.substr(19, 4), uuid.low, seen);
    TakeHex(text.substr(24), uuid.low, seen);
  } else {
    return std::nullopt;
  }
  if (seen > 0x0f) return std::nullopt;
  return uuid;
}

std::string Uuid::ToString() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text(36, '-');
  size_t at = 0;
  for (const uint64_t half : {high, low}) {
    for (int shift = 60; shift >= 0; shift -= 4) {
      if (at == 8 || at == 13 || at == 18 || at == 23) ++at;
      text[at++] = kHex[(half >> shift) & 15];
    }
  }
  return text;
}

std::string Uuid::ToBytes() const {
  std::string bytes(16, '\0');
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(high >> (56 - 8 * i));
    bytes[i + 8] = static_cast<char>(low >> (56 - 8 * i));
  }
  return bytes;
}

Uuid Uuid::FromBytes(absl::string_view bytes) {
  Uuid uuid;
  for (size_t i = 0; i < 8; ++i) {
    uuid.high = (uuid.high << 8) | static_cast<unsigned char>(bytes[i]);
    uuid.low = (uuid.low << 8) | static_cast<unsigned char>(bytes[i + 8]);
  }
  return uuid;
}

IdSource& IdSource::Real() {
  static RealIdSource* const ids = new RealIdSource;
  return *ids;
}

}  // namespace agentdesk
