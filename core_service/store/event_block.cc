#include "core_service/store/event_block.h"

#include <utility>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"

namespace agentdesk::store {
namespace {

// The tag of `repeated Event events = 1` in SubscribeResponse.
constexpr char kEventsTag =
    static_cast<char>((v1::SubscribeResponse::kEventsFieldNumber << 3) |
                      google::protobuf::internal::WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

absl::Status NotEvents() { return absl::DataLossError("stored bytes are not an event"); }

// The entry of one encoded event, but for its offset.
absl::StatusOr<EventBlock::Entry> ReadEntry(absl::string_view encoded) {
  using google::protobuf::internal::WireFormatLite;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(encoded.data()),
                                            static_cast<int>(encoded.size()));
  uint32_t size = 0;
  in.ReadTag();
  in.ReadVarint32(&size);
  EventBlock::Entry entry{0, v1::EVENT_TYPE_UNSPECIFIED, {}, {}, 0, encoded.size(), {}};
  // Only up to the payload's tag: a reader of the log needs no more of an event than this.
  while (const uint32_t tag = in.ReadTag()) {
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    if (field >= v1::Event::kTicketCreatedFieldNumber) {
      entry.type = static_cast<v1::EventType>(field - v1::Event::kTicketCreatedFieldNumber +
                                              static_cast<int>(v1::EVENT_TYPE_TICKET_CREATED));
      break;
    }
    const bool is_ticket = field == v1::Event::kTicketIdFieldNumber;
    const bool is_tenant = field == v1::Event::kTenantFieldNumber;
    if (is_ticket || is_tenant || field == v1::Event::kSessionIdFieldNumber) {
      uint32_t length = 0;
      if (!in.ReadVarint32(&length)) return NotEvents();
      const auto at = static_cast<size_t>(in.CurrentPosition());
      if (length > encoded.size() - at) return NotEvents();
      const absl::string_view text = encoded.substr(at, length);
      if (is_tenant) {
        entry.tenant = std::string(text);
      } else {
        (is_ticket ? entry.ticket_id : entry.session_id) = Uuid::Parse(text).value_or(Uuid{});
      }
      in.Skip(static_cast<int>(length));
    } else if (field == v1::Event::kSequenceFieldNumber) {
      uint64_t sequence = 0;
      if (!in.ReadVarint64(&sequence)) return NotEvents();
      entry.sequence = static_cast<int64_t>(sequence);
    } else if (!WireFormatLite::SkipField(&in, tag)) {
      return NotEvents();
    }
  }
  if (entry.sequence <= 0) return NotEvents();
  return entry;
}

}  // namespace

absl::StatusOr<size_t> EncodedSize(absl::string_view bytes) {
  if (bytes.empty() || bytes.front() != kEventsTag) return NotEvents();
  uint64_t size = 0;
  size_t at = 1;
  for (int shift = 0; at < bytes.size() && shift < 32; shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes[at++]);
    size |= uint64_t{byte & 0x7fu} << shift;
    if (byte >= 0x80) continue;
    if (size > bytes.size() - at) return NotEvents();
    return at + static_cast<size_t>(size);
  }
  return NotEvents();
}

v1::EventType TypeOf(const v1::Event& event) {
  using E = v1::Event;
  switch (event.payload_case()) {
    case E::kTicketCreated:
      return v1::EVENT_TYPE_TICKET_CREATED;
    case E::kTicketUpdated:
      return v1::EVENT_TYPE_TICKET_UPDATED;
    case E::kTicketCancelled:
      return v1::EVENT_TYPE_TICKET_CANCELLED;
    case E::kAgentStarted:
      return v1::EVENT_TYPE_AGENT_STARTED;
    case E::kAgentMessage:
      return v1::EVENT_TYPE_AGENT_MESSAGE;
    case E::kToolCall:
      return v1::EVENT_TYPE_TOOL_CALL;
    case E::kAgentQuestion:
      return v1::EVENT_TYPE_AGENT_QUESTION;
    case E::kQuestionAnswered:
      return v1::EVENT_TYPE_QUESTION_ANSWERED;
    case E::kQuestionExpired:
      return v1::EVENT_TYPE_QUESTION_EXPIRED;
    case E::kQuestionWithdrawn:
      return v1::EVENT_TYPE_QUESTION_WITHDRAWN;
    case E::kUserMessage:
      return v1::EVENT_TYPE_USER_MESSAGE;
    case E::kJobRequeued:
      return v1::EVENT_TYPE_JOB_REQUEUED;
    case E::kJobWaiting:
      return v1::EVENT_TYPE_JOB_WAITING;
    case E::kAgentComplete:
      return v1::EVENT_TYPE_AGENT_COMPLETE;
    case E::kAgentError:
      return v1::EVENT_TYPE_AGENT_ERROR;
    case E::PAYLOAD_NOT_SET:
      break;
  }
  return v1::EVENT_TYPE_UNSPECIFIED;
}

void EventBlock::Append(const v1::Event& event) {
  using google::protobuf::io::CodedOutputStream;
  const size_t offset = bytes_.size();
  const size_t size = event.ByteSizeLong();
  const size_t prefix = 1 + CodedOutputStream::VarintSize32(static_cast<uint32_t>(size));
  bytes_.resize(offset + prefix + size);
  auto* at = reinterpret_cast<uint8_t*>(bytes_.data() + offset);
  *at++ = static_cast<uint8_t>(kEventsTag);
  at = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), at);
  event.SerializeWithCachedSizesToArray(at);
  entries_.push_back(Entry{
      event.sequence(), TypeOf(event), Uuid::Parse(event.ticket_id()).value_or(Uuid{}),
      Uuid::Parse(event.session_id()).value_or(Uuid{}), offset, prefix + size, event.tenant()});
}

absl::StatusOr<EventBlock> EventBlock::Parse(std::string bytes) {
  EventBlock block;
  block.bytes_ = std::move(bytes);
  for (size_t offset = 0; offset < block.bytes_.size();) {
    const absl::string_view rest = absl::string_view(block.bytes_).substr(offset);
    const absl::StatusOr<size_t> size = EncodedSize(rest);
    if (!size.ok()) return size.status();
    absl::StatusOr<Entry> entry = ReadEntry(rest.substr(0, *size));
    if (!entry.ok()) return entry.status();
    entry->offset = offset;
    offset += *size;
    block.entries_.push_back(*std::move(entry));
  }
  return block;
}

v1::Event EventBlock::Decode(const Entry& entry) const {
  const absl::string_view encoded = Encoded(entry);
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(encoded.data()),
                                            static_cast<int>(encoded.size()));
  in.ReadTag();
  uint32_t size = 0;
  in.ReadVarint32(&size);
  v1::Event event;
  event.ParseFromArray(encoded.data() + in.CurrentPosition(), static_cast<int>(size));
  return event;
}

}  // namespace agentdesk::store
