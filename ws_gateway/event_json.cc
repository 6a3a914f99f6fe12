#include "ws_gateway/event_json.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "ws_gateway/json_writer.h"
#include "ws_gateway/resource_json.h"

namespace agentdesk::gateway {
namespace {

struct TypeName {
  v1::EventType type;
  absl::string_view name;
};

constexpr std::array<TypeName, 15> kTypeNames = {{
    {v1::EVENT_TYPE_TICKET_CREATED, "ticket_created"},
    {v1::EVENT_TYPE_TICKET_UPDATED, "ticket_updated"},
    {v1::EVENT_TYPE_TICKET_CANCELLED, "ticket_cancelled"},
    {v1::EVENT_TYPE_AGENT_STARTED, "agent_started"},
    {v1::EVENT_TYPE_AGENT_MESSAGE, "agent_message"},
    {v1::EVENT_TYPE_TOOL_CALL, "tool_call"},
    {v1::EVENT_TYPE_AGENT_QUESTION, "agent_question"},
    {v1::EVENT_TYPE_QUESTION_ANSWERED, "question_answered"},
    {v1::EVENT_TYPE_QUESTION_EXPIRED, "question_expired"},
    {v1::EVENT_TYPE_QUESTION_WITHDRAWN, "question_withdrawn"},
    {v1::EVENT_TYPE_USER_MESSAGE, "user_message"},
    {v1::EVENT_TYPE_JOB_REQUEUED, "job_requeued"},
    {v1::EVENT_TYPE_JOB_WAITING, "job_waiting"},
    {v1::EVENT_TYPE_AGENT_COMPLETE, "agent_complete"},
    {v1::EVENT_TYPE_AGENT_ERROR, "agent_error"},
}};

absl::string_view ReasonWord(v1::RequeueReason reason) {
  switch (reason) {
    case v1::REQUEUE_REASON_INPUT:
      return "input";
    case v1::REQUEUE_REASON_FAILED:
      return "failed";
    case v1::REQUEUE_REASON_LEASE_LOST:
      return "lease_lost";
    case v1::REQUEUE_REASON_RELEASED:
      return "released";
    default:
      return "";
  }
}

void WritePlainQuestion(const v1::Event& event, JsonWriter& json) {
  const v1::Question& question = event.agent_question().question();
  json.Text("content", question.content())
      .Text("session_id", event.session_id())
      .Text("ticket_id", event.ticket_id())
      .Text("question_id", question.question_id());
  if (!question.choices().empty()) {
    json.BeginArray("choices");
    for (const v1::Choice& choice : question.choices()) json.Text(choice.value());
    json.EndArray();
  }
  if (question.has_expires_at()) WriteTime("expires_at", question.expires_at(), json);
}

// The fields of each plain message in the order of the contract. The two that have no timestamp are
// as old clients know them.
void WritePlainFields(const v1::Event& event, JsonWriter& json) {
  switch (event.payload_case()) {
    case v1::Event::kTicketCreated:
      json.Text("ticket_id", event.ticket_id())
          .Text("ticket_name", event.ticket_created().ticket().ticket_name());
      break;
    case v1::Event::kAgentStarted:
      json.Text("ticket_id", event.ticket_id())
          .Text("ticket_name", event.agent_started().ticket_name())
          .Text("session_id", event.session_id());
      break;
    case v1::Event::kAgentQuestion:
      WritePlainQuestion(event, json);
      break;
    case v1::Event::kAgentMessage:
      json.Text("content", event.agent_message().content())
          .Text("session_id", event.session_id())
          .Text("ticket_id", event.ticket_id());
      break;
    case v1::Event::kToolCall:
      json.Text("tool_name", event.tool_call().tool_name())
          .Text("title", event.tool_call().title())
          .Text("content", event.tool_call().content())
          .Text("output_type", event.tool_call().output_type())
          .Text("session_id", event.session_id());
      break;
    case v1::Event::kUserMessage:
      json.Text("content", event.user_message().content())
          .Text("session_id", event.session_id())
          .Text("ticket_id", event.ticket_id())
          .Text("from", event.actor().id());
      break;
    case v1::Event::kQuestionAnswered:
      json.Text("session_id", event.session_id())
          .Text("ticket_id", event.ticket_id())
          .Text("question_id", event.question_answered().question_id());
      WriteResponse("response", event.question_answered().response(),
                    event.question_answered().responses(), json);
      json.Text("answered_by", event.actor().id());
      break;
    case v1::Event::kQuestionExpired:
      json.Text("session_id", event.session_id())
          .Text("ticket_id", event.ticket_id())
          .Text("question_id", event.question_expired().question_id());
      break;
    case v1::Event::kQuestionWithdrawn:
      json.Text("session_id", event.session_id())
          .Text("ticket_id", event.ticket_id())
          .Text("question_id", event.question_withdrawn().question_id());
      break;
    case v1::Event::kAgentComplete:
      json.Text("job_id", event.job_id())
          .Text("ticket_id", event.ticket_id())
          .Text("status", StatusWord(event.agent_complete().status()));
      return;
    case v1::Event::kAgentError:
      json.Text("job_id", event.job_id()).Text("error", event.agent_error().error());
      return;
    case v1::Event::kTicketCancelled:
      json.Text("ticket_id", event.ticket_id());
      break;
    default:
      return;
  }
  WriteTime("timestamp", event.time(), json);
}

bool IsPlain(const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kTicketUpdated:
    case v1::Event::kJobRequeued:
    case v1::Event::kJobWaiting:
    case v1::Event::PAYLOAD_NOT_SET:
      return false;
    default:
      return true;
  }
}

void WriteWholeTicket(const v1::Ticket& ticket, JsonWriter& json) {
  json.BeginObject("ticket");
  WriteTicket(ticket, json);
  json.EndObject();
}

void WriteV1Tool(const v1::ToolCall& call, JsonWriter& json) {
  json.Text("tool_name", call.tool_name())
      .Text("title", call.title())
      .Text("content", call.content())
      .Text("output_type", call.output_type())
      .TextIfAny("key", call.key());
  if (call.truncated()) json.Flag("truncated", true).Number("size", call.size());
}

void WriteV1Answered(const v1::Event& event, JsonWriter& json) {
  const v1::QuestionAnswered& answered = event.question_answered();
  json.Text("question_id", answered.question_id());
  WriteResponse("response", answered.response(), answered.responses(), json);
  json.Text("answered_by", event.actor().id()).TextIfAny("key", answered.key());
  if (answered.sensitive()) json.Flag("sensitive", true);
}

void WriteV1Expired(const v1::QuestionExpired& expired, JsonWriter& json) {
  json.Text("question_id", expired.question_id()).TextIfAny("key", expired.key());
  if (expired.has_default_response() || !expired.default_responses().empty()) {
    WriteResponse("default", expired.default_response(), expired.default_responses(), json);
  }
}

void WriteV1Requeued(const v1::JobRequeued& requeued, JsonWriter& json) {
  json.Text("reason", ReasonWord(requeued.reason())).TextIfAny("error", requeued.error());
  if (requeued.has_next_attempt_at()) {
    WriteTime("next_attempt_at", requeued.next_attempt_at(), json);
  }
  json.Number("failed_attempts", requeued.failed_attempts());
}

// What the type adds to the fields that all events have. Every field of the plain message is there,
// under the same name.
void WriteV1Fields(const v1::Event& event, JsonWriter& json) {
  switch (event.payload_case()) {
    case v1::Event::kTicketCreated:
      json.Text("ticket_name", event.ticket_created().ticket().ticket_name());
      return WriteWholeTicket(event.ticket_created().ticket(), json);
    case v1::Event::kTicketUpdated:
      return WriteWholeTicket(event.ticket_updated().ticket(), json);
    case v1::Event::kTicketCancelled:
      json.Text("ticket_name", event.ticket_cancelled().ticket_name())
          .Text("status", StatusWord(event.ticket_cancelled().status()));
      return;
    case v1::Event::kAgentStarted:
      json.Text("ticket_name", event.agent_started().ticket_name())
          .Text("worker", event.agent_started().worker());
      return;
    case v1::Event::kAgentMessage:
      json.Text("content", event.agent_message().content())
          .TextIfAny("key", event.agent_message().key());
      return;
    case v1::Event::kToolCall:
      return WriteV1Tool(event.tool_call(), json);
    case v1::Event::kAgentQuestion:
      json.Text("question_id", event.agent_question().question().question_id());
      return WriteAsked(event.agent_question().question(), json);
    case v1::Event::kQuestionAnswered:
      return WriteV1Answered(event, json);
    case v1::Event::kQuestionExpired:
      return WriteV1Expired(event.question_expired(), json);
    case v1::Event::kQuestionWithdrawn:
      json.Text("question_id", event.question_withdrawn().question_id())
          .TextIfAny("key", event.question_withdrawn().key());
      return;
    case v1::Event::kUserMessage:
      json.Text("content", event.user_message().content()).Text("from", event.actor().id());
      return;
    case v1::Event::kJobRequeued:
      return WriteV1Requeued(event.job_requeued(), json);
    case v1::Event::kAgentComplete:
      json.Text("status", StatusWord(event.agent_complete().status()))
          .Text("summary", event.agent_complete().summary())
          .RawIfAny("result", event.agent_complete().result_json());
      return;
    case v1::Event::kAgentError:
      json.Text("error", event.agent_error().error())
          .Number("failed_attempts", event.agent_error().failed_attempts());
      return;
    case v1::Event::kJobWaiting:
    case v1::Event::PAYLOAD_NOT_SET:
      return;
  }
}

template <typename Items, typename Write>
void AppendItems(absl::string_view list, const Items& items, Write write,
                 std::vector<std::pair<absl::string_view, std::string>>& out) {
  for (const auto& item : items) {
    std::string text;
    JsonWriter json(text);
    json.BeginObject();
    write(item, json);
    json.EndObject();
    out.emplace_back(list, std::move(text));
  }
}

uint32_t IndexOf(const std::string& tenant, std::vector<std::string>& tenants) {
  const auto found = std::find(tenants.begin(), tenants.end(), tenant);
  const auto index = static_cast<uint32_t>(found - tenants.begin());
  if (found == tenants.end()) tenants.push_back(tenant);
  return index;
}

}  // namespace

