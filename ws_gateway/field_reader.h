#ifndef AGENTDESK_WS_GATEWAY_FIELD_READER_H_
#define AGENTDESK_WS_GATEWAY_FIELD_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "boost/json/object.hpp"

namespace agentdesk::gateway {

// Parses a JSON object within our limits. InvalidArgument, with the reason `invalid_json` unless it
// is JSON but no object.
absl::StatusOr<boost::json::object> ParseJsonObject(absl::string_view text);

// Takes typed fields out of a JSON object and keeps the first complaint, so that a caller reads all
// of them and looks once. A field that is null counts as absent.
class FieldReader {
 public:
  // `object` must outlive the reader. A complaint puts `prefix` before the name of the field.
  explicit FieldReader(const boost::json::object& object, absl::string_view prefix = "")
      : object_(object), prefix_(prefix) {}

  std::optional<std::string> Text(absl::string_view name);
  // Complains when the field is absent.
  std::string RequiredText(absl::string_view name);
  // A whole number within the limits, which includes one that is written as 5.0.
  std::optional<int64_t> Number(absl::string_view name, int64_t min, int64_t max);
  std::optional<bool> Flag(absl::string_view name);
  std::vector<std::string> Texts(absl::string_view name);
  // An object; null when absent.
  const boost::json::object* Object(absl::string_view name);
  const boost::json::value* Find(absl::string_view name) const;

  void Complain(absl::string_view name, absl::string_view rule);
  // Takes over the complaint of a reader of an object within.
  void Adopt(const FieldReader& inner) { status_.Update(inner.status_); }
  const absl::Status& status() const { return status_; }

 private:
  const boost::json::object& object_;
  const absl::string_view prefix_;
  absl::Status status_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_FIELD_READER_H_
