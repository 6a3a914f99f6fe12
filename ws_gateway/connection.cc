#include "ws_gateway/connection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "ws_gateway/close_code.h"
#include "ws_gateway/resource_json.h"

namespace agentdesk::gateway {
namespace {

constexpr absl::Duration kRetryFor = absl::Seconds(10);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackoff = absl::Seconds(1);
// When the client of a stream comes back: not all at the same moment.
constexpr absl::Duration kRetryAfter = absl::Seconds(1);
constexpr absl::Duration kRetrySpread = absl::Seconds(2);
// When a client comes back whose stream was one too many for the core, where the core does not say.
constexpr absl::Duration kStreamsFullFor = absl::Seconds(5);
// While there is no desk there is no hello, and an answer has to wait for it: so long, and so many.
constexpr absl::Duration kHoldAnswersFor = absl::Seconds(10);
constexpr size_t kMaxHeldAnswers = 64;
constexpr size_t kMaxHeldBytes = 64 * 1024;
constexpr absl::string_view kNoDesk = "the desk cannot be reached";
constexpr absl::Duration kNoDeskFor = absl::Seconds(5);
// Responses of a connection whose repeats are judged as of what was shown at first, and the longest
// request id of one: the core takes none that is longer.
constexpr size_t kMaxShown = 64;
constexpr size_t kMaxRequestId = 128;
constexpr absl::string_view kUnavailable =
    "the desk cannot be reached: the outcome is unknown, repeat with the same request_id";

bool IsUnreachable(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kCancelled;
}

// An error of the core in the words of the socket.
absl::Status ForSocket(const absl::Status& status) {
  ErrorDetail detail = DetailOf(status);
  if (detail.reason == "invalid_argument") detail.reason = "invalid_message";
  return WithDetail(status, detail);
}

}  // namespace

Connection::Connection(ConnectionHost& host, ConnectionOptions options)
    : host_(host),
      cursor_(host.recent(), options.protocol),
      options_(std::move(options)),
      caller_(options_.caller),
      messages_(static_cast<double>(host.limits().options().messages_per_second)),
      bytes_(static_cast<double>(host.limits().options().bytes_per_second)) {}

void Connection::OnOpen(Socket& socket) {
  socket_ = &socket;
  host_.metrics().Opened(options_.protocol);
  if (is_stream()) {
    const double spread = host_.Fraction() * absl::ToDoubleMilliseconds(kRetrySpread);
    socket_->Send(OwnFrames(absl::StrCat(
        "retry: ", absl::ToInt64Milliseconds(kRetryAfter) + static_cast<int64_t>(spread), "\n\n")));
  }
  if (host_.draining()) return Leave(kCloseRestart, kRestarts);
  if (options_.busy_for > absl::ZeroDuration()) {
    return Leave(kCloseBusy, RetryIn("too many handshakes", options_.busy_for));
  }
  host_.Add(*this);
  cursor_.Open(socket, 0);
  if (host_.recent().known()) CountAsSeen();
  next_beat_ = host_.Monotonic() + kHeartbeat - absl::Seconds(1);
  BeginService();
}

void Connection::OnClosed(uint16_t code) {
  alive_.reset();
  feed_.reset();
  if (socket_ == nullptr) return;
  host_.metrics().Closed(options_.protocol, code);
  host_.Remove(*this);
  socket_ = nullptr;
}

Frames Connection::Framed(absl::string_view text, absl::string_view id) const {
  if (!is_stream()) return MakeFrame(text);
  std::string bytes;
  AppendServerSentEvent(id, text, bytes);
  return OwnFrames(std::move(bytes));
}

void Connection::SendText(absl::string_view text) {
  if (options_.protocol == Protocol::kV1 && !hello_sent_) return HoldAnswer(text);
  host_.metrics().Sent(1);
  socket_->Send(Framed(text));
}

void Connection::HoldAnswer(absl::string_view text) {
  if (held_answers_.empty()) held_since_ = host_.Monotonic();
  held_bytes_ += text.size();
  if (held_answers_.size() == kMaxHeldAnswers || held_bytes_ > kMaxHeldBytes) {
    return Leave(kCloseBusy, RetryIn(kNoDesk, kNoDeskFor));
  }
  held_answers_.emplace_back(text);
}

void Connection::SendError(const absl::Status& status, const Echo& echo) {
  SendText(ErrorMessage(ForSocket(status), echo, options_.protocol));
}

void Connection::SendHello() {
  hello_sent_ = true;
  SendText(HelloMessage({.desk_id = host_.recent().desk_id(),
                         .sequence = host_.recent().head(),
                         .user = caller_.actor,
                         .user_until = caller_.user_until,
                         .heartbeat = kHeartbeat,
                         .body_bytes = host_.limits().options().http_body_bytes,
                         .time = host_.Now()}));
  for (const std::string& answer : std::exchange(held_answers_, {})) SendText(answer);
}

// At first a browser counts as having seen all there was when it came, or when the desk was found;
// not what came to be before it could be sent anything.
void Connection::CountAsSeen() {
  if (!std::exchange(counted_as_seen_, true)) cursor_.Reopen(host_.recent().head());
}

void Connection::OnReady() {
  CountAsSeen();
  if (!served_) return;
  if (options_.protocol == Protocol::kPlain) {
    if (!cursor_.started()) FollowHub();
    return;
  }
  if (!hello_sent_) {
    SendHello();
    if (!options_.subscribe.ok()) {
      SendError(WithDetail(options_.subscribe.status(), {.reason = "invalid_message",
                                                         .field = {},
                                                         .retry_after = std::nullopt,
                                                         .metadata = {}}),
                {});
    } else if (options_.subscribe->has_value() && !wanted_.has_value()) {
      return Begin(**options_.subscribe, true);
    }
  }
  if (waits_for_desk_) Begin(*wanted_, unanswered_);
}

void Connection::OnText(absl::string_view text) {
  host_.metrics().Received();
  ClientMessage message = ParseClientMessage(text, options_.protocol);
  if (!served_ && !(message.status.ok() && std::holds_alternative<Auth>(message.command))) {
    return Leave(kCloseTokenEnded, "the first message must be of type auth, with a token");
  }
  if (!PassesRate(text.size(), message.echo)) return;
  if (!message.status.ok())
    return SendText(ErrorMessage(message.status, message.echo, options_.protocol));
  std::visit(
      [&](auto&& command) { Handle(std::forward<decltype(command)>(command), message.echo); },
      std::move(message.command));
}

// It costs what a short message costs.
void Connection::OnControl() { PassesRate(0, {}); }

void Connection::Handle(Ping, const Echo& /*echo*/) { SendText(PongMessage()); }

void Connection::EndCommand() {
  --commands_;
  if (commands_ > 0 || !held_until_.has_value()) return;
  held_until_.reset();
  cursor_.Resume();
  Pump();
}

template <typename Request, typename Then>
void Connection::Ask(Request request, Then then) {
  host_.commands().Call(
      caller_, std::move(request),
      [alive = std::weak_ptr<bool>(alive_), then = std::move(then)](auto result) mutable {
        if (!alive.expired()) then(std::move(result));
      });
}

Connection::Shown Connection::ShownTo(const Uuid& session, const std::string& request_id) {
  const auto first = std::find_if(shown_.begin(), shown_.end(), [&](const Shown& shown) {
    return shown.request_id == request_id;
  });
  if (first != shown_.end()) return *first;
  Shown shown{request_id, host_.recent().desk_id(), cursor_.ShownAsOf(session)};
  if (!request_id.empty() && request_id.size() <= kMaxRequestId) {
    if (shown_.size() == kMaxShown) shown_.erase(shown_.begin());
    shown_.push_back(shown);
  }
  return shown;
}

void Connection::Handle(v1::SubmitResponseRequest request, const Echo& echo) {
  const std::optional<Uuid> session = Uuid::Parse(request.session_id());
  if (!session.has_value()) {
    return SendText(
        UnknownSessionAck(request.session_id(), host_.recent().head(), echo, options_.protocol));
  }
  // What was shown is a position in a log, and perhaps none is known yet. One found out later might
  // lie behind a question that was never shown.
  const bool judged_as_of = request.question_id().empty();
  std::optional<Shown> shown;
  if (judged_as_of && host_.recent().known()) shown = ShownTo(*session, request.request_id());
  if (!TakeCommandSlot(echo)) return;
  auto response = std::make_shared<Response>();
  response->session_id = request.session_id();
  response->echo = echo;
  response->backoff = kFirstBackoff;
  response->request = std::move(request);
  response->request.set_session_id(session->ToString());
  if (judged_as_of) {
    if (!shown.has_value()) return GiveUp(*response);
    response->request.set_desk_id(shown->desk_id);
    response->request.set_as_of_sequence(shown->as_of);
  } else {
    // What is no id is sent as one that no question has, so that the core's order of judging holds.
    response->request.set_question_id(
        Uuid::Parse(response->request.question_id()).value_or(Uuid{}).ToString());
  }
  if (response->request.request_id().empty()) {
    response->request.set_request_id(host_.NewUuid().ToString());
    response->retry_until = host_.Monotonic() + kRetryFor;
  }
  Submit(response);
}

void Connection::Submit(const ResponsePtr& response) {
  const v1::SubmitResponseRequest request = response->request;
  Ask(request, [this, response](absl::StatusOr<v1::SubmitResponseResponse> outcome) {
    OnJudged(response, std::move(outcome));
  });
}

void Connection::OnJudged(ResponsePtr response,
                          absl::StatusOr<v1::SubmitResponseResponse> outcome) {
  if (IsUnreachable(outcome.status())) {
    response->unknown = true;
    return RetryOrGiveUp(std::move(response));
  }
  // The core refuses for load before it looks whether it knows the request.
  if (response->unknown && absl::IsResourceExhausted(outcome.status())) {
    return RetryOrGiveUp(std::move(response));
  }
  // Another desk is there now, or this one lost what was shown: the stream will tell of it.
  if (absl::IsOutOfRange(outcome.status())) return GiveUp(*response);
  if (outcome.ok()) {
    // The core remembers it from now on.
    shown_.erase(std::remove_if(shown_.begin(), shown_.end(),
                                [&](const Shown& shown) {
                                  return shown.request_id == response->request.request_id();
                                }),
                 shown_.end());
    SendText(ResponseAck(response->session_id, *outcome, response->echo, options_.protocol));
  } else if (absl::IsPermissionDenied(outcome.status())) {
    SendText(OutcomeAck(response->session_id, "forbidden", outcome.status().message(), 0,
                        response->echo, options_.protocol));
  } else {
    SendError(outcome.status(), response->echo);
  }
  EndCommand();
}

void Connection::RetryOrGiveUp(ResponsePtr response) {
  const absl::Duration now = host_.Monotonic();
  response->next_try = now + response->backoff;
  if (response->retry_until.has_value() && response->next_try < *response->retry_until) {
    response->backoff = std::min(response->backoff * 2, kMaxBackoff);
    retries_.push_back(std::move(response));
    host_.Attend(*this);
    return;
  }
  GiveUp(*response);
}

void Connection::GiveUp(const Response& response) {
  SendText(OutcomeAck(response.session_id, "unavailable", kUnavailable, 0, response.echo,
                      options_.protocol));
  EndCommand();
}

void Connection::Handle(v1::SendMessageRequest request, const Echo& echo) {
  const std::string session_id = request.session_id();
  const std::optional<Uuid> session = Uuid::Parse(session_id);
  if (!session.has_value()) {
    return SendText(UnknownSessionAck(session_id, host_.recent().head(), echo, options_.protocol));
  }
  if (!TakeCommandSlot(echo)) return;
  request.set_session_id(session->ToString());
  Ask(std::move(request), [this, session_id, echo](absl::StatusOr<v1::SendMessageResponse> sent) {
    const absl::Status status = sent.status();
    absl::string_view outcome;
    if (status.code() == absl::StatusCode::kNotFound) outcome = "unknown_session";
    if (DetailOf(status).reason == "session_closed") outcome = "session_closed";
    if (IsUnreachable(status)) outcome = "unavailable";
    if (absl::IsPermissionDenied(status)) outcome = "forbidden";
    if (sent.ok()) {
      SendText(MessageAck(session_id, sent->sequence(), echo));
    } else if (!outcome.empty()) {
      SendText(OutcomeAck(session_id, outcome,
                          outcome == "unavailable" ? kUnavailable : status.message(), 0, echo,
                          options_.protocol));
    } else {
      SendError(status, echo);
    }
    EndCommand();
  });
}

void Connection::AnswerTicketError(const absl::Status& status, absl::string_view ticket_id,
                                   const Echo& echo) {
  if (IsUnreachable(status)) {
    SendText(TicketAckMessage({.ticket_id = std::string(ticket_id),
                               .job_id = {},
                               .status = "unavailable",
                               .message = std::string(kUnavailable),
                               .sequence = 0},
                              echo));
  } else {
    SendError(status, echo);
  }
}

template <typename Request>
void Connection::AskForTicket(Request request, const Echo& echo) {
  if (!TakeCommandSlot(echo)) return;
  const std::string ticket_id = request.ticket_id();
  Ask(std::move(request), [this, ticket_id, echo](auto done) {
    if (done.ok()) {
      const v1::Ticket& ticket = done->ticket();
      SendText(TicketAckMessage({.ticket_id = ticket.ticket_id(),
                                 .job_id = ticket.job_id(),
                                 .status = std::string(StatusWord(ticket.status())),
                                 .message = {},
                                 .sequence = done->sequence()},
                                echo));
    } else {
      AnswerTicketError(done.status(), ticket_id, echo);
    }
    EndCommand();
  });
}

void Connection::Handle(v1::CreateTicketRequest request, const Echo& echo) {
  AskForTicket(std::move(request), echo);
}

void Connection::Handle(v1::CancelTicketRequest request, const Echo& echo) {
  AskForTicket(std::move(request), echo);
}

void Connection::Handle(v1::RetryTicketRequest request, const Echo& echo) {
  AskForTicket(std::move(request), echo);
}

bool Connection::Tick() {
  const absl::Duration now = host_.Monotonic();
  if (held_until_.has_value() && now >= *held_until_) {
    held_until_.reset();
    cursor_.Resume();
    Pump();
  }
  std::vector<ResponsePtr> due;
  const auto first_due = std::stable_partition(
      retries_.begin(), retries_.end(),
      [now](const ResponsePtr& response) { return response->next_try > now; });
  std::move(first_due, retries_.end(), std::back_inserter(due));
  retries_.erase(first_due, retries_.end());
  for (const ResponsePtr& response : due) Submit(response);
  return held_until_.has_value() || !retries_.empty();
}

void Connection::Handle(Subscribe subscribe, const Echo& /*echo*/) {
  Begin(std::move(subscribe), true);
}

void Connection::Begin(Subscribe subscribe, bool answer) {
  feed_.reset();
  part_.reset();
  part_frames_ = 0;
  in_hub_ = false;
  cursor_.Stop();
  wanted_ = std::move(subscribe);
  unanswered_ = answer;
  const RecentEvents& recent = host_.recent();
  waits_for_desk_ = !recent.known();
  if (waits_for_desk_) return;
  const SubscribeFrom& from = wanted_->from;
  if (from.kind == SubscribeFrom::Kind::kLive) {
    cursor_.Start(recent.head(), EntryFilter(wanted_->filter));
    // The client of a stream has no position yet, and would lose what comes while it is away.
    Answer(recent.head(), StreamPosition(recent.desk_id(), recent.head()));
    return FollowHub();
  }
  const bool same_desk =
      from.desk_id == recent.desk_id() || (from.desk_id.empty() && from.after == 0);
  if (from.kind == SubscribeFrom::Kind::kAfter && same_desk && recent.Reaches(from.after) &&
      from.after <= recent.head()) {
    cursor_.Reopen(from.after);
    cursor_.Start(from.after, EntryFilter(wanted_->filter));
    Answer(from.after);
    return FollowHub();
  }
  // The client says itself what it has seen; of another log that tells nothing about this one.
  if (from.kind == SubscribeFrom::Kind::kAfter) cursor_.Reopen(same_desk ? from.after : 0);
  BeginFeed(from);
}

void Connection::BeginFeed(const SubscribeFrom& from) {
  SubscribeFrom start = from;
  if (start.kind == SubscribeFrom::Kind::kAfter && (start.after != 0 || !start.desk_id.empty())) {
    // A position without a desk, or with something that is no desk's id, is another desk's: the nil
    // id, which no desk has, gets the core to say so and what can be served.
    start.desk_id = Uuid::Parse(start.desk_id).value_or(Uuid{}).ToString();
  }
  feed_until_ = caller_.user_until;
  feed_ = host_.commands().Follow(
      caller_, start, wanted_->filter,
      [this, alive = std::weak_ptr<bool>(alive_)](absl::StatusOr<FeedPart> part) {
        if (!alive.expired()) OnFeed(std::move(part));
      });
}

void Connection::OnFeed(absl::StatusOr<FeedPart> part) {
  if (part.ok()) {
    part_ = *std::move(part);
    part_frames_ = 0;
    feed_desk_ = part_->events->desk_id;
    return PumpFeed();
  }
  feed_.reset();
  part_.reset();
  const absl::Status& status = part.status();
  if (status.code() == absl::StatusCode::kOutOfRange) {
    Gap gap = GapOf(status);
    if (gap.desk_id.empty()) gap.desk_id = host_.recent().desk_id();
    SendText(GapMessage(gap));
    // Else it is this log that the client has seen, as far as it said.
    if (gap.reason != "compacted") cursor_.Reopen(0);
    Begin({{.kind = SubscribeFrom::Kind::kSnapshot, .desk_id = {}, .after = 0}, wanted_->filter},
          unanswered_);
  } else if (status.code() == absl::StatusCode::kInvalidArgument) {
    SendError(status, {});
  } else if (absl::IsUnauthenticated(status) && CloseCodeFor(status) == kCloseTokenEnded) {
    OnFeedTokenEnded();
  } else if (absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status)) {
    Leave(CloseCodeFor(status), status.message());
  } else if (absl::IsResourceExhausted(status)) {
    Leave(kCloseTooMany,
          RetryIn("too many streams", DetailOf(status).retry_after.value_or(kStreamsFullFor)));
  } else if (absl::IsAborted(status) && DetailOf(status).reason == "slow_reader") {
    Leave(kCloseTooSlow, kReadTooSlowly);
  } else {
    Leave(kCloseRestart, "the stream of events cannot go on: resume");
  }
}

