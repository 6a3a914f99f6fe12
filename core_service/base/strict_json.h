#ifndef AGENTDESK_CORE_SERVICE_BASE_STRICT_JSON_H_
#define AGENTDESK_CORE_SERVICE_BASE_STRICT_JSON_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "boost/json/object.hpp"

namespace agentdesk {

// Reads one JSON object where two readers must not understand the same text differently: what a
// signature covers, and what says whom to trust. InvalidArgument for anything that RFC 8259 does
// not allow, for text that is not UTF-8, nesting beyond 32, and for a name that occurs twice in an
// object, wherever it is. The text begins and ends with the object but for JSON's white space.
absl::StatusOr<boost::json::object> ParseStrictObject(absl::string_view text);

// The fields of an object that have a type. Each is nothing where the field is missing and
// InvalidArgument, which names the field, where it is of another type.
absl::StatusOr<std::optional<std::string>> StringField(const boost::json::object& object,
                                                       const char* name);
// A number, whole or not.
absl::StatusOr<std::optional<double>> NumberField(const boost::json::object& object,
                                                  const char* name);
// An array of strings; where `or_one`, also a string for an array of one.
absl::StatusOr<std::optional<std::vector<std::string>>> StringsField(
    const boost::json::object& object, const char* name, bool or_one);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_STRICT_JSON_H_
