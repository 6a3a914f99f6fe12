#ifndef AGENTDESK_TOOLS_UTF8_H_
#define AGENTDESK_TOOLS_UTF8_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace agentdesk::tools {

// Cutting of UTF-8 text at the borders of its characters. Invalid bytes count as characters.

// The longest beginning, and the longest end, of at most `max_bytes`.
absl::string_view Head(absl::string_view text, size_t max_bytes);
absl::string_view Tail(absl::string_view text, size_t max_bytes);
// The first `max_characters` code points.
absl::string_view FirstCharacters(absl::string_view text, size_t max_characters);
// Pieces of at most `max_bytes` (at least 4), which put together are `text`; at least one.
std::vector<absl::string_view> Split(absl::string_view text, size_t max_bytes);
// `text` where it has at most `max_bytes`; else its head and its tail around a line that says how
// much was left out, together at most `max_bytes` (at least 100).
std::string CutMiddle(absl::string_view text, size_t max_bytes);

// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string Repair(absl::string_view text);
// The same with control characters shown and not obeyed, so that nothing that an agent or a human
// wrote can steer the terminal it is printed on. Line breaks and tabs stay.
std::string ForTerminal(absl::string_view text);

}  // namespace agentdesk::tools

#endif  // AGENTDESK_TOOLS_UTF8_H_
