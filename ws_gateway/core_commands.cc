#include "ws_gateway/core_commands.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
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
// While others wait, a snapshot ends of which one part was not taken for so long, the slowest
// first: who reads faster than the others keeps their place. But not the oldest of them: if
// everyone could be ended, many who come at once over slow links would end each other for ever, and
// nobody would get to the end of a snapshot. As it is, the oldest half gets on, and the rest is for
// who is quick.
constexpr absl::Duration kPartMayWait = absl::Seconds(2);
constexpr size_t kFeedsThatStay = kMaxOpenFeeds / 2;

// What the user is told of the core's answer: where it is the gateway that the core does not let
// in, or the core itself that keeps no scopes, another token of the user's would not help.
absl::Status ForUser(absl::Status status, absl::Time user_until) {
  // What gRPC says of it names addresses, and not what to do.
  if (absl::IsDeadlineExceeded(status) ||
      (absl::IsUnavailable(status) && DetailOf(status).reason == "unavailable")) {
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
  absl::Duration part_since = {};  // when it got that part
  bool resumable = false;
  bool ended = false;

  // Whether the receiver has a part that it cannot pass on yet, and what follows that part has a
  // position of its own, as the middle of a snapshot has not.
  bool stands_still() const { return receiver_has_part && resumable; }

  // Held by the caller: the receiver may end the feed.
  void Take(absl::StatusOr<FeedPart> part) {
    if (part.ok()) {
      receiver_has_part = true;
      part_since = Clock::Real().Monotonic();
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

// Encodes on a thread of the link's, so that no feed holds up the live events, and hands over on
// the shard's. What follows a part is asked for when the shard has had that part, so they stay in
// order.
class FeedConsumer final : public client::EventStream::Consumer {
 public:
  FeedConsumer(CoreLink& link, Shard& shard, std::weak_ptr<FeedState> state,
               const SubscribeFrom& from, absl::Time user_until)
      : link_(link),
        shard_(shard),
        state_(std::move(state)),
        user_until_(user_until),
        snapshot_(from.kind == SubscribeFrom::Kind::kSnapshot),
        position_(from.after) {}

  void OnBatch(std::unique_ptr<v1::SubscribeResponse> batch) override {
    const int64_t up_to = batch->up_to_sequence();
    if (batch->has_snapshot()) {
      snapshot_begun_ = true;
      if (!batch->snapshot().more()) snapshot_ = false;
    }
    if (batch->has_snapshot() || snapshot_) position_ = up_to;
    const int64_t after = std::exchange(position_, up_to);
    const bool posted = link_.feed_work().Post(
        [&shard = shard_, state = state_, after, batch = std::move(batch)]() mutable {
          HandOver(shard, std::move(state), Encode(*batch, after));
        });
    if (!posted) HandOver(shard_, state_, absl::ResourceExhaustedError("too many feeds"));
  }
  void OnInterrupted(const absl::Status& status) override {
    // One too many for the core. Whoever waits here would not know why nothing comes.
    if (absl::IsResourceExhausted(status)) return HandOver(shard_, state_, status);
    // The next attempt would show another state: what was handed over cannot be completed.
    if (snapshot_ && snapshot_begun_) {
      HandOver(shard_, state_, absl::AbortedError(status.message()));
    }
  }
  std::optional<client::StreamStart> OnRefused(const absl::Status& status) override {
    HandOver(shard_, state_, ForUser(status, user_until_));
    return std::nullopt;
  }

  static void HandOver(Shard& shard, std::weak_ptr<FeedState> state,
                       absl::StatusOr<FeedPart> part) {
    shard.Post([state = std::move(state), part = std::move(part)]() mutable {
      if (const std::shared_ptr<FeedState> live = state.lock()) live->Take(std::move(part));
    });
  }

 private:
  static FeedPart Encode(const v1::SubscribeResponse& batch, int64_t after) {
    const int64_t up_to = batch.up_to_sequence();
    FeedPart part;
    if (batch.has_snapshot()) {
      part.snapshot = EncodeSnapshot(batch.snapshot(), up_to, kMaxSnapshotFrame);
      part.snapshot_complete = !batch.snapshot().more();
    }
    part.events = EncodeEvents(batch.desk_id(), after, up_to, batch.events());
    return part;
  }

  CoreLink& link_;
  Shard& shard_;
  const std::weak_ptr<FeedState> state_;
  const absl::Time user_until_;
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
    subscription_.consumer = std::make_unique<FeedConsumer>(commands_.link_, commands_.shard_,
                                                            state_, from, caller_.user_until);
    subscription_.stream = std::make_unique<client::EventStream>(
        commands_.link_.channel(), commands_.link_.completions(), std::move(options),
        *subscription_.consumer);
  }
  // How long the receiver has had a part of a snapshot that it cannot pass on yet.
  absl::Duration SnapshotStandsFor(absl::Duration now) const {
    const bool stands = state_->receiver_has_part && !state_->resumable;
    return stands ? now - state_->part_since : absl::ZeroDuration();
  }
  // Ends, for the sake of those who wait.
  void GiveWay() {
    Leave();
    gave_way_ = true;
    FeedConsumer::HandOver(commands_.shard_, state_,
                           ErrorWithReason(absl::StatusCode::kAborted, "slow_reader",
                                           "others wait for the place that this snapshot takes"));
  }
  // Gives up its stream of the core.
  void Leave() {
    std::deque<CoreFeed*>& open = commands_.open_feeds_;
    open.erase(std::find(open.begin(), open.end(), this));
    // Where too many end at once, this thread waits for its own.
    const bool posted = commands_.link_.feed_work().Post(
        [ending = std::exchange(subscription_, {})]() mutable { ending.stream.reset(); });
    (void)posted;
  }
  bool stands_still() const { return state_->stands_still(); }

  void Next() override {
    state_->receiver_has_part = false;
    if (gave_way_) return;
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
  bool gave_way_ = false;
};

std::unique_ptr<Feed> CoreCommands::Follow(const Caller& caller, const SubscribeFrom& from,
                                           const v1::EventFilter& filter, FeedReceiver receiver) {
  auto feed = std::make_unique<CoreFeed>(*this, caller, from, filter, std::move(receiver));
  BeginFeeds();
  return feed;
}

void CoreCommands::BeginFeeds() {
  while (!waiting_feeds_.empty()) {
    if (open_feeds_.size() >= kMaxOpenFeeds && !MakeRoom()) return;
    CoreFeed* feed = waiting_feeds_.front();
    waiting_feeds_.pop_front();
    feed->Begin();
  }
}

bool CoreCommands::MakeRoom() {
  const auto resumable = std::find_if(open_feeds_.begin(), open_feeds_.end(),
                                      [](const CoreFeed* feed) { return feed->stands_still(); });
  if (resumable != open_feeds_.end()) {
    (*resumable)->Leave();
    return true;
  }
  const absl::Duration now = Clock::Real().Monotonic();
  const auto slowest =
      std::max_element(open_feeds_.begin() + kFeedsThatStay, open_feeds_.end(),
                       [now](const CoreFeed* one, const CoreFeed* other) {
                         return one->SnapshotStandsFor(now) < other->SnapshotStandsFor(now);
                       });
  if ((*slowest)->SnapshotStandsFor(now) < kPartMayWait) return false;
  (*slowest)->GiveWay();
  return true;
}

client::CallLabels CoreCommands::Labels(const Caller& caller) const {
  const std::optional<TraceContext> trace = TraceContext::Parse(caller.traceparent);
  // Who was authenticated may have any name, and metadata must be ASCII.
  return {.actor = caller.user.empty() ? caller.actor : std::string(),
          .via = caller.via,
          .traceparent = trace.has_value() ? trace->ToHeader() : std::string(),
          .token = link_.token(),
          .user = caller.user,
          .client_address = caller.address};
}

// A call that is under way. It ends on the completion thread, and is deleted there.
template <typename Response>
class CoreCommands::CoreCall final : public client::CompletionThread::Operation {
 public:
  CoreCall(CoreLink& link, Shard& shard, Reply<Response> reply, Trail trail, absl::Time user_until)
      : link_(link),
        shard_(shard),
        reply_(std::move(reply)),
        trail_(std::move(trail)),
        user_until_(user_until) {}

  grpc::ClientContext& context() { return context_; }
  void Begin(std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader) {
    reader_ = std::move(reader);
    reader_->StartCall();
    reader_->Finish(&response_, &status_, this);
  }

 private:
  void OnCompleted(bool /*ok*/) override {
    const std::unique_ptr<CoreCall> self(this);
    absl::StatusOr<Response> result = std::move(response_);
    if (!status_.ok()) result = ForUser(client::FromRpc(status_), user_until_);
    trail_.End(result.status(), link_.spans());
    // What the reply holds belongs to the shard's thread: it must not stay here.
    shard_.Post([result = std::move(result), reply = std::move(reply_)]() mutable {
      reply(std::move(result));
    });
    link_.Leave(context_);
  }

  CoreLink& link_;
  Shard& shard_;
  Reply<Response> reply_;
  Trail trail_;
  const absl::Time user_until_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
  Response response_;
  grpc::Status status_;
};

template <typename Request, typename Response, typename Prepare>
void CoreCommands::Start(const Caller& caller, const Request& request, Reply<Response> reply,
                         Prepare prepare) {
  Trail trail(caller, Request::descriptor()->name());
  client::CallLabels labels = Labels(caller);
  labels.traceparent = trail.trace().ToHeader();
  auto call = std::make_unique<CoreCall<Response>>(link_, shard_, std::move(reply),
                                                   std::move(trail), caller.user_until);
  client::PrepareCall(labels, kTimeout, call->context());
  if (!link_.Enter(call->context())) return;  // the shard has stopped
  auto reader = prepare(&call->context(), request, &link_.completions().queue());
  call.release()->Begin(std::move(reader));
}

// One call of a service: `Service` is the link's accessor of its stub.
#define AGENTDESK_DEFINE_CALL(Service, Method)                                    \
  void CoreCommands::Call(const Caller& caller, v1::Method##Request request,      \
                          Reply<v1::Method##Response> reply) {                    \
    Start(caller, request, std::move(reply),                                      \
          [this](auto* context, const auto& message, auto* queue) {               \
            return link_.Service().PrepareAsync##Method(context, message, queue); \
          });                                                                     \
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