void Connection::PumpFeed() {
  while (part_.has_value()) {
    FeedPart& part = *part_;
    const int64_t up_to = part.events->up_to;
    const bool snapshot = wanted_->from.kind == SubscribeFrom::Kind::kSnapshot;
    if (unanswered_ && !(snapshot && part.snapshot.empty())) {
      Answer(snapshot ? up_to : wanted_->from.after);
    }
    for (; part_frames_ < part.snapshot.size(); ++part_frames_) {
      // The next one waits here, where it does not grow old, until there is little before it.
      if (socket_->queued_bytes() >= kMaxSnapshotFrame) return;
      host_.metrics().Sent(1);
      const bool last = part_frames_ + 1 == part.snapshot.size() && part.snapshot_complete;
      Frames frames = std::move(part.snapshot[part_frames_]);
      if (is_stream()) {
        frames = Framed(FirstPayload(frames.bytes),
                        last ? StreamPosition(part.events->desk_id, up_to) : std::string());
      }
      if (last && EntryFilter(wanted_->filter).matches_all()) {
        cursor_.SendState(frames, up_to);
      } else {
        socket_->Send(frames);
      }
    }
    if (!cursor_.started() && (!snapshot || part.snapshot_complete)) {
      if (!snapshot) cursor_.Reopen(wanted_->from.after);
      cursor_.Start(snapshot ? up_to : wanted_->from.after, EntryFilter(wanted_->filter));
    }
    if (cursor_.started()) {
      const bool all = cursor_.Send(*part.events);
      host_.metrics().Sent(cursor_.TakeSent());
      if (!all) return;
      const RecentEvents& recent = host_.recent();
      if (recent.known() && recent.desk_id() == part.events->desk_id &&
          recent.Reaches(cursor_.position())) {
        feed_.reset();
        part_.reset();
        return FollowHub();
      }
    }
    part_.reset();
    feed_->Next();
  }
}

