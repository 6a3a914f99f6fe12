#ifndef AGENTDESK_TOOLS_JSON_LINE_H_
#define AGENTDESK_TOOLS_JSON_LINE_H_

#include <cstdint>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace agentdesk::tools {

// `text` as a JSON string. Non-ASCII stays; invalid UTF-8 is replaced.
std::string JsonString(absl::string_view text);
// JSON text without line breaks. Between values they are space, and inside a string JSON allows
// none, so the value is the same. Empty: `null`.
std::string OneLine(absl::string_view json);

// Writes one JSON object in one line, fields in the order in which they are added. It writes text
// and does not build a tree, so that JSON which others stored passes through unchanged: a parser
// would round large numbers.
class JsonLine {
 public:
  JsonLine& Add(absl::string_view name, absl::string_view text) {
    return AddJson(name, JsonString(text));
  }
  JsonLine& Add(absl::string_view name, const std::string& text) {
    return Add(name, absl::string_view(text));
  }
  JsonLine& Add(absl::string_view name, const char* text) {
    return Add(name, absl::string_view(text));
  }
  template <typename Number, typename = std::enable_if_t<std::is_integral_v<Number>>>
  JsonLine& Add(absl::string_view name, Number number) {
    if constexpr (std::is_same_v<Number, bool>) {
      return AddJson(name, number ? "true" : "false");
    } else {
      return AddJson(name, absl::StrCat(number));
    }
  }
  // `json` must be one value in one line.
  JsonLine& AddJson(absl::string_view name, absl::string_view json);
  // The texts as an array of strings.
  template <typename Texts>
  JsonLine& AddTexts(absl::string_view name, const Texts& texts) {
    std::string array = "[";
    for (const auto& text : texts) {
      absl::StrAppend(&array, array.size() > 1 ? "," : "", JsonString(text));
    }
    return AddJson(name, absl::StrCat(array, "]"));
  }

  // The object, without a line break at its end.
  std::string Text() const { return absl::StrCat("{", fields_, "}"); }

 private:
  std::string fields_;
};

}  // namespace agentdesk::tools

#endif  // AGENTDESK_TOOLS_JSON_LINE_H_
