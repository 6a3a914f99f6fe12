#include "tools/json_line.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "tools/utf8.h"

namespace agentdesk::tools {

std::string JsonString(absl::string_view text) {
  std::string out = "\"";
  for (const char c : Repair(text)) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
  return out;
}

std::string OneLine(absl::string_view json) {
  if (json.empty()) return "null";
  std::string line(json);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return line;
}

JsonLine& JsonLine::AddJson(absl::string_view name, absl::string_view json) {
  absl::StrAppend(&fields_, fields_.empty() ? "" : ",", JsonString(name), ":", json);
  return *this;
}

}  // namespace agentdesk::tools
