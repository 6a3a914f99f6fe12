#ifndef AGENTDESK_TESTS_UNIT_GATEWAY_GATEWAY_FIXTURE_H_
#define AGENTDESK_TESTS_UNIT_GATEWAY_GATEWAY_FIXTURE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/base/identity.h"
#include "core_service/base/uuid.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "ws_gateway/commands.h"
#include "ws_gateway/event_json.h"
#include "ws_gateway/hub.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

inline constexpr char kDesk[] = "0198a000-0000-7000-8000-00000000d35c";
inline constexpr char kOtherDesk[] = "0198a000-0000-7000-8000-0000000007e2";
inline constexpr char kTicket[] = "2bbab082-7928-816f-88e2-f42f69157f7b";
inline constexpr char kSession[] = "ca35686a-9be9-4437-868c-54b9976b71ec";
inline constexpr char kOtherSession[] = "ca35686a-9be9-4437-868c-000000000000";

// The payloads of whole text frames, or whole Server-Sent Events as they are.
std::vector<std::string> Payloads(absl::string_view frames);

// The far end of a connection. It takes everything at once, or only when the test says so.
class FakeSocket final : public Socket {
 public:
  using Socket::Send;
  bool Send(const Frames& frames, int64_t mark) override;
  void Close(uint16_t code, absl::string_view reason, bool drop_queue) override;
  int64_t written_mark() const override { return written_mark_; }
  size_t queued_bytes() const override { return queued_bytes_; }

  // From now on what is sent waits, until Take.
  void Stall() { stalled_ = true; }
  // Writes the oldest `count` of what waits.
  void Take(size_t count = 1);
  size_t waiting() const { return queue_.size(); }

  // What was written and not looked at yet, one text for each message.
  std::vector<std::string> TakeTexts() { return std::exchange(texts_, {}); }
  uint16_t close_code() const { return close_code_; }
  const std::string& close_reason() const { return close_reason_; }

 private:
  void Write(const Frames& frames, int64_t mark);

  bool stalled_ = false;
  std::deque<std::pair<Frames, int64_t>> queue_;  // each with its mark
  size_t queued_bytes_ = 0;
  int64_t written_mark_ = 0;
  std::vector<std::string> texts_;
  uint16_t close_code_ = 0;
  std::string close_reason_;
};

// The core, as a list of what was asked of it.
class FakeCommands final : public Commands {
 public:
  template <typename Request, typename Response>
  struct Asked {
    Caller caller;
    Request request;
    Reply<Response> reply;
  };

#define AGENTDESK_FAKE_CALL(Method, list)                                                         \
  void Call(const Caller& caller, v1::Method##Request request, Reply<v1::Method##Response> reply) \
      override {                                                                                  \
    list.push_back({caller, std::move(request), std::move(reply)});                               \
  }                                                                                               \
  std::deque<Asked<v1::Method##Request, v1::Method##Response>> list;

  AGENTDESK_FAKE_CALL(CreateTicket, creates)
  AGENTDESK_FAKE_CALL(GetTicket, ticket_gets)
  AGENTDESK_FAKE_CALL(ListTickets, ticket_lists)
  AGENTDESK_FAKE_CALL(CancelTicket, cancels)
  AGENTDESK_FAKE_CALL(RetryTicket, retries)
  AGENTDESK_FAKE_CALL(GetJob, job_gets)
  AGENTDESK_FAKE_CALL(GetSession, session_gets)
  AGENTDESK_FAKE_CALL(ListQuestions, question_lists)
  AGENTDESK_FAKE_CALL(GetQuestion, question_gets)
  AGENTDESK_FAKE_CALL(SubmitResponse, responses)
  AGENTDESK_FAKE_CALL(SendMessage, messages)
  AGENTDESK_FAKE_CALL(ListEvents, event_lists)
#undef AGENTDESK_FAKE_CALL

  std::unique_ptr<Feed> Follow(const Caller& caller, const SubscribeFrom& from,
                               const v1::EventFilter& filter, FeedReceiver receiver) override;

  struct FeedEnd {
    Caller caller;
    SubscribeFrom from;
    v1::EventFilter filter;
    FeedReceiver receiver;
    int next = 0;
    bool ended = false;
  };
  std::vector<std::shared_ptr<FeedEnd>> feeds;
};

// Somebody who has proved who they are.
Identity User(absl::string_view subject, absl::string_view tenant = "");

// Events that are easy to tell apart.
v1::Event TicketCreated(int64_t sequence, absl::string_view name);
v1::Event Message(int64_t sequence, absl::string_view content,
                  absl::string_view session = kSession);
v1::Event Question(int64_t sequence, absl::string_view question_id);
std::shared_ptr<const EventBlock> Block(int64_t after, const std::vector<v1::Event>& events,
                                        absl::string_view desk = kDesk);

// A hub on a clock that the test moves, and browsers at it.
class GatewayTest : public ::testing::Test {
 protected:
  struct Browser {
    std::unique_ptr<FakeSocket> socket;
    std::unique_ptr<SocketHandler> handler;

    void Say(absl::string_view text) { handler->OnText(text); }
    std::vector<std::string> Heard() { return socket->TakeTexts(); }
    // What was heard without what is not in the log.
    std::vector<std::string> Events();
  };

  ~GatewayTest() override;

  Browser& Connect(ConnectionOptions options);
  Browser& Plain();
  Browser& Stream(Subscribe subscribe);
  Browser& Full(absl::StatusOr<std::optional<SubscribeFrom>> from = std::optional<SubscribeFrom>());
  void Close(Browser& browser);

  // The core sends events after what it sent before.
  void Publish(const std::vector<v1::Event>& events);
  // The log stands at `head` when the gateway first hears of it.
  void Begin(int64_t head = 0, absl::string_view desk = kDesk);
  // Lets time pass in the steps of the hub's ticks.
  void Pass(absl::Duration time);

  agentdesk::testing::FakeClock clock_;
  FakeCommands commands_;
  std::string desk_ = kDesk;
  int64_t head_ = 0;
  RecentEvents::Limits recent_;
  LoadLimits limits_{{}, clock_};
  Metrics metrics_;
  ConnectionMetrics connection_metrics_{metrics_};
  std::unique_ptr<Hub> hub_ = std::make_unique<Hub>(commands_, clock_, IdSource::Real(), recent_,
                                                    limits_, connection_metrics_);
  std::vector<std::unique_ptr<Browser>> browsers_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_TESTS_UNIT_GATEWAY_GATEWAY_FIXTURE_H_