bool AppendPlainEvent(const v1::Event& event, std::string& out) {
  if (!IsPlain(event)) return false;
  JsonWriter json(out);
  json.BeginObject().Text("type", EventTypeName(TypeOf(event)));
  WritePlainFields(event, json);
  json.EndObject();
  return true;
}

void AppendV1Event(const v1::Event& event, std::string& out) {
  JsonWriter json(out);
  json.BeginObject()
      .Text("type", EventTypeName(TypeOf(event)))
      .Number("sequence", event.sequence());
  WriteTime("timestamp", event.time(), json);
  json.Text("ticket_id", event.ticket_id())
      .TextIfAny("session_id", event.session_id())
      .TextIfAny("job_id", event.job_id());
  if (event.attempt() != 0) json.Number("attempt", event.attempt());
  if (event.has_actor()) WriteActor("actor", event.actor(), json);
  json.TextIfAny("tenant", event.tenant()).TextIfAny("trace_id", event.trace_id());
  WriteV1Fields(event, json);
  json.EndObject();
}

absl::string_view EventTypeName(v1::EventType type) {
  for (const TypeName& known : kTypeNames) {
    if (known.type == type) return known.name;
  }
  return "unknown";
}

std::optional<v1::EventType> ParseEventType(absl::string_view name) {
  for (const TypeName& known : kTypeNames) {
    if (known.name == name) return known.type;
  }
  return std::nullopt;
}

