#include "core_service/base/strict_json.h"

#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "boost/json/basic_parser_impl.hpp"
#include "boost/json/parse.hpp"
#include "core_service/base/error.h"

namespace agentdesk {
namespace {

namespace json = boost::json;

// Passes over a text and stops at the first name that its object already has: json::parse would
// take the last one without a word.
class NameChecker {
 public:
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);

  bool twice() const { return twice_; }

  bool on_object_begin(json::error_code&) {
    objects_.emplace_back();
    return true;
  }
  bool on_object_end(size_t, json::error_code&) {
    objects_.pop_back();
    return true;
  }
  bool on_key_part(json::string_view part, size_t, json::error_code&) {
    name_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, size_t, json::error_code& error) {
    name_.append(part.data(), part.size());
    twice_ = !objects_.back().insert(name_).second;
    if (twice_) error = json::error::syntax;
    name_.clear();
    return !twice_;
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(size_t, json::error_code&) { return true; }
  bool on_string_part(json::string_view, size_t, json::error_code&) { return true; }
  bool on_string(json::string_view, size_t, json::error_code&) { return true; }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(int64_t, json::string_view, json::error_code&) { return true; }
  bool on_uint64(uint64_t, json::string_view, json::error_code&) { return true; }
  bool on_double(double, json::string_view, json::error_code&) { return true; }
  bool on_bool(bool, json::error_code&) { return true; }
  bool on_null(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  std::vector<absl::flat_hash_set<std::string>> objects_;  // names so far, outermost first
  std::string name_;                                       // what has been read of the next one
  bool twice_ = false;
};

}  // namespace

absl::StatusOr<json::object> ParseStrictObject(absl::string_view text) {
  json::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("not JSON: ", error.message()));
  if (!value.is_object()) return absl::InvalidArgumentError("not a JSON object");
  json::basic_parser<NameChecker> names{json::parse_options()};
  names.write_some(false, text.data(), text.size(), error);
  if (names.handler().twice()) return absl::InvalidArgumentError("a name occurs twice");
  return std::move(value.get_object());
}

absl::StatusOr<std::optional<std::string>> StringField(const json::object& object,
                                                       const char* name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return InvalidField(name, "must be a string");
  return std::string(value->get_string());
}

absl::StatusOr<std::optional<double>> NumberField(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return InvalidField(name, "must be a number");
  return value->to_number<double>();
}

absl::StatusOr<std::optional<std::vector<std::string>>> StringsField(const json::object& object,
                                                                     const char* name,
                                                                     bool or_one) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return std::nullopt;
  const char* const rule = or_one ? "must be a string or an array of strings"  //
                                  : "must be an array of strings";
  std::vector<std::string> strings;
  if (or_one && value->is_string()) {
    strings.emplace_back(value->get_string());
    return strings;
  }
  if (!value->is_array()) return InvalidField(name, rule);
  for (const json::value& element : value->get_array()) {
    if (!element.is_string()) return InvalidField(name, rule);
    strings.emplace_back(element.get_string());
  }
  return strings;
}

}  // namespace agentdesk
