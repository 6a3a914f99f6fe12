#ifndef AGENTDESK_WS_GATEWAY_JSON_WRITER_H_
#define AGENTDESK_WS_GATEWAY_JSON_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace agentdesk::gateway {

// Appends `text`, which is valid UTF-8, as a JSON string (RFC 8259) with its quotes. Only what must
// be escaped is.
void AppendJsonString(absl::string_view text, std::string& out);

// Writes compact JSON to the end of a string, field by field, in the order of the calls.
//
//   JsonWriter json(out);
//   json.BeginObject().Text("type", "pong").EndObject();
//
// Every method that takes a name writes a field of the open object; the others write a whole value
// or an element of the open array.
class JsonWriter {
 public:
  // `out` must outlive the writer.
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& BeginObject(absl::string_view name) { return Name(name).Open('{', false); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& BeginArray(absl::string_view name) { return Name(name).Open('[', false); }
  JsonWriter& EndArray() { return Close(']'); }

  // Names are written as they stand; one that comes from outside goes through NameAndText.
  JsonWriter& Text(absl::string_view name, absl::string_view value);
  JsonWriter& NameAndText(absl::string_view name, absl::string_view value);
  JsonWriter& Number(absl::string_view name, int64_t value);
  JsonWriter& Flag(absl::string_view name, bool value);
  // `json` is a JSON value already.
  JsonWriter& Raw(absl::string_view name, absl::string_view json);
  // A field only where the text is not empty.
  JsonWriter& TextIfAny(absl::string_view name, absl::string_view value) {
    return value.empty() ? *this : Text(name, value);
  }
  JsonWriter& RawIfAny(absl::string_view name, absl::string_view json) {
    return json.empty() ? *this : Raw(name, json);
  }

  JsonWriter& Text(absl::string_view value);
  JsonWriter& Raw(absl::string_view json);

 private:
  JsonWriter& Name(absl::string_view name);
  JsonWriter& Open(char bracket, bool element = true);
  JsonWriter& Close(char bracket);
  void Separate();

  std::string& out_;
  bool comma_ = false;  // whether a value came before in the open object or array
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_JSON_WRITER_H_