v1::EventType TypeOf(const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kTicketCreated:
      return v1::EVENT_TYPE_TICKET_CREATED;
    case v1::Event::kTicketUpdated:
      return v1::EVENT_TYPE_TICKET_UPDATED;
    case v1::Event::kTicketCancelled:
      return v1::EVENT_TYPE_TICKET_CANCELLED;
    case v1::Event::kAgentStarted:
      return v1::EVENT_TYPE_AGENT_STARTED;
    case v1::Event::kAgentMessage:
      return v1::EVENT_TYPE_AGENT_MESSAGE;
    case v1::Event::kToolCall:
      return v1::EVENT_TYPE_TOOL_CALL;
    case v1::Event::kAgentQuestion:
      return v1::EVENT_TYPE_AGENT_QUESTION;
    case v1::Event::kQuestionAnswered:
      return v1::EVENT_TYPE_QUESTION_ANSWERED;
    case v1::Event::kQuestionExpired:
      return v1::EVENT_TYPE_QUESTION_EXPIRED;
    case v1::Event::kQuestionWithdrawn:
      return v1::EVENT_TYPE_QUESTION_WITHDRAWN;
    case v1::Event::kUserMessage:
      return v1::EVENT_TYPE_USER_MESSAGE;
    case v1::Event::kJobRequeued:
      return v1::EVENT_TYPE_JOB_REQUEUED;
    case v1::Event::kJobWaiting:
      return v1::EVENT_TYPE_JOB_WAITING;
    case v1::Event::kAgentComplete:
      return v1::EVENT_TYPE_AGENT_COMPLETE;
    case v1::Event::kAgentError:
      return v1::EVENT_TYPE_AGENT_ERROR;
    case v1::Event::PAYLOAD_NOT_SET:
      break;
  }
  return v1::EVENT_TYPE_UNSPECIFIED;
}

