#include "tools/agentdesk-worker/json_fields.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "boost/json/serialize.hpp"
#include "core_service/base/error.h"
#include "tools/utf8.h"

namespace agentdesk::worker {
namespace {

namespace json = boost::json;

// The core's limit for JSON that it keeps.
constexpr int kMaxJsonDepth = 32;

std::string ToString(const json::string& text) { return std::string(text.data(), text.size()); }

// The end of the string that begins at `at` with its quote.
size_t EndOfString(absl::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

// The end of the value that begins at `at`.
size_t EndOfValue(absl::string_view text, size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = EndOfString(text, at);
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;  // of the object around a bare number or word
      --depth;
      ++at;
    } else if (depth == 0 && (c == ',' || absl::ascii_isspace(static_cast<unsigned char>(c)))) {
      return at;
    } else {
      ++at;
      continue;
    }
    if (depth == 0) return at;
  }
  return at;
}

size_t SkipSpaceAnd(absl::string_view text, size_t at, char also) {
  while (at < text.size() &&
         (absl::ascii_isspace(static_cast<unsigned char>(text[at])) || text[at] == also)) {
    ++at;
  }
  return at;
}

// How deep the arrays and objects of a JSON value nest.
int DepthOf(absl::string_view text) {
  int depth = 0;
  int deepest = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = EndOfString(text, at);
      continue;
    }
    if (text[at] == '{' || text[at] == '[') deepest = std::max(deepest, ++depth);
    if (text[at] == '}' || text[at] == ']') --depth;
    ++at;
  }
  return deepest;
}

constexpr size_t kEscapeLength = 6;  // of \uXXXX

// The unit of UTF-16 whose escape `text` begins with; 0: none.
uint32_t EscapedUnit(absl::string_view text) {
  uint32_t unit = 0;
  return absl::StartsWith(text, "\\u") && text.size() >= kEscapeLength &&
                 absl::SimpleHexAtoi(text.substr(2, 4), &unit)
             ? unit
             : 0;
}

// The halves of a surrogate pair.
bool IsLeading(uint32_t unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool IsTrailing(uint32_t unit) { return unit >= 0xDC00 && unit < 0xE000; }

}  // namespace

absl::string_view RawMember(absl::string_view object, absl::string_view name) {
  absl::string_view found;
  size_t at = SkipSpaceAnd(object, 0, '{');
  while (at < object.size() && object[at] == '"') {
    const size_t name_end = EndOfString(object, at);
    const absl::string_view member = object.substr(at + 1, name_end - at - 2);
    const size_t value = SkipSpaceAnd(object, name_end, ':');
    const size_t value_end = EndOfValue(object, value);
    if (member == name) found = object.substr(value, value_end - value);
    at = SkipSpaceAnd(object, value_end, ',');
  }
  return found;
}

std::string RepairJson(absl::string_view text) {
  std::string repaired;
  repaired.reserve(text.size());
  while (!text.empty()) {
    const uint32_t unit = EscapedUnit(text);
    size_t taken = 1;
    if (IsLeading(unit) && IsTrailing(EscapedUnit(absl::ClippedSubstr(text, kEscapeLength)))) {
      taken = 2 * kEscapeLength;
    } else if (IsLeading(unit) || IsTrailing(unit)) {
      absl::StrAppend(&repaired, "\\ufffd");
      text.remove_prefix(kEscapeLength);
      continue;
    } else if (text[0] == '\\') {
      taken = 2;  // what is escaped begins no escape of its own
    }
    absl::StrAppend(&repaired, text.substr(0, taken));
    text.remove_prefix(std::min(taken, text.size()));
  }
  return tools::Repair(repaired);
}

bool JsonFields::Has(absl::string_view name) const {
  return object_.contains(json::string_view(name.data(), name.size()));
}

const json::value* JsonFields::Find(absl::string_view name) const {
  const json::value* value = object_.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

void JsonFields::Refuse(absl::string_view field, absl::string_view rule) {
  if (error_.ok()) error_ = InvalidField(field, rule);
}

std::string JsonFields::RequiredText(absl::string_view name) {
  if (Find(name) == nullptr) Refuse(name, "is required");
  return Text(name);
}

std::string JsonFields::Text(absl::string_view name, absl::string_view otherwise) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::string(otherwise);
  if (value->is_string()) return ToString(value->get_string());
  Refuse(name, "must be a string");
  return {};
}

std::optional<bool> JsonFields::Flag(absl::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  Refuse(name, "must be true or false");
  return std::nullopt;
}

std::optional<double> JsonFields::Number(absl::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return value->to_number<double>();
  Refuse(name, "must be a number");
  return std::nullopt;
}

std::vector<std::string> JsonFields::Texts(absl::string_view name,
                                           std::optional<std::string>* single) {
  const json::value* value = Find(name);
  if (value == nullptr) return {};
  if (single != nullptr && value->is_string()) {
    *single = ToString(value->get_string());
    return {};
  }
  std::vector<std::string> texts;
  if (value->is_array()) {
    for (const json::value& item : value->get_array()) {
      if (!item.is_string()) break;
      texts.push_back(ToString(item.get_string()));
    }
    if (texts.size() == value->get_array().size()) return texts;
  }
  Refuse(name,
         single != nullptr ? "must be a string or a list of strings" : "must be a list of strings");
  return {};
}

std::string JsonFields::Json(absl::string_view name, size_t max_bytes) {
  const json::value* value = Find(name);
  if (value == nullptr) return {};
  std::string text(RawMember(line_, name));
  // A name that was written with escapes is not found in the text.
  if (text.empty()) text = json::serialize(*value);
  if (text.size() > max_bytes) {
    Refuse(name, absl::StrCat("has ", text.size(), " bytes of JSON, at most ", max_bytes,
                              " are allowed"));
    return {};
  }
  if (DepthOf(text) > kMaxJsonDepth) {
    Refuse(name, absl::StrCat("may nest at most ", kMaxJsonDepth, " levels deep"));
    return {};
  }
  return text;
}

}  // namespace agentdesk::worker
