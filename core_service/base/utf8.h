#ifndef AGENTDESK_CORE_SERVICE_BASE_UTF8_H_
#define AGENTDESK_CORE_SERVICE_BASE_UTF8_H_

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"

namespace agentdesk {

// Takes the first character (a code point) off `text`, which must not be empty. Nothing, and `text`
// as it was, when it does not begin with a well-formed one (RFC 3629: no overlong form, no
// surrogate, nothing past U+10FFFF).
std::optional<char32_t> TakeCharacter(absl::string_view& text);

// How many characters of one byte `text` begins with.
size_t AsciiPrefix(absl::string_view text);

bool IsUtf8(absl::string_view text);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_UTF8_H_
