#include "core_service/base/uuid.h"

#include "absl/random/random.h"

namespace agentdesk {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class RealIdSource final : public IdSource {
 public:
  Uuid NewUuid(absl::Time now) override {
    thread_local absl::BitGen bits;
    const auto ms = static_cast<uint64_t>(absl::ToUnixMillis(now));
    return Uuid{(ms << 16) | 0x7000 | absl::Uniform<uint64_t>(bits, 0, 0x1000),
                (uint64_t{2} << 62) | (absl::Uniform<uint64_t>(bits) >> 2)};
  }
  double Fraction() override {
    thread_local absl::BitGen bits;
    return absl::Uniform<double>(bits, 0, 1);
  }
};

}  // namespace

std::optional<Uuid> Uuid::Parse(absl::string_view text) {
  const bool dashed = text.size() == 36;
  if (!dashed && text.size() != 32) return std::nullopt;
  Uuid uuid;
  int digits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (dashed && (i == 8 || i == 13 || i == 18 || i == 23)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int digit = HexDigit(text[i]);
    if (digit < 0) return std::nullopt;
    uint64_t& half = digits++ < 16 ? uuid.high : uuid.low;
    half = (half << 4) | static_cast<uint64_t>(digit);
  }
  return uuid;
}

std::string Uuid::ToString() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) text.push_back('-');
    const uint64_t half = i < 16 ? high : low;
    text.push_back(kHex[(half >> (60 - 4 * (i % 16))) & 15]);
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
