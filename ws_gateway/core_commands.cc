#include "ws_gateway/core_commands.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core_service/base/error.h"
#include "core_service/base/log.h"
#include "core_service/base/trace_context.h"
#include "core_service/client/channel.h"
#include "core_service/client/event_stream.h"
#include "core_service/client/rpc_status.h"

namespace agentdesk::gateway {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(5);
constexpr size_t kMaxOpenFeeds = 128;  // of a shard; each holds a stream of the core
constexpr size_t kMaxSnapshotFrame = 256 * 1024;

// What the user is told of the core's answer: where it is the gateway that the core does not let
// in, or the core itself that keeps no scopes, another token of the user's would not help.
absl::Status ForUser(absl::Status status, absl::Time user_until) {
  // What gRPC says of it names addresses, and not what to do.
  if (absl::IsUnavailable(status) && DetailOf(status).reason == "unavailable") {
    return absl::UnavailableError(
        "the desk cannot be reached: the outcome is unknown, repeat with the same request_id");
  }
  const bool refused = absl::IsUnauthenticated(status) && absl::Now() < user_until;
  const std::string reason = DetailOf(status).reason;
  if (!refused && reason != "not_a_gateway" && reason != "authentication_off") return status;
  LogError("the core takes no calls of this gateway", {{"status", status}});
  return absl::UnavailableError("the desk cannot be reached: it takes no calls of this gateway");
}
// What a call leaves behind for whoever looks after it: a line at debug and a span, under a trace
// id that goes with it to the core. The trace is the browser's, or a new one.
class Trail {
 public:
  Trail() = default;
  Trail(const Caller& caller, absl::string_view request_name)
      : call_(absl::StripSuffix(request_name, "Request")), via_(caller.via), began_(absl::Now()) {
    const std::optional<TraceContext> parent = TraceContext::Parse(caller.traceparent);
    if (parent.has_value()) parent_span_id_ = parent->span_id;
    trace_ = parent.has_value() ? parent->Child(IdSource::Real(), began_)
                                : TraceContext::New(IdSource::Real(), began_);
  }

  const TraceContext& trace() const { return trace_; }

  void End(const absl::Status& status, SpanExporter* spans) {
    const absl::Time now = absl::Now();
    if (IsDebugLogged()) {
      LogDebug("call of the core", {{"call", call_},
                                    {"code", absl::StatusCodeToString(status.code())},
                                    {"via", via_},
                                    {"ms", absl::ToDoubleMilliseconds(now - began_)},
                                    {"trace_id", trace_.trace_id}});
    }
    if (spans == nullptr) return;
    Span span;
    span.context = trace_;
    span.parent_span_id = parent_span_id_;
    span.name = call_;
    span.kind = Span::Kind::kClient;
    span.start = began_;
    span.end = now;
    span.failed = !status.ok();
    span.attributes = {{"rpc.system", "grpc"}, {"agentdesk.via", via_}};
    spans->Export(std::move(span));
  }

 private:
  std::string call_;
  std::string via_;
  absl::Time began_;
  std::string parent_span_id_;
  TraceContext trace_;
};

// What a feed shares with the tasks that are posted for it. Belongs to the shard's thread; the
// tasks hold it weakly.
struct FeedState {
  FeedReceiver receiver;
  SubscribeFrom from;  // where the feed's stream began, or would begin again
  absl::AnyInvocable<void()> on_standstill;
  bool receiver_has_part = false;
  bool resumable = false;
  bool ended = false;

  // Whether the receiver has a part that it cannot pass on yet, and what follows that part has a
  // position of its own, as the middle of a snapshot has not.
  bool stands_still() const { return receiver_has_part && resumable; }

  // Held by the caller: the receiver may end the feed.
  void Take(absl::StatusOr<FeedPart> part) {
    if (part.ok()) {
      receiver_has_part = true;
      resumable = from.kind == SubscribeFrom::Kind::kAfter || part->snapshot_complete;
      if (resumable) {
        from = {.kind = SubscribeFrom::Kind::kAfter,
                .desk_id = part->events->desk_id,
                .after = part->events->up_to};
      }
    }
    receiver(std::move(part));
    if (!ended && stands_still()) on_standstill();
  }
};

// Encodes on gRPC's thread and hands over on the shard's.
class FeedConsumer final : public client::EventStream::Consumer {
 public:
  FeedConsumer(Shard& shard, std::weak_ptr<FeedState> state, const SubscribeFrom& from)
      : shard_(shard),
        state_(std::move(state)),
        snapshot_(from.kind == SubscribeFrom::Kind::kSnapshot),
        position_(from.after) {}

