#include "ws_gateway/client_protocol.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "boost/json/object.hpp"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/base/utf8.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/field_reader.h"

namespace agentdesk::gateway {
namespace {

constexpr int64_t kMaxSequence = (int64_t{1} << 53) - 1;
constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMinInt32 = std::numeric_limits<int32_t>::min();
constexpr size_t kMaxFilterEntries = 100;

// `response` is a text, or the list of the chosen values where the question takes several.
void ReadResponse(FieldReader& fields, v1::SubmitResponseRequest& request) {
  const boost::json::value* value = fields.Find("response");
  if (value == nullptr) {
    fields.Complain("response", "is required");
  } else if (value->is_array()) {
    for (std::string& text : fields.Texts("response")) request.add_responses(std::move(text));
  } else if (value->is_string()) {
    request.set_response(fields.Text("response").value_or(std::string()));
  } else {
    fields.Complain("response", "must be a string or a list of strings");
  }
}

v1::SubmitResponseRequest ReadSubmitResponse(FieldReader& fields) {
  v1::SubmitResponseRequest request;
  ReadResponse(fields, request);
  request.set_question_id(fields.Text("question_id").value_or(std::string()));
  request.set_request_id(fields.Text("request_id").value_or(std::string()));
  return request;
}

v1::SendMessageRequest ReadSendMessage(FieldReader& fields) {
  v1::SendMessageRequest request;
  request.set_content(fields.RequiredText("content"));
  request.set_request_id(fields.Text("request_id").value_or(std::string()));
  return request;
}

void ReadLabels(FieldReader& fields, v1::CreateTicketRequest& request) {
  const boost::json::object* labels = fields.Object("labels");
  if (labels == nullptr) return;
  for (const auto& label : *labels) {
    const std::string key(label.key().data(), label.key().size());
    if (!label.value().is_string()) {
      fields.Complain(absl::StrCat("labels.", key), "must be a string");
      return;
    }
    const boost::json::string& value = label.value().get_string();
    (*request.mutable_labels())[key] = std::string(value.data(), value.size());
  }
}

v1::CreateTicketRequest ReadCreateTicket(FieldReader& fields) {
  v1::CreateTicketRequest request;
  request.set_ticket_name(fields.RequiredText("ticket_name"));
  request.set_description(fields.Text("description").value_or(std::string()));
  ReadLabels(fields, request);
  request.set_queue(fields.Text("queue").value_or(std::string()));
  if (const auto priority = fields.Number("priority", kMinInt32, kMaxInt32)) {
    request.set_priority(static_cast<int32_t>(*priority));
  }
  if (const auto run_after = fields.Text("run_after")) {
    absl::Time time;
    std::string ignored;
    if (absl::ParseTime(absl::RFC3339_full, *run_after, &time, &ignored) &&
        time > absl::InfinitePast() && time < absl::InfiniteFuture()) {
      *request.mutable_run_after() = ToProto(time);
    } else {
      fields.Complain("run_after", "must be a time such as 2025-11-30T01:35:01+00:00");
    }
  }
  if (const auto attempts = fields.Number("max_attempts", kMinInt32, kMaxInt32)) {
    request.set_max_attempts(static_cast<int32_t>(*attempts));
  }
  request.set_timeout_s(
      static_cast<int32_t>(fields.Number("timeout_s", kMinInt32, kMaxInt32).value_or(0)));
  request.set_ticket_id(fields.Text("ticket_id").value_or(std::string()));
  request.set_request_id(fields.Text("request_id").value_or(std::string()));
  return request;
}

void ReadIds(FieldReader& fields, absl::string_view name,
             google::protobuf::RepeatedPtrField<std::string>& ids) {
  const std::vector<std::string> texts = fields.Texts(name);
  if (texts.size() > kMaxFilterEntries) fields.Complain(name, "must have at most 100 entries");
  for (const std::string& text : texts) {
    const std::optional<Uuid> id = Uuid::Parse(text);
    if (!id.has_value()) return fields.Complain(name, "must hold UUIDs");
    *ids.Add() = id->ToString();
  }
}

void ReadFilter(FieldReader& fields, v1::EventFilter& filter) {
  ReadIds(fields, "ticket_ids", *filter.mutable_ticket_ids());
  ReadIds(fields, "session_ids", *filter.mutable_session_ids());
  const std::vector<std::string> types = fields.Texts("types");
  if (types.size() > kMaxFilterEntries) fields.Complain("types", "must have at most 100 entries");
  for (const std::string& name : types) {
    const std::optional<v1::EventType> type = ParseEventType(name);
    if (!type.has_value()) return fields.Complain("types", "must hold types of events");
    filter.add_types(*type);
  }
}

void ReadPosition(FieldReader& fields, SubscribeFrom& from) {
  from.kind = SubscribeFrom::Kind::kAfter;
  from.desk_id = fields.Text("desk").value_or(std::string());
  if (fields.Find("after") == nullptr) fields.Complain("after", "is required");
  from.after = fields.Number("after", 0, kMaxSequence).value_or(0);
}

Subscribe ReadSubscribe(FieldReader& fields) {
  Subscribe subscribe;
  if (const boost::json::object* filter = fields.Object("filter")) {
    FieldReader inner(*filter, "filter.");
    ReadFilter(inner, subscribe.filter);
    fields.Adopt(inner);
  }
  const boost::json::value* from = fields.Find("from");
  if (from == nullptr) {
    fields.Complain("from", "is required");
  } else if (from->is_string() && from->get_string() == "live") {
    subscribe.from.kind = SubscribeFrom::Kind::kLive;
  } else if (from->is_string() && from->get_string() == "snapshot") {
    subscribe.from.kind = SubscribeFrom::Kind::kSnapshot;
  } else if (from->is_object()) {
    FieldReader inner(from->get_object(), "from.");
    ReadPosition(inner, subscribe.from);
    fields.Adopt(inner);
  } else {
    fields.Complain("from", "must be \"live\", \"snapshot\" or {\"desk\":ID,\"after\":N}");
  }
  return subscribe;
}

void ReadCommand(absl::string_view type, Protocol protocol, FieldReader& fields,
                 ClientMessage& message) {
  const bool full = protocol == Protocol::kV1;
  if (type == "ping") {
    message.command = Ping{};
  } else if (type == "auth") {
    const boost::json::value* token = fields.Find("token");
    const bool is_text = token != nullptr && token->is_string();
    message.command = Auth{is_text ? *fields.Text("token") : std::string()};
  } else if (type == "user_response") {
    std::string session_id = fields.RequiredText("session_id");
    v1::SubmitResponseRequest request = ReadSubmitResponse(fields);
    request.set_session_id(std::move(session_id));
    message.command = std::move(request);
  } else if (full && type == "subscribe") {
    message.command = ReadSubscribe(fields);
  } else if (full && type == "send_message") {
    std::string session_id = fields.RequiredText("session_id");
    v1::SendMessageRequest request = ReadSendMessage(fields);
    request.set_session_id(std::move(session_id));
    message.command = std::move(request);
  } else if (full && type == "create_ticket") {
    message.command = ReadCreateTicket(fields);
  } else if (full && type == "cancel_ticket") {
    v1::CancelTicketRequest request;
    request.set_ticket_id(fields.RequiredText("ticket_id"));
    request.set_request_id(fields.Text("request_id").value_or(std::string()));
    message.command = std::move(request);
  } else if (full && type == "retry_ticket") {
    v1::RetryTicketRequest request;
    request.set_ticket_id(fields.RequiredText("ticket_id"));
    request.set_request_id(fields.Text("request_id").value_or(std::string()));
    message.command = std::move(request);
  } else {
    message.status = UnknownType();
  }
}

bool ParsePosition(absl::string_view text, int64_t& position) {
  return absl::SimpleAtoi(text, &position) && position >= 0 && position <= kMaxSequence;
}

// `DESK:N`, or `0`, which is the beginning of any desk.
absl::StatusOr<SubscribeFrom> ParseStreamPosition(absl::string_view name, absl::string_view text) {
  SubscribeFrom from{.kind = SubscribeFrom::Kind::kAfter, .desk_id = {}, .after = 0};
  if (text == "0") return from;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  const std::optional<Uuid> desk = Uuid::Parse(parts.first);
  if (!desk.has_value() || !ParsePosition(parts.second, from.after)) {
    return InvalidField(name, "must be DESK:N, the id of an event that was received, or 0");
  }
  from.desk_id = desk->ToString();
  return from;
}

// The same complaint under the name that it has on a socket.
absl::Status InvalidMessage(const absl::Status& status) {
  ErrorDetail detail = DetailOf(status);
  detail.reason = "invalid_message";
  return WithDetail(status, detail);
}

// Reads a body with `read`, whose fields may complain.
template <typename Read>
auto ParseBody(absl::string_view body, Read read)
    -> absl::StatusOr<decltype(read(std::declval<FieldReader&>()))> {
  absl::StatusOr<boost::json::object> object = ParseJsonObject(body);
  if (!object.ok()) return object.status();
  FieldReader fields(*object);
  auto result = read(fields);
  if (!fields.status().ok()) return fields.status();
  return result;
}

}  // namespace

absl::Status UnknownType() {
  return ErrorWithReason(absl::StatusCode::kInvalidArgument, "unknown_type",
                         "type: no such type of message");
}

ClientMessage ParseClientMessage(absl::string_view text, Protocol protocol) {
  ClientMessage message;
  absl::StatusOr<boost::json::object> object = ParseJsonObject(text);
  if (!object.ok()) {
    message.status = DetailOf(object.status()).reason == "invalid_json"
                         ? object.status()
                         : InvalidMessage(object.status());
    return message;
  }
  FieldReader fields(*object);
  const std::string type = fields.RequiredText("type");
  // A ping may carry anything in its other fields.
  if (type != "ping") {
    message.echo.request_id = fields.Text("request_id");
    message.echo.question_id = fields.Text("question_id");
  }
  if (fields.status().ok()) ReadCommand(type, protocol, fields, message);
  if (message.status.ok() && !fields.status().ok()) {
    message.status = InvalidMessage(fields.status());
  }
  return message;
}

absl::StatusOr<std::optional<Subscribe>> ParseSubscribeQuery(absl::string_view query) {
  Subscribe subscribe;
  SubscribeFrom& from = subscribe.from;
  if (const auto after = QueryParameter(query, "after")) {
    from.kind = SubscribeFrom::Kind::kAfter;
    if (!ParsePosition(*after, from.after)) {
      return InvalidField("after", "must be a whole number that is not negative");
    }
    from.desk_id = QueryParameter(query, "desk").value_or(std::string());
    return subscribe;
  }
  if (QueryParameter(query, "snapshot") == "1") {
    from.kind = SubscribeFrom::Kind::kSnapshot;
    return subscribe;
  }
  if (QueryParameter(query, "live") == "1") return subscribe;
  return std::nullopt;
}

absl::StatusOr<Subscribe> ParseStreamRequest(absl::string_view query,
                                             absl::string_view last_event_id) {
  Subscribe subscribe;
  absl::string_view name = "Last-Event-ID";
  std::optional<std::string> position;
  if (!last_event_id.empty()) {
    position = std::string(last_event_id);
  } else {
    name = "after";
    position = QueryParameter(query, name);
  }
  if (position.has_value()) {
    absl::StatusOr<SubscribeFrom> from = ParseStreamPosition(name, *position);
    if (!from.ok()) return from.status();
    subscribe.from = *std::move(from);
  } else if (QueryParameter(query, "snapshot") == "1") {
    subscribe.from.kind = SubscribeFrom::Kind::kSnapshot;
  }
  boost::json::object lists;
  for (const char* list : {"ticket_ids", "session_ids", "types"}) {
    const std::string texts = QueryParameter(query, list).value_or(std::string());
    if (texts.empty()) continue;
    boost::json::array& entries = lists[list].emplace_array();
    for (const absl::string_view text : absl::StrSplit(texts, ',')) {
      entries.emplace_back(boost::json::string_view(text.data(), text.size()));
    }
  }
  FieldReader fields(lists);
  ReadFilter(fields, subscribe.filter);
  if (!fields.status().ok()) return fields.status();
  return subscribe;
}

absl::StatusOr<v1::CreateTicketRequest> ParseCreateTicket(absl::string_view body) {
  return ParseBody(body, ReadCreateTicket);
}

absl::StatusOr<v1::SubmitResponseRequest> ParseSubmitResponse(absl::string_view body) {
  return ParseBody(body, [](FieldReader& fields) {
    v1::SubmitResponseRequest request = ReadSubmitResponse(fields);
    if (const auto as_of = fields.Number("as_of_sequence", 0, kMaxSequence)) {
      request.set_as_of_sequence(*as_of);
    } else if (request.question_id().empty()) {
      fields.Complain("question_id", "is required unless as_of_sequence is given");
    }
    request.set_desk_id(fields.Text("desk").value_or(std::string()));
    return request;
  });
}

absl::StatusOr<v1::SendMessageRequest> ParseSendMessage(absl::string_view body) {
  return ParseBody(body, ReadSendMessage);
}

absl::StatusOr<std::string> ParseRequestId(absl::string_view body) {
  if (body.empty()) return std::string();
  return ParseBody(
      body, [](FieldReader& fields) { return fields.Text("request_id").value_or(std::string()); });
}

absl::StatusOr<NotionPage> ParseNotionPage(absl::string_view body) {
  return ParseBody(body, [](FieldReader& fields) {
    NotionPage page;
    const std::optional<Uuid> id = Uuid::Parse(fields.RequiredText("page_id"));
    if (id.has_value()) {
      page.page_id = id->ToString();
    } else {
      fields.Complain("page_id", "must be a UUID, with or without dashes");
    }
    // What they say is of no use here; that they are texts is checked all the same.
    fields.Text("database_id");
    fields.Text("event_type");
    const boost::json::value* timestamp = fields.Find("timestamp");
    if (timestamp != nullptr && timestamp->is_string()) {
      const boost::json::string& text = timestamp->get_string();
      absl::Time time;
      std::string ignored;
      if (absl::ParseTime(absl::RFC3339_full, absl::string_view(text.data(), text.size()), &time,
                          &ignored)) {
        page.timestamp = time;
      }
    }
    return page;
  });
}

std::optional<std::string> DecodePercent(absl::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      decoded.push_back(' ');
    } else if (text[i] != '%') {
      decoded.push_back(text[i]);
    } else {
      if (i + 2 >= text.size() || !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
          !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
        return std::nullopt;
      }
      decoded += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    }
  }
  if (!IsUtf8(decoded)) return std::nullopt;
  return decoded;
}

std::optional<std::string> QueryParameter(absl::string_view query, absl::string_view name) {
  for (const absl::string_view pair : absl::StrSplit(query, '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    if (DecodePercent(parts.first) != name) continue;
    // What cannot be decoded stands as it was sent, to be refused by whoever looks at the value.
    return DecodePercent(parts.second).value_or(std::string(parts.second));
  }
  return std::nullopt;
}

}  // namespace agentdesk::gateway
