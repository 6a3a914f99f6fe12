#include "core_service/domain/text.h"

#include <exception>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "boost/json/monotonic_resource.hpp"
#include "boost/json/parse.hpp"
#include "core_service/base/error.h"
#include "core_service/base/utf8.h"
#include "core_service/base/uuid.h"
#include "core_service/domain/limits.h"

namespace agentdesk::domain {
namespace {

constexpr char kNotUtf8[] = "must be valid UTF-8";

std::string RangeRule(size_t min, size_t max, absl::string_view unit, size_t actual) {
  const std::string range =
      min == 0 ? absl::StrCat("at most ", max) : absl::StrCat(min, " to ", max);
  return absl::StrCat("must have ", range, " ", unit, ", has ", actual);
}

}  // namespace

std::optional<size_t> CountCharacters(absl::string_view text) {
  size_t count = 0;
  while (true) {
    const size_t ascii = AsciiPrefix(text);
    count += ascii;
    text.remove_prefix(ascii);
    if (text.empty()) return count;
    if (!TakeCharacter(text)) return std::nullopt;
    ++count;
  }
}

absl::Status CheckCharacters(absl::string_view field, absl::string_view text, int min, int max) {
  const std::optional<size_t> count = CountCharacters(text);
  if (!count) return InvalidField(field, kNotUtf8);
  if (*count < static_cast<size_t>(min) || *count > static_cast<size_t>(max)) {
    return InvalidField(
        field, RangeRule(static_cast<size_t>(min), static_cast<size_t>(max), "characters", *count));
  }
  return absl::OkStatus();
}

absl::Status CheckBytes(absl::string_view field, absl::string_view text, size_t min, size_t max) {
  if (text.size() < min || text.size() > max) {
    return InvalidField(field, RangeRule(min, max, "bytes of UTF-8", text.size()));
  }
  return CountCharacters(text) ? absl::OkStatus() : InvalidField(field, kNotUtf8);
}

absl::Status CheckQueue(absl::string_view field, absl::string_view name) {
  if (name.empty() || name.size() > static_cast<size_t>(kMaxQueueCharacters)) {
    return InvalidField(field, RangeRule(1, kMaxQueueCharacters, "characters", name.size()));
  }
  for (const char c : name) {
    if (!absl::ascii_islower(static_cast<unsigned char>(c)) &&
        !absl::ascii_isdigit(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') {
      return InvalidField(field, "may only have the characters `a-z 0-9 . _ -`");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRequestId(absl::string_view request_id) {
  if (request_id.size() > static_cast<size_t>(kMaxRequestIdCharacters)) {
    return InvalidField("request_id",
                        RangeRule(0, kMaxRequestIdCharacters, "characters", request_id.size()));
  }
  for (const char c : request_id) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) {
      return InvalidField("request_id", "may only have printable ASCII characters");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckJson(absl::string_view field, absl::string_view text) {
  if (text.empty()) return absl::OkStatus();
  if (absl::Status size = CheckBytes(field, text, 0, kMaxJsonBytes); !size.ok()) return size;
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  unsigned char buffer[16 * 1024];
  boost::json::monotonic_resource memory(buffer);
  boost::json::error_code error;
  try {
    boost::json::parse({text.data(), text.size()}, error, &memory, options);
  } catch (const std::exception& failure) {
    return InvalidField(field, absl::StrCat("cannot be read as JSON: ", failure.what()));
  }
  if (error == boost::json::error::too_deep) {
    return InvalidField(field, absl::StrCat("may nest at most ", kMaxJsonDepth, " levels deep"));
  }
  if (error) return InvalidField(field, absl::StrCat("must be one JSON value: ", error.message()));
  return absl::OkStatus();
}

absl::Status CheckUuid(absl::string_view field, absl::string_view text) {
  if (Uuid::Parse(text)) return absl::OkStatus();
  return InvalidField(field,
                      "must be a UUID: 32 hex digits, with dashes at the usual places or none");
}

}  // namespace agentdesk::domain
