#include "tools/json_line.h"

#include <algorithm>

#include "tools/utf8.h"
#include "ws_gateway/json_writer.h"

namespace agentdesk::tools {

std::string JsonString(absl::string_view text) {
  std::string out;
  gateway::AppendJsonString(Repair(text), out);
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
