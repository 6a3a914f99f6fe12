#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_JSON_FIELDS_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_JSON_FIELDS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "boost/json/object.hpp"

namespace agentdesk::worker {

// The fields of one JSON object, read by name and type. The first rule that is broken is kept as
// `error`; what is read after it is empty. A field that is null counts as absent.
class JsonFields {
 public:
  // `line` is the text that `object` was read from; both must outlive this.
  JsonFields(absl::string_view line, const boost::json::object& object)
      : line_(line), object_(object) {}

  std::string RequiredText(absl::string_view name);
  std::string Text(absl::string_view name, absl::string_view otherwise = "");
  std::optional<bool> Flag(absl::string_view name);
  std::optional<double> Number(absl::string_view name);
  // A field that is a list of strings; a single string where `single` is given goes there.
  std::vector<std::string> Texts(absl::string_view name, std::optional<std::string>* single);
  // The field's own JSON text, exactly as it was written; empty: absent. At most `max_bytes`, and
  // as many levels of nesting as the core keeps.
  std::string Json(absl::string_view name, size_t max_bytes);

  // Null where the field is absent.
  const boost::json::value* Find(absl::string_view name) const;
  // Also where it is null.
  bool Has(absl::string_view name) const;
  void Refuse(absl::string_view field, absl::string_view rule);
  const absl::Status& error() const { return error_; }

 private:
  const absl::string_view line_;
  const boost::json::object& object_;
  absl::Status error_;
};

// The text of the value of `name` in the JSON object `object`; the last one where the name stands
// twice. Empty: none. What is no valid JSON gives some part of it.
absl::string_view RawMember(absl::string_view object, absl::string_view name);

// `text` with U+FFFD for each byte that is not part of valid UTF-8 and for each escape of half a
// surrogate pair, which some writers of JSON make of the former (RFC 8259 section 8.2).
std::string RepairJson(absl::string_view text);

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_JSON_FIELDS_H_
