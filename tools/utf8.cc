#include "tools/utf8.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core_service/base/utf8.h"

namespace agentdesk::tools {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

unsigned char Byte(absl::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

bool IsContinuation(absl::string_view text, size_t at) { return (Byte(text, at) & 0xC0) == 0x80; }

// The length of the well-formed character that begins at `at`; 0: there is none.
size_t ValidLength(absl::string_view text, size_t at) {
  absl::string_view rest = text.substr(at);
  const size_t before = rest.size();
  return TakeCharacter(rest).has_value() ? before - rest.size() : 0;
}

}  // namespace

absl::string_view Head(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  // A character has at most 4 bytes: further back the text is not UTF-8, and any border will do.
  while (end > 0 && max_bytes - end < 3 && IsContinuation(text, end)) --end;
  if (IsContinuation(text, end)) end = max_bytes;
  return text.substr(0, end);
}

absl::string_view Tail(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  const size_t earliest = text.size() - max_bytes;
  size_t begin = earliest;
  while (begin < text.size() && begin - earliest < 3 && IsContinuation(text, begin)) ++begin;
  return text.substr(begin);
}

absl::string_view FirstCharacters(absl::string_view text, size_t max_characters) {
  size_t at = 0;
  for (size_t count = 0; at < text.size() && count < max_characters; ++count) {
    at += std::max<size_t>(1, ValidLength(text, at));
  }
  return text.substr(0, at);
}

std::vector<absl::string_view> Split(absl::string_view text, size_t max_bytes) {
  std::vector<absl::string_view> pieces;
  do {
    pieces.push_back(Head(text, max_bytes));
    text.remove_prefix(pieces.back().size());
  } while (!text.empty());
  return pieces;
}

std::string CutMiddle(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  constexpr size_t kSeam = 64;  // more than the line below takes
  const size_t kept = max_bytes - kSeam;
  const absl::string_view head = Head(text, kept - kept / 2);
  const absl::string_view tail = Tail(text, kept / 2);
  return absl::StrCat(head, "\n[... ", text.size() - head.size() - tail.size(),
                      " bytes left out ...]\n", tail);
}

std::string Repair(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t length = ValidLength(text, at);
    absl::StrAppend(&out, length == 0 ? kReplacement : text.substr(at, length));
    at += std::max<size_t>(1, length);
  }
  return out;
}

std::string ForTerminal(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t length = ValidLength(text, at);
    const unsigned char byte = Byte(text, at);
    if (length == 0) {
      absl::StrAppend(&out, kReplacement);
    } else if (length == 1 && (byte == 0x7F || (byte < 0x20 && byte != '\n' && byte != '\t'))) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned>(byte));
    } else if (length == 2 && byte == 0xC2 && Byte(text, at + 1) < 0xA0) {  // C1 controls
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned>(Byte(text, at + 1)));
    } else {
      absl::StrAppend(&out, text.substr(at, length));
    }
    at += std::max<size_t>(1, length);
  }
  return out;
}

}  // namespace agentdesk::tools