void Connection::Answer(int64_t up_to, absl::string_view id) {
  if (unanswered_) socket_->Send(Framed(SubscribedMessage(up_to), id));
  unanswered_ = false;
}

void Connection::FollowHub() {
  if (!cursor_.started()) cursor_.Start(host_.recent().head(), EntryFilter());
  in_hub_ = true;
  Pump();
}

void Connection::Pump() {
  if (!in_hub_) return;
  const bool reached = cursor_.Pump();
  host_.metrics().Sent(cursor_.TakeSent());
  if (reached) return;
  in_hub_ = false;
  cursor_.Stop();
  Leave(kCloseTooSlow, kReadTooSlowly);
}

void Connection::OnDrained() {
  Pump();
  PumpFeed();
}

void Connection::OnGap(const Gap& gap) {
  if (!served_) {
    counted_as_seen_ = false;
    return;
  }
  if (options_.protocol == Protocol::kPlain) {
    in_hub_ = false;
    return Leave(kCloseRestart, "the desk has changed");
  }
  cursor_.Reopen(0);
  shown_.clear();  // positions in another log, by which nothing can be judged here
  if (!wanted_.has_value()) {
    // Its hello named a desk that is no longer there.
    if (hello_sent_) Leave(kCloseRestart, "the desk has changed");
    return;
  }
  if (unanswered_) return Begin(*wanted_, true);
  SendText(GapMessage(gap));
  Begin({{.kind = SubscribeFrom::Kind::kSnapshot, .desk_id = {}, .after = 0}, wanted_->filter},
        false);
}

