#ifndef AGENTDESK_WS_GATEWAY_CONNECTION_H_
#define AGENTDESK_WS_GATEWAY_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/clock.h"
#include "core_service/base/identity.h"
#include "core_service/base/token_bucket.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/commands.h"
#include "ws_gateway/connection_metrics.h"
#include "ws_gateway/event_cursor.h"
#include "ws_gateway/load_limits.h"
#include "ws_gateway/recent_events.h"
#include "ws_gateway/server_message.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

class Connection;

// The contract's `heartbeat_ms`: how often at least a connection is told how far it is.
inline constexpr absl::Duration kHeartbeat = absl::Seconds(15);

// What a connection needs of the hub that it belongs to.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;

  virtual void Add(Connection& connection) = 0;
  virtual void Remove(Connection& connection) = 0;
  // Has Connection::Tick called every tick until it returns false.
  virtual void Attend(Connection& connection) = 0;
  virtual const RecentEvents& recent() const = 0;
  virtual Commands& commands() = 0;
  // Null where authentication is off.
  virtual const Authenticator* authenticator() const = 0;
  virtual LoadLimits& limits() = 0;
  virtual ConnectionMetrics& metrics() = 0;
  virtual absl::Duration Monotonic() = 0;
  // The core's time, as far as it is known.
  virtual absl::Time Now() = 0;
  // This machine's, by which tokens are judged.
  virtual absl::Time WallTime() = 0;
  virtual Uuid NewUuid() = 0;
  virtual double Fraction() = 0;  // random, from 0 to below 1
  // Whether all are being sent away, also those that still come.
  virtual bool draining() const = 0;
};

// Whether somebody may be sent events: by the scope that the core asks for Subscribe, as what the
// hub sends comes from the gateway's own subscription.
absl::Status CheckMayFollow(const Identity& user);

struct ConnectionOptions {
  Protocol protocol = Protocol::kPlain;
  Caller caller;
  // Who it is, where authentication is on and the request already told; an error closes the
  // connection as soon as it is open.
  absl::StatusOr<std::optional<Identity>> user = std::optional<Identity>();
  // There were too many handshakes: it is closed as soon as it is open.
  absl::Duration busy_for = absl::ZeroDuration();
  // What the URL says about where to begin; an error is told after the hello. A stream can say it
  // nowhere else.
  absl::StatusOr<std::optional<Subscribe>> subscribe = std::optional<Subscribe>();
};

// One browser: who it is, its commands, its position in the log, and when it is closed. A stream is
// a browser that has no commands.
//
// Belongs to one thread, that of its hub and transport.
class Connection final : public SocketHandler {
 public:
  // `host` must outlive the connection.
  Connection(ConnectionHost& host, ConnectionOptions options);

  // From the transport.
  void OnOpen(Socket& socket) override;
  void OnText(absl::string_view message) override;
  void OnControl() override;
  void OnDrained() override;
  void OnClosed(uint16_t code) override;

  // From the hub. The recent events now have a desk.
  void OnReady();
  // A block was added to the recent events. Returns how many messages are yet to be counted as
  // sent, so that most connections are counted together.
  int64_t OnAppended(const WholeBlock& block) {
    if (in_hub_) {
      if (const std::optional<int64_t> sent = cursor_.SendWhole(block)) return *sent;
    }
    Pump();
    return 0;
  }
  // Tells the processor that OnAppended will soon touch the connection, and then its socket.
  void Prefetch() const { PrefetchLines(this); }
  void PrefetchSocket() const { PrefetchLines(socket_); }
  // The hub could not go on without a gap, or follows another desk now: the recent events are gone.
  void OnGap(const Gap& gap);
  // See ConnectionHost::Attend.
  bool Tick();
  // Tells how far the connection is, when that is due. `shared` keeps the last frame made, since
  // most connections are equally far.
  struct SharedPosition {
    int64_t up_to = -1;
    Frames frames;
    Frames stream;
  };
  void Beat(absl::Duration now, SharedPosition& shared);
  // What waits to be written.
  size_t queued_bytes() const { return socket_->queued_bytes(); }
  // Goes with an orderly close; the client shall come back.
  void Leave(uint16_t code, absl::string_view reason);

  // Its place among the hub's connections, for the hub alone.
  static constexpr size_t kNoSlot = SIZE_MAX;
  size_t hub_slot = kNoSlot;

 private:
  // So many messages may be refused at once, and a quarter of it a second; then it is a flood, and
  // the connection is closed. Refusals in a row would not tell: between them one gets through.
  static constexpr double kMaxRefusals = 100;

  // A response that waits for its outcome.
  struct Response {
    v1::SubmitResponseRequest request;
    std::string session_id;  // as the client wrote it
    Echo echo;
    // A try may have had its effect although no answer came.
    bool unknown = false;
    // The id is ours: until then it is tried again.
    std::optional<absl::Duration> retry_until;
    absl::Duration backoff;
    absl::Duration next_try;
  };
  using ResponsePtr = std::shared_ptr<Response>;
  // As of which position a response is judged that names no question.
  struct Shown {
    std::string request_id;  // the client's
    std::string desk_id;
    int64_t as_of = 0;
  };

