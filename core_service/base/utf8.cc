#include "core_service/base/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace agentdesk {

std::optional<char32_t> TakeCharacter(absl::string_view& text) {
  const auto first = static_cast<uint8_t>(text[0]);
  size_t length = 1;
  char32_t character = first;
  char32_t least = 0;  // what needs this length; less is an overlong form
  if (first >= 0xF0 && first < 0xF8) {
    length = 4;
    character = first & 0x07u;
    least = 0x10000;
  } else if (first >= 0xE0 && first < 0xF0) {
    length = 3;
    character = first & 0x0Fu;
    least = 0x800;
  } else if (first >= 0xC0 && first < 0xE0) {
    length = 2;
    character = first & 0x1Fu;
    least = 0x80;
  } else if (first >= 0x80) {
    return std::nullopt;
  }
  if (text.size() < length) return std::nullopt;
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xC0u) != 0x80u) return std::nullopt;
    character = (character << 6) | (byte & 0x3Fu);
  }
  const bool surrogate = character >= 0xD800 && character <= 0xDFFF;
  if (character < least || surrogate || character > 0x10FFFF) return std::nullopt;
  text.remove_prefix(length);
  return character;
}

size_t AsciiPrefix(absl::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  size_t size = 0;
  for (uint64_t bytes = 0; size + sizeof(bytes) <= text.size(); size += sizeof(bytes)) {
    std::memcpy(&bytes, text.data() + size, sizeof(bytes));
    if ((bytes & kHighBits) != 0) break;
  }
  while (size < text.size() && static_cast<uint8_t>(text[size]) < 0x80) ++size;
  return size;
}

bool IsUtf8(absl::string_view text) {
  while (true) {
    text.remove_prefix(AsciiPrefix(text));
    if (text.empty()) return true;
    if (!TakeCharacter(text).has_value()) return false;
  }
}

}  // namespace agentdesk