  void OnBatch(std::unique_ptr<v1::SubscribeResponse> batch) override {
    FeedPart part;
    const int64_t up_to = batch->up_to_sequence();
    if (batch->has_snapshot()) {
      snapshot_begun_ = true;
      part.snapshot = EncodeSnapshot(batch->snapshot(), up_to, kMaxSnapshotFrame);
      part.snapshot_complete = !batch->snapshot().more();
      if (part.snapshot_complete) snapshot_ = false;
    }
    if (batch->has_snapshot() || snapshot_) position_ = up_to;
    part.events = EncodeEvents(batch->desk_id(), position_, up_to, batch->events());
    position_ = up_to;
    HandOver(std::move(part));
  }
  void OnInterrupted(const absl::Status& status) override {
    // The next attempt would show another state: what was handed over cannot be completed.
    if (snapshot_ && snapshot_begun_) HandOver(absl::AbortedError(status.message()));
  }
  std::optional<client::StreamStart> OnRefused(const absl::Status& status) override {
    HandOver(status);
    return std::nullopt;
  }

 private:
  void HandOver(absl::StatusOr<FeedPart> part) {
    shard_.Post([state = state_, part = std::move(part)]() mutable {
      if (const std::shared_ptr<FeedState> live = state.lock()) live->Take(std::move(part));
    });
  }

  Shard& shard_;
  const std::weak_ptr<FeedState> state_;
  bool snapshot_;  // not complete yet
  bool snapshot_begun_ = false;
  int64_t position_;
};

// A stream and what it calls; the stream ends first.
struct Subscription {
  std::unique_ptr<FeedConsumer> consumer;
  std::unique_ptr<client::EventStream> stream;
};

}  // namespace

class CoreCommands::CoreFeed final : public Feed {
 public:
  CoreFeed(CoreCommands& commands, const Caller& caller, SubscribeFrom from, v1::EventFilter filter,
           FeedReceiver receiver)
      : commands_(commands),
        caller_(caller),
        filter_(std::move(filter)),
        state_(std::make_shared<FeedState>(FeedState{
            .receiver = std::move(receiver), .from = std::move(from), .on_standstill = [&commands] {
              commands.BeginFeeds();
            }})) {
    commands_.waiting_feeds_.push_back(this);
  }
  ~CoreFeed() override {
    state_->ended = true;
    state_.reset();
    std::deque<CoreFeed*>& waiting = commands_.waiting_feeds_;
    waiting.erase(std::remove(waiting.begin(), waiting.end(), this), waiting.end());
    if (subscription_.stream == nullptr) return;
    Leave();
    commands_.BeginFeeds();
  }

  void Begin() {
    commands_.open_feeds_.push_back(this);
    const SubscribeFrom& from = state_->from;
    client::EventStreamOptions options;
    options.start.kind = from.kind == SubscribeFrom::Kind::kSnapshot
                             ? client::StreamStart::Kind::kSnapshot
                             : client::StreamStart::Kind::kAfter;
    options.start.after = {from.desk_id, from.after};
    options.filter = filter_;
    options.labels = commands_.Labels(caller_);
    subscription_.consumer = std::make_unique<FeedConsumer>(commands_.shard_, state_, from);
    subscription_.stream = std::make_unique<client::EventStream>(
        commands_.link_.channel(), std::move(options), *subscription_.consumer);
  }
  // Gives up its stream of the core.
  void Leave() {
    std::deque<CoreFeed*>& open = commands_.open_feeds_;
    open.erase(std::find(open.begin(), open.end(), this));
    // Where too many end at once, this thread waits for its own.
    const bool posted = commands_.link_.endings().Post(
        [ending = std::exchange(subscription_, {})]() mutable { ending.stream.reset(); });
    (void)posted;
  }
  bool stands_still() const { return state_->stands_still(); }

  void Next() override {
    state_->receiver_has_part = false;
    if (subscription_.stream != nullptr) return subscription_.stream->Next();
    commands_.waiting_feeds_.push_back(this);
    commands_.BeginFeeds();
  }