  // The first three cache lines of what is at `start`.
  static void PrefetchLines(const void* start) {
    const char* const bytes = static_cast<const char*>(start);
    for (int i = 0; i < 3; ++i) __builtin_prefetch(bytes + i * 64);
  }

  bool is_stream() const { return options_.protocol == Protocol::kStream; }
  // One message as the protocol has it. A stream that breaks goes on after the last `id` it had.
  Frames Framed(absl::string_view text, absl::string_view id = "") const;
  void SendText(absl::string_view text);
  // Keeps an answer until the hello, which comes first, or closes where it is one too many.
  void HoldAnswer(absl::string_view text);
  void SendError(const absl::Status& status, const Echo& echo);
  void SendHello();

  // Serves at once where nobody has to say who they are, or this one has; else waits for a token.
  void BeginService();
  static uint16_t CloseCodeFor(const absl::Status& status);
  // Serves this user from now on, or closes; false then.
  bool Admit(absl::StatusOr<Identity> user);
  void Handle(const Auth& message, const Echo& echo);
  // False: too many messages come, and this one is refused.
  bool PassesRate(size_t bytes, const Echo& echo);
  bool TakeCommandSlot(const Echo& echo);
  void EndCommand();
  void Handle(Ping, const Echo& echo);
  void Handle(Subscribe subscribe, const Echo& echo);
  void Handle(v1::SubmitResponseRequest request, const Echo& echo);
  void Handle(v1::SendMessageRequest request, const Echo& echo);
  void Handle(v1::CreateTicketRequest request, const Echo& echo);
  void Handle(v1::CancelTicketRequest request, const Echo& echo);
  void Handle(v1::RetryTicketRequest request, const Echo& echo);
  // Asks the core; `then` is called with the result while the connection lives.
  template <typename Request, typename Then>
  void Ask(Request request, Then then);
  // The same for the commands whose ack shows a ticket.
  template <typename Request>
  void AskForTicket(Request request, const Echo& echo);
  void AnswerTicketError(const absl::Status& status, absl::string_view ticket_id, const Echo& echo);
  // The same for a response and its repeats, until it was judged.
  Shown ShownTo(const Uuid& session, const std::string& request_id);
  void Submit(const ResponsePtr& response);
  void OnJudged(ResponsePtr response, absl::StatusOr<v1::SubmitResponseResponse> outcome);
  void RetryOrGiveUp(ResponsePtr response);
  void GiveUp(const Response& response);

  // Once the log is known: all there is counts as seen.
  void CountAsSeen();

  // Subscriptions of the full protocol.
  void Begin(Subscribe subscribe, bool answer);
  void BeginFeed(const SubscribeFrom& from);
  void OnFeed(absl::StatusOr<FeedPart> part);
  // The core has ended the feed with its token.
  void OnFeedTokenEnded();
  void PumpFeed();
  void Answer(int64_t up_to, absl::string_view id = "");
  Frames PositionFrame();
  void FollowHub();
  void Pump();

  // What every event touches comes first: see Prefetch.
  ConnectionHost& host_;
  Socket* socket_ = nullptr;
  bool in_hub_ = false;  // served from the recent events
  EventCursor cursor_;
  const ConnectionOptions options_;
  Caller caller_;
  std::optional<Identity> user_;  // where authentication is on, once it is known
  bool served_ = false;           // gets events and answers
  absl::Duration served_until_ = absl::InfiniteDuration();  // or the end of waiting for a token
  std::optional<LoadLimits::Place> place_;                  // with `user_`
  TokenBucket messages_;
  TokenBucket bytes_;
  TokenBucket refusals_{kMaxRefusals / TokenBucket::kBurstSeconds};
  // Replies hold it weakly, so that one for a connection that is gone goes nowhere.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  bool counted_as_seen_ = false;
  bool hello_sent_ = false;
  std::vector<std::string> held_answers_;
  size_t held_bytes_ = 0;
  absl::Duration held_since_;        // the first of them
  std::optional<Subscribe> wanted_;  // what the client subscribed to
  bool unanswered_ = false;          // `subscribed` is still to be sent
  bool waits_for_desk_ = false;      // begins once the hub has a desk
  std::unique_ptr<Feed> feed_;       // what the recent events do not reach
  absl::Time feed_until_;            // the end of the token that it has
  std::string feed_desk_;            // whose its last part was
  std::optional<FeedPart> part_;     // of the feed, not all of it sent
  size_t part_frames_ = 0;           // frames of its snapshot that were sent
  absl::Duration next_beat_;

  int commands_ = 0;                          // under way
  std::optional<absl::Duration> held_until_;  // broadcasts wait for an ack
  std::vector<ResponsePtr> retries_;
  std::vector<Shown> shown_;  // to whom has not had an outcome, the oldest first
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CONNECTION_H_