std::string StreamPosition(absl::string_view desk_id, int64_t sequence) {
  return absl::StrCat(desk_id, ":", sequence);
}

const EventBlock::Stream& EventBlock::stream() const {
  std::call_once(stream_made_, [this] {
    std::string bytes;
    bytes.reserve(v1.bytes.size() + entries.size() * 64);
    size_t begin = 0;
    for (const Entry& entry : entries) {
      AppendServerSentEvent(StreamPosition(desk_id, entry.sequence),
                            FirstPayload(v1.bytes.substr(begin)), bytes);
      stream_.ends.push_back(bytes.size());
      begin = entry.v1_end;
    }
    stream_.frames = OwnFrames(std::move(bytes));
  });
  return stream_;
}

std::shared_ptr<const EventBlock> EncodeEvents(
    std::string desk_id, int64_t after, int64_t up_to,
    const google::protobuf::RepeatedPtrField<v1::Event>& events) {
  auto block = std::make_shared<EventBlock>();
  block->desk_id = std::move(desk_id);
  block->after = after;
  block->up_to = up_to;
  if (!events.empty()) block->committed = FromProto(events[0].time());
  block->entries.reserve(static_cast<size_t>(events.size()));
  std::string plain;
  std::string v1;
  std::string text;  // of one event: a frame begins with the size of what it holds
  for (const v1::Event& event : events) {
    text.clear();
    if (AppendPlainEvent(event, text)) AppendTextFrame(text, plain);
    text.clear();
    AppendV1Event(event, text);
    AppendTextFrame(text, v1);
    block->entries.push_back({.sequence = event.sequence(),
                              .plain_end = plain.size(),
                              .v1_end = v1.size(),
                              .ticket = Uuid::Parse(event.ticket_id()).value_or(Uuid{}),
                              .session = Uuid::Parse(event.session_id()).value_or(Uuid{}),
                              .type = TypeOf(event),
                              .tenant = IndexOf(event.tenant(), block->tenants)});
  }
  block->plain = OwnFrames(std::move(plain));
  block->v1 = OwnFrames(std::move(v1));
  return block;
}

std::shared_ptr<const EventBlock> JoinBlocks(
    const std::vector<std::shared_ptr<const EventBlock>>& blocks) {
  if (blocks.size() == 1) return blocks.front();
  auto joined = std::make_shared<EventBlock>();
  joined->desk_id = blocks.front()->desk_id;
  joined->after = blocks.front()->after;
  joined->up_to = blocks.back()->up_to;
  std::string plain;
  std::string v1;
  for (const std::shared_ptr<const EventBlock>& block : blocks) {
    if (joined->entries.empty()) joined->committed = block->committed;
    for (EventBlock::Entry entry : block->entries) {
      entry.plain_end += plain.size();
      entry.v1_end += v1.size();
      entry.tenant = IndexOf(block->tenants[entry.tenant], joined->tenants);
      joined->entries.push_back(entry);
    }
    plain.append(block->plain.bytes.data(), block->plain.bytes.size());
    v1.append(block->v1.bytes.data(), block->v1.bytes.size());
  }
  joined->plain = OwnFrames(std::move(plain));
  joined->v1 = OwnFrames(std::move(v1));
  return joined;
}

std::vector<Frames> EncodeSnapshot(const v1::Snapshot& snapshot, int64_t up_to, size_t max_bytes) {
  std::vector<std::pair<absl::string_view, std::string>> items;
  AppendItems("tickets", snapshot.tickets(), WriteTicket, items);
  AppendItems("sessions", snapshot.sessions(), WriteSession, items);
  AppendItems("questions", snapshot.questions(), WriteQuestion, items);
  constexpr size_t kEnvelope = 128;  // what is around the items
  std::vector<Frames> frames;
  size_t next = 0;
  while (next < items.size() || (frames.empty() && !snapshot.more())) {
    size_t end = next;
    size_t size = kEnvelope;
    while (end < items.size() && (end == next || size + items[end].second.size() < max_bytes)) {
      size += items[end++].second.size() + 1;
    }
    std::string text;
    JsonWriter json(text);
    json.BeginObject().Text("type", "snapshot").Number("up_to", up_to);
    for (const absl::string_view list : {"tickets", "sessions", "questions"}) {
      json.BeginArray(list);
      for (size_t i = next; i < end; ++i) {
        if (items[i].first == list) json.Raw(items[i].second);
      }
      json.EndArray();
    }
    json.Flag("more", end < items.size() || snapshot.more()).EndObject();
    frames.push_back(MakeFrame(text));
    next = end;
  }
  return frames;
}

}  // namespace agentdesk::gateway
