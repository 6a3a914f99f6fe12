#include "ws_gateway/field_reader.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json/parse.hpp"
#include "core_service/base/error.h"

namespace agentdesk::gateway {
namespace {

constexpr size_t kMaxDepth = 32;

boost::json::string_view ToBoost(absl::string_view text) { return {text.data(), text.size()}; }

std::string ToString(const boost::json::string& text) {
  return std::string(text.data(), text.size());
}

}  // namespace

absl::StatusOr<boost::json::object> ParseJsonObject(absl::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(ToBoost(text), error, {}, options);
  if (error) {
    return ErrorWithReason(absl::StatusCode::kInvalidArgument, "invalid_json",
                           absl::StrCat("not JSON: ", error.message()));
  }
  if (!value.is_object()) {
    return ErrorWithReason(absl::StatusCode::kInvalidArgument, "invalid_argument",
                           "must be a JSON object");
  }
  return std::move(value.get_object());
}

const boost::json::value* FieldReader::Find(absl::string_view name) const {
  const boost::json::value* value = object_.if_contains(ToBoost(name));
  return value == nullptr || value->is_null() ? nullptr : value;
}

void FieldReader::Complain(absl::string_view name, absl::string_view rule) {
  if (status_.ok()) status_ = InvalidField(absl::StrCat(prefix_, name), rule);
}

std::optional<std::string> FieldReader::Text(absl::string_view name) {
  const boost::json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return ToString(value->get_string());
  Complain(name, "must be a string");
  return std::nullopt;
}

std::string FieldReader::RequiredText(absl::string_view name) {
  if (Find(name) == nullptr) {
    Complain(name, "is required");
    return {};
  }
  return Text(name).value_or(std::string());
}

std::optional<int64_t> FieldReader::Number(absl::string_view name, int64_t min, int64_t max) {
  const boost::json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  std::optional<int64_t> number;
  if (value->is_int64()) {
    number = value->get_int64();
  } else if (value->is_double()) {
    // Up to 2^53 a double holds every whole number.
    const double real = value->get_double();
    if (std::abs(real) <= 9007199254740992.0 && real == std::floor(real)) {
      number = static_cast<int64_t>(real);
    }
  }
  if (number.has_value() && *number >= min && *number <= max) return number;
  Complain(name, absl::StrCat("must be a whole number from ", min, " to ", max));
  return std::nullopt;
}

std::optional<bool> FieldReader::Flag(absl::string_view name) {
  const boost::json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  Complain(name, "must be true or false");
  return std::nullopt;
}

std::vector<std::string> FieldReader::Texts(absl::string_view name) {
  std::vector<std::string> texts;
  const boost::json::value* value = Find(name);
  if (value == nullptr) return texts;
  if (!value->is_array()) {
    Complain(name, "must be a list of strings");
    return texts;
  }
  for (const boost::json::value& element : value->get_array()) {
    if (!element.is_string()) {
      Complain(absl::StrCat(name, "[", texts.size(), "]"), "must be a string");
      return {};
    }
    texts.push_back(ToString(element.get_string()));
  }
  return texts;
}

const boost::json::object* FieldReader::Object(absl::string_view name) {
  const boost::json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (value->is_object()) return &value->get_object();
  Complain(name, "must be an object");
  return nullptr;
}

}  // namespace agentdesk::gateway