Frames Connection::PositionFrame() {
  // Before its first events a connection may see nothing, so that all of it up to any point was
  // sent; 0 is the one point that a client cannot take for a reason to skip events.
  const int64_t up_to = cursor_.started() ? cursor_.position() : 0;
  // While a feed serves it, the position may be of another desk than the hub's.
  const std::string id = in_hub_ ? StreamPosition(host_.recent().desk_id(), up_to) : std::string();
  return Framed(PositionMessage(up_to, host_.Now()), id);
}

void Connection::Beat(absl::Duration now, SharedPosition& shared) {
  if (now >= served_until_) {
    return Leave(kCloseTokenEnded, served_ ? kTokenRanOut : "no token came within 10 s");
  }
  if (!held_answers_.empty() && now - held_since_ >= kHoldAnswersFor) {
    return Leave(kCloseBusy, RetryIn(kNoDesk, kNoDeskFor));
  }
  if (options_.protocol == Protocol::kPlain || !hello_sent_ || now < next_beat_) return;
  next_beat_ = now + kHeartbeat - absl::Seconds(1);
  host_.metrics().Sent(1);
  if (!in_hub_) return socket_->Send(PositionFrame());
  if (shared.up_to != cursor_.position()) {
    shared = {.up_to = cursor_.position(), .frames = {}, .stream = {}};
  }
  Frames& frames = is_stream() ? shared.stream : shared.frames;
  if (frames.bytes.empty()) frames = PositionFrame();
  socket_->Send(frames);
}

void Connection::Leave(uint16_t code, absl::string_view reason) {
  if (hello_sent_) socket_->Send(PositionFrame());
  socket_->Close(code, reason, /*drop_queue=*/code == kCloseTooSlow);
}

}  // namespace agentdesk::gateway
