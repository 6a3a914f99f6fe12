#include "tests/unit/gateway/gateway_fixture.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"

namespace agentdesk::gateway {

std::vector<std::string> Payloads(absl::string_view frames) {
  std::vector<std::string> payloads;
  size_t start = 0;
  // A frame's first byte is none of a text's.
  while (start < frames.size() && static_cast<unsigned char>(frames[start]) < 0x80) {
    const size_t end = frames.find("\n\n", start) + 2;
    payloads.emplace_back(frames.substr(start, end - start));
    start = end;
  }
  while (start < frames.size()) {
    const size_t end = FrameEnd(frames, start + 1);
    const size_t length = static_cast<unsigned char>(frames[start + 1]);
    const size_t header = length < 126 ? 2 : length == 126 ? 4 : 10;
    payloads.emplace_back(frames.substr(start + header, end - start - header));
    start = end;
  }
  return payloads;
}

bool FakeSocket::Send(const Frames& frames, int64_t mark) {
  if (close_code_ != 0) return false;
  if (stalled_) {
    queue_.emplace_back(frames, mark);
    queued_bytes_ += frames.bytes.size();
  } else {
    Write(frames, mark);
  }
  return written_mark_ >= mark;
}

void FakeSocket::Close(uint16_t code, absl::string_view reason, bool drop_queue) {
  if (close_code_ != 0) return;
  close_reason_ = std::string(reason);
  if (drop_queue) queue_.clear();
  close_code_ = code;
}

void FakeSocket::Take(size_t count) {
  for (; count > 0 && !queue_.empty(); --count) {
    const auto [frames, mark] = queue_.front();
    queue_.pop_front();
    queued_bytes_ -= frames.bytes.size();
    Write(frames, mark);
  }
}

void FakeSocket::Write(const Frames& frames, int64_t mark) {
  written_mark_ = std::max(written_mark_, mark);
  for (std::string& text : Payloads(frames.bytes)) texts_.push_back(std::move(text));
}

namespace {

class FakeFeed final : public Feed {
 public:
  explicit FakeFeed(std::shared_ptr<FakeCommands::FeedEnd> end) : end_(std::move(end)) {}
  ~FakeFeed() override { end_->ended = true; }
  void Next() override { ++end_->next; }

 private:
  std::shared_ptr<FakeCommands::FeedEnd> end_;
};

v1::Event Event(int64_t sequence, absl::string_view session) {
  v1::Event event;
  event.set_sequence(sequence);
  *event.mutable_time() = ToProto(absl::FromUnixMicros(1764466504091323));
  event.set_ticket_id(kTicket);
  event.set_session_id(std::string(session));
  return event;
}

}  // namespace

std::unique_ptr<Feed> FakeCommands::Follow(const Caller& caller, const SubscribeFrom& from,
                                           const v1::EventFilter& filter, FeedReceiver receiver) {
  auto end = std::make_shared<FeedEnd>();
  end->caller = caller;
  end->from = from;
  end->filter = filter;
  end->receiver = std::move(receiver);
  feeds.push_back(end);
  return std::make_unique<FakeFeed>(end);
}

Identity User(absl::string_view subject, absl::string_view tenant) {
  Identity user;
  user.subject = std::string(subject);
  user.tenant = std::string(tenant);
  return user;
}

v1::Event TicketCreated(int64_t sequence, absl::string_view name) {
  v1::Event event = Event(sequence, kSession);
  event.mutable_ticket_created()->mutable_ticket()->set_ticket_name(std::string(name));
  return event;
}

v1::Event Message(int64_t sequence, absl::string_view content, absl::string_view session) {
  v1::Event event = Event(sequence, session);
  event.mutable_agent_message()->set_content(std::string(content));
  return event;
}

v1::Event Question(int64_t sequence, absl::string_view question_id) {
  v1::Event event = Event(sequence, kSession);
  event.mutable_agent_question()->mutable_question()->set_question_id(std::string(question_id));
  return event;
}

std::shared_ptr<const EventBlock> Block(int64_t after, const std::vector<v1::Event>& events,
                                        absl::string_view desk) {
  google::protobuf::RepeatedPtrField<v1::Event> list(events.begin(), events.end());
  return EncodeEvents(std::string(desk), after, events.empty() ? after : events.back().sequence(),
                      list);
}

std::vector<std::string> GatewayTest::Browser::Events() {
  std::vector<std::string> events;
  for (std::string& text : Heard()) {
    if (absl::StrContains(text, "\"timestamp\"")) events.push_back(std::move(text));
  }
  return events;
}

GatewayTest::~GatewayTest() {
  for (const std::unique_ptr<Browser>& browser : browsers_) {
    if (browser->handler != nullptr) browser->handler->OnClosed(1006);
  }
}

GatewayTest::Browser& GatewayTest::Connect(ConnectionOptions options) {
  browsers_.push_back(std::make_unique<Browser>());
  Browser& browser = *browsers_.back();
  browser.socket = std::make_unique<FakeSocket>();
  browser.handler = hub_->MakeConnection(std::move(options));
  browser.handler->OnOpen(*browser.socket);
  return browser;
}

GatewayTest::Browser& GatewayTest::Plain() {
  ConnectionOptions options;
  options.caller = {.actor = "guest-0001", .via = "websocket", .traceparent = ""};
  return Connect(std::move(options));
}

GatewayTest::Browser& GatewayTest::Full(absl::StatusOr<std::optional<SubscribeFrom>> from) {
  ConnectionOptions options;
  options.protocol = Protocol::kV1;
  options.caller = {.actor = "guest-0002", .via = "websocket", .traceparent = ""};
  if (!from.ok()) {
    options.subscribe = from.status();
  } else if (from->has_value()) {
    options.subscribe = Subscribe{**from, {}};
  }
  return Connect(std::move(options));
}

GatewayTest::Browser& GatewayTest::Stream(Subscribe subscribe) {
  ConnectionOptions options;
  options.protocol = Protocol::kStream;
  options.caller = {.actor = "anonymous", .via = "http", .traceparent = ""};
  options.subscribe = std::move(subscribe);
  return Connect(std::move(options));
}

void GatewayTest::Close(Browser& browser) {
  browser.handler->OnClosed(1001);
  browser.handler.reset();
}

void GatewayTest::Publish(const std::vector<v1::Event>& events) {
  const std::shared_ptr<const EventBlock> block = Block(head_, events, desk_);
  head_ = block->up_to;
  hub_->Publish(block, clock_.Now());
}

void GatewayTest::Begin(int64_t head, absl::string_view desk) {
  head_ = head;
  desk_ = std::string(desk);
  Publish({});
}

void GatewayTest::Pass(absl::Duration time) {
  for (absl::Duration passed; passed < time; passed += Hub::kTick) {
    clock_.Advance(Hub::kTick);
    hub_->Tick();
  }
}

}  // namespace agentdesk::gateway