 private:
  CoreCommands& commands_;
  const Caller caller_;
  const v1::EventFilter filter_;
  std::shared_ptr<FeedState> state_;
  Subscription subscription_;
};

std::unique_ptr<Feed> CoreCommands::Follow(const Caller& caller, const SubscribeFrom& from,
                                           const v1::EventFilter& filter, FeedReceiver receiver) {
  auto feed = std::make_unique<CoreFeed>(*this, caller, from, filter, std::move(receiver));
  BeginFeeds();
  return feed;
}

void CoreCommands::BeginFeeds() {
  while (!waiting_feeds_.empty()) {
    if (open_feeds_.size() >= kMaxOpenFeeds) {
      const auto slow = std::find_if(open_feeds_.begin(), open_feeds_.end(),
                                     [](const CoreFeed* feed) { return feed->stands_still(); });
      if (slow == open_feeds_.end()) return;
      (*slow)->Leave();
    }
    CoreFeed* feed = waiting_feeds_.front();
    waiting_feeds_.pop_front();
    feed->Begin();
  }
}

client::CallLabels CoreCommands::Labels(const Caller& caller) const {
  // Who was authenticated may have any name, and metadata must be ASCII.
  return {.actor = caller.user.empty() ? caller.actor : std::string(),
          .via = caller.via,
          .traceparent = caller.traceparent,
          .token = link_.token(),
          .user = caller.user,
          .client_address = caller.address};
}

template <typename Request, typename Response, typename Begin>
void CoreCommands::Start(const Caller& caller, Request request, Reply<Response> reply,
                         Begin begin) {
  struct State {
    Trail trail;
    grpc::ClientContext context;
    Request request;
    Response response;
    Reply<Response> reply;
  };
  auto state = std::make_shared<State>();
  state->request = std::move(request);
  state->reply = std::move(reply);
  state->trail = Trail(caller, Request::descriptor()->name());
  client::CallLabels labels = Labels(caller);
  labels.traceparent = state->trail.trace().ToHeader();
  client::PrepareCall(labels, kTimeout, state->context);
  if (!link_.Enter(state->context)) return;  // the shard has stopped
  begin(state->context, state->request, state->response,
        [&link = link_, &shard = shard_, state,
         user_until = caller.user_until](const grpc::Status& status) {
          absl::StatusOr<Response> result = std::move(state->response);
          if (!status.ok()) result = ForUser(client::FromRpc(status), user_until);
          state->trail.End(result.status(), link.spans());
          // What the reply holds belongs to the shard's thread: it must not stay in `state`.
          shard.Post([result = std::move(result), reply = std::move(state->reply)]() mutable {
            reply(std::move(result));
          });
          link.Leave(state->context);
        });
}

// One call of a service: `Service` is the link's accessor of its stub.
#define AGENTDESK_DEFINE_CALL(Service, Method)                                     \
  void CoreCommands::Call(const Caller& caller, v1::Method##Request request,       \
                          Reply<v1::Method##Response> reply) {                     \
    Start(caller, std::move(request), std::move(reply),                            \
          [this](auto& context, auto& in, auto& out, auto done) {                  \
            link_.Service().async()->Method(&context, &in, &out, std::move(done)); \
          });                                                                      \
  }

AGENTDESK_DEFINE_CALL(tickets, CreateTicket)
AGENTDESK_DEFINE_CALL(tickets, GetTicket)
AGENTDESK_DEFINE_CALL(tickets, ListTickets)
AGENTDESK_DEFINE_CALL(tickets, CancelTicket)
AGENTDESK_DEFINE_CALL(tickets, RetryTicket)
AGENTDESK_DEFINE_CALL(tickets, GetJob)
AGENTDESK_DEFINE_CALL(sessions, GetSession)
AGENTDESK_DEFINE_CALL(sessions, ListQuestions)
AGENTDESK_DEFINE_CALL(sessions, GetQuestion)
AGENTDESK_DEFINE_CALL(sessions, SubmitResponse)
AGENTDESK_DEFINE_CALL(sessions, SendMessage)
AGENTDESK_DEFINE_CALL(events, ListEvents)

#undef AGENTDESK_DEFINE_CALL

}  // namespace agentdesk::gateway
