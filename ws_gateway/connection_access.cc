// Who is served by a connection, until when, and how much.

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "ws_gateway/close_code.h"
#include "ws_gateway/connection.h"

namespace agentdesk::gateway {
namespace {

constexpr int kMaxCommands = 64;                           // under way at a time
constexpr absl::Duration kHold = absl::Milliseconds(900);  // with a tick, at most a second
constexpr absl::Duration kAuthenticateWithin = absl::Seconds(10);
constexpr absl::Duration kFullFor = absl::Seconds(30);  // before a refused connection comes back
constexpr absl::Duration kFloodFor = absl::Seconds(5);
constexpr absl::string_view kFollowScope = "events:read";

absl::Status RateLimited(absl::string_view what, absl::Duration wait) {
  return WithDetail(absl::ResourceExhaustedError(what),
                    {.reason = "rate_limited", .field = {}, .retry_after = wait, .metadata = {}});
}

}  // namespace

absl::Status CheckMayFollow(const Identity& user) {
  if (absl::c_linear_search(user.scopes, kFollowScope)) return absl::OkStatus();
  return ErrorWithReason(absl::StatusCode::kPermissionDenied, "missing_scope",
                         absl::StrCat("the events need the scope ", kFollowScope));
}

uint16_t Connection::CloseCodeFor(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kPermissionDenied) return kCloseForbidden;
  return DetailOf(status).reason == kTokenInvalid ? kCloseTokenInvalid : kCloseTokenEnded;
}

void Connection::BeginService() {
  if (host_.authenticator() == nullptr) {
    served_ = true;
    if (host_.recent().known()) OnReady();
  } else if (!options_.user.ok()) {
    Admit(options_.user.status());
  } else if (options_.user->has_value()) {
    Admit(**options_.user);
  } else {
    served_until_ = host_.Monotonic() + kAuthenticateWithin;
  }
}

bool Connection::Admit(absl::StatusOr<Identity> user) {
  absl::Status status = user.status();
  if (status.ok()) status = CheckMayFollow(*user);
  // Requests are remembered for their user, and so is what was shown here.
  if (status.ok() && user_.has_value() &&
      (user->issuer != user_->issuer || user->subject != user_->subject ||
       user->tenant != user_->tenant)) {
    status = absl::PermissionDeniedError("the fresh token is somebody else's");
  }
  if (!status.ok()) {
    Leave(CloseCodeFor(status), status.message());
    return false;
  }
  const bool first = !user_.has_value();
  if (first) place_ = host_.limits().Enter(*user);
  if (!place_.has_value()) {
    Leave(kCloseTooMany, RetryIn("too many connections of this user", kFullFor));
    return false;
  }
  user_ = *std::move(user);
  caller_.actor = user_->subject;
  caller_.user = EncodeIdentity(*user_);
  caller_.user_until = user_->expires_at;
  served_until_ = host_.Monotonic() + (user_->expires_at - host_.WallTime());
  if (first) {
    served_ = true;
    cursor_.RestrictTo(user_->tenant);
    if (host_.recent().known()) OnReady();
  }
  return true;
}

void Connection::Handle(const Auth& message, const Echo& echo) {
  const Authenticator* const authenticator = host_.authenticator();
  if (authenticator == nullptr) {
    return SendText(ErrorMessage(UnknownType(), echo, options_.protocol));
  }
  const bool first = !served_;
  if (!Admit(authenticator->Verify(message.token))) return;
  // The first one is answered by the hello.
  if (!first && options_.protocol == Protocol::kV1) {
    SendText(AuthenticatedAck(caller_.actor, caller_.user_until, echo));
  }
}

bool Connection::PassesRate(size_t bytes, const Echo& echo) {
  const absl::Duration now = host_.Monotonic();
  LoadLimits::Refused& refused = host_.limits().refused();
  std::atomic<int64_t>* count = &refused.messages;
  absl::Duration wait = std::max(messages_.Wait(now), bytes_.Wait(now));
  if (wait == absl::ZeroDuration() && place_.has_value()) {
    count = &refused.user_messages;
    wait = host_.limits().TakeMessage(*place_, bytes);
  }
  if (wait == absl::ZeroDuration()) {
    messages_.Spend(1);
    bytes_.Spend(static_cast<double>(bytes));
    return true;
  }
  // Who has not proved who they are gets nothing, a warning neither.
  if (!served_ || refusals_.Wait(now) > absl::ZeroDuration()) {
    ++refused.floods;
    Leave(kCloseTooMany, RetryIn("too many messages", kFloodFor));
  } else {
    refusals_.Spend(1);
    ++*count;
    SendError(RateLimited(count == &refused.messages ? "too many messages"
                                                     : "too many messages of this user",
                          wait),
              echo);
  }
  return false;
}

bool Connection::TakeCommandSlot(const Echo& echo) {
  if (commands_ >= kMaxCommands) {
    ++host_.limits().refused().commands;
    SendError(RateLimited("too many commands wait for their answer", absl::Seconds(1)), echo);
    return false;
  }
  ++commands_;
  if (options_.protocol == Protocol::kPlain) {
    cursor_.Pause();
    // What waits already does not wait longer for the commands that follow.
    if (!held_until_.has_value()) held_until_ = host_.Monotonic() + kHold;
    host_.Attend(*this);
  }
  return true;
}

void Connection::OnFeedTokenEnded() {
  // A stream of the core ends with the token that it began with, also where a fresh one was shown
  // here meanwhile.
  if (caller_.user_until <= feed_until_) return Leave(kCloseTokenEnded, kTokenRanOut);
  if (cursor_.started()) {
    BeginFeed(
        {.kind = SubscribeFrom::Kind::kAfter, .desk_id = feed_desk_, .after = cursor_.position()});
  } else if (unanswered_) {
    BeginFeed(wanted_->from);
  } else {
    // Of a snapshot a part was sent, to which those of another do not fit.
    Leave(kCloseRestart, "the stream of events cannot go on: resume");
  }
}

}  // namespace agentdesk::gateway
