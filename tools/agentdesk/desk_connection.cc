#include "tools/agentdesk/desk_connection.h"

#include <algorithm>
#include <utility>

#include "core_service/base/clock.h"
#include "core_service/base/error.h"
#include "core_service/base/uuid.h"
#include "core_service/client/rpc_status.h"

namespace agentdesk::cli {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kRetryFor = absl::Seconds(10);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackoff = absl::Seconds(1);

void Pause(absl::Duration pause) {
  Mutex mutex;
  Condition never;
  Clock& clock = Clock::Real();
  const absl::Duration until = clock.Monotonic() + pause;
  MutexLock lock(mutex);
  while (clock.Monotonic() < until) clock.WaitUntil(never, mutex, until);
}

}  // namespace

DeskConnection::DeskConnection(const std::string& target, const std::string& actor,
                               std::shared_ptr<client::BearerToken> token, client::CoreTls tls)
    : target_(target),
      labels_({.actor = actor, .via = "", .traceparent = "", .token = std::move(token)}),
      tls_(std::move(tls)),
      channel_(client::MakeChannel(target, client::ChannelUse::kCalls, tls_)),
      tickets_(v1::TicketService::NewStub(channel_)),
      sessions_(v1::SessionService::NewStub(channel_)),
      events_(v1::EventService::NewStub(channel_)),
      admin_(v1::AdminService::NewStub(channel_)) {}

void DeskConnection::PrepareStream(grpc::ClientContext& context) const {
  client::PrepareCall(labels_, absl::InfiniteDuration(), context);
}

std::string DeskConnection::NewRequestId() {
  return IdSource::Real().NewUuid(Clock::Real().Now()).ToString();
}

absl::Status DeskConnection::WithRequestId(const absl::Status& status,
                                           const std::string& request_id) {
  ErrorDetail detail = DetailOf(status);
  detail.metadata.emplace_back("request_id", request_id);
  return WithDetail(status, detail);
}

absl::Status DeskConnection::Try(Call call) {
  grpc::ClientContext context;
  client::PrepareCall(labels_, kCallTimeout, context);
  return client::FromRpc(call(context));
}

absl::Status DeskConnection::TryUntilAnswered(Call call) {
  Clock& clock = Clock::Real();
  const absl::Duration end = clock.Monotonic() + kRetryFor;
  absl::Duration backoff = kFirstBackoff;
  while (true) {
    absl::Status status = Try(call);
    // Nobody here calls it off: gRPC cancels what reaches a server that begins to shut down.
    const bool away = absl::IsUnavailable(status) || absl::IsCancelled(status);
    const bool again = away || DetailOf(status).retry_after.has_value();
    const absl::Duration pause =
        std::max(backoff * (1 - IdSource::Real().Fraction() / 2),
                 DetailOf(status).retry_after.value_or(absl::ZeroDuration()));
    if (!again || clock.Monotonic() + pause >= end) return status;
    Pause(pause);
    backoff = std::min(backoff * 2, kMaxBackoff);
  }
}

}  // namespace agentdesk::cli
