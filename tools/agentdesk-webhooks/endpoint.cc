#include "tools/agentdesk-webhooks/endpoint.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/log.h"
#include "core_service/client/channel.h"
#include "core_service/client/rpc_status.h"
#include "tools/agentdesk-webhooks/signature.h"
#include "tools/event_json.h"

namespace agentdesk::webhooks {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr int kEventsAtOnce = 200;

client::CallLabels LabelsWith(std::shared_ptr<client::BearerToken> token) {
  client::CallLabels labels;
  labels.token = std::move(token);
  return labels;
}

}  // namespace

Endpoint::Endpoint(EndpointConfig config, const EndpointOptions& options,
                   const std::string& state_dir, std::shared_ptr<grpc::Channel> core, Clock& clock,
                   IdSource& ids)
    : config_(std::move(config)),
      options_(options),
      file_(absl::StrCat(state_dir, "/", config_.name, ".cursor")),
      core_(v1::EventService::NewStub(std::move(core))),
      clock_(clock),
      ids_(ids),
      http_(options.http, stopping_) {
  thread_ = std::thread([this] { Run(); });
}

Endpoint::~Endpoint() {
  Stop();
  thread_.join();
}

void Endpoint::Stop() {
  MutexLock lock(mutex_);
  stopping_ = true;
  if (stream_ != nullptr) stream_->TryCancel();
  stop_.NotifyAll();
}

absl::Status Endpoint::CallCore(absl::FunctionRef<grpc::Status(grpc::ClientContext&)> call) const {
  grpc::ClientContext context;
  client::PrepareCall(LabelsWith(options_.token), kCallTimeout, context);
  return client::FromRpc(call(context));
}

bool Endpoint::Pause(int times) {
  absl::Duration wait = options_.first_backoff;
  for (int i = 1; i < times && wait < options_.max_backoff; ++i) wait *= 2;
  wait = std::min(wait, options_.max_backoff) * (1 - ids_.Fraction() / 2);
  const absl::Duration until = clock_.Monotonic() + wait;
  MutexLock lock(mutex_);
  while (!stopping_ && clock_.Monotonic() < until) clock_.WaitUntil(stop_, mutex_, until);
  return !stopping_;
}

void Endpoint::Run() {
  int failures = 0;
  while (!stopping_) {
    const int64_t before = position_.sequence;
    absl::Status status = Settle();
    if (status.ok()) status = Follow();
    const std::string reason = DetailOf(status).reason;
    if (reason == "compacted") {
      status = CatchUp();
      if (status.ok()) continue;
    }
    if (reason == "other_desk" || reason == "ahead") settled_ = false;
    if (stopping_) return;
    failures = position_.sequence > before ? 1 : failures + 1;
    if (!absl::IsUnavailable(status) || failures > 1) {
      LogWarning("the log cannot be followed", {{"endpoint", config_.name}, {"error", status}});
    }
    if (!Pause(failures)) return;
  }
}

absl::Status Endpoint::Settle() {
  if (settled_) return absl::OkStatus();
  v1::GetDeskResponse desk;
  absl::Status status = CallCore([&](grpc::ClientContext& context) {
    return core_->GetDesk(&context, v1::GetDeskRequest(), &desk);
  });
  if (!status.ok()) return status;
  const absl::StatusOr<std::optional<Position>> stored = file_.Read();
  if (!stored.ok()) return stored.status();
  Position position;
  if (!stored->has_value()) {
    position = {desk.desk_id(), config_.from_beginning ? 0 : desk.head_sequence()};
  } else if ((*stored)->desk_id == desk.desk_id()) {
    position = **stored;
  } else if ((*stored)->desk_id == desk.restored_from()) {
    // Up to the backup both logs have the same events; what the new one has after it is new.
    position = {desk.desk_id(), std::min((*stored)->sequence, desk.restored_sequence())};
    LogWarning("the desk was restored from a backup",
               {{"endpoint", config_.name}, {"sequence", position.sequence}});
  } else {
    return absl::FailedPreconditionError(absl::StrCat(
        "the core has desk ", desk.desk_id(), ", and ", file_.path(), " belongs to desk ",
        (*stored)->desk_id, ": remove the file to begin with what happens from now on"));
  }
  if (position.sequence > desk.head_sequence()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the core's log ends at ", desk.head_sequence(), ", and ", file_.path(), " is at ",
        position.sequence, ": remove the file to begin with what happens from now on"));
  }
  if (!stored->has_value() || !(**stored == position)) {
    if (status = file_.Write(position); !status.ok()) return status;
  }
  LogInfo("follows the log",
          {{"endpoint", config_.name}, {"desk", position.desk_id}, {"after", position.sequence}});
  position_ = std::move(position);
  settled_ = true;
  return absl::OkStatus();
}

absl::Status Endpoint::Advance(int64_t sequence) {
  if (sequence <= position_.sequence) return absl::OkStatus();
  position_.sequence = sequence;
  return file_.Write(position_);
}

absl::Status Endpoint::Follow() {
  grpc::ClientContext context;
  client::PrepareCall(LabelsWith(options_.token), absl::InfiniteDuration(), context);
  v1::SubscribeRequest request;
  request.set_after_sequence(position_.sequence);
  request.set_desk_id(position_.desk_id);
  *request.mutable_filter() = config_.filter;
  {
    MutexLock lock(mutex_);
    if (stopping_) return absl::CancelledError("stopping");
    stream_ = &context;
  }
  const auto stream = core_->Subscribe(&context, request);
  absl::Status status;
  v1::SubscribeResponse response;
  while (status.ok() && stream->Read(&response)) {
    for (const v1::Event& event : response.events()) {
      if (!Deliver(event)) {
        status = absl::CancelledError("stopping");
        break;
      }
      if (status = Advance(event.sequence()); !status.ok()) break;
    }
    // What the endpoint does not want was passed too.
    if (status.ok()) status = Advance(response.up_to_sequence());
  }
  if (!status.ok()) context.TryCancel();
  const absl::Status ended = client::FromRpc(stream->Finish());
  MutexLock lock(mutex_);
  stream_ = nullptr;
  if (!status.ok()) return status;
  return ended.ok() ? absl::UnavailableError("the core ended the stream") : ended;
}

absl::Status Endpoint::CatchUp() {
  LogWarning("the log was compacted past this endpoint; what it missed is read by page",
             {{"endpoint", config_.name}, {"after", position_.sequence}});
  v1::ListEventsRequest request;
  request.set_page_size(kEventsAtOnce);
  *request.mutable_filter() = config_.filter;
  request.set_after_sequence(position_.sequence);
  request.set_desk_id(position_.desk_id);
  while (!stopping_) {
    v1::ListEventsResponse page;
    absl::Status status = CallCore(
        [&](grpc::ClientContext& context) { return core_->ListEvents(&context, request, &page); });
    if (!status.ok()) return status;
    for (const v1::Event& event : page.events()) {
      if (!Deliver(event)) return absl::CancelledError("stopping");
      if (status = Advance(event.sequence()); !status.ok()) return status;
    }
    if (status = Advance(page.up_to_sequence()); !status.ok()) return status;
    if (page.next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(page.next_page_token());
  }
  return absl::CancelledError("stopping");
}

bool Endpoint::Deliver(const v1::Event& event) {
  const std::string body = tools::ToJson(event);
  const std::string id = absl::StrCat(position_.desk_id, ":", event.sequence());
  for (int failures = 0;;) {
    const int64_t timestamp = absl::ToUnixSeconds(clock_.Now());
    const absl::Status sent =
        http_.Send(config_.url,
                   {"content-type: application/json", absl::StrCat("webhook-id: ", id),
                    absl::StrCat("webhook-timestamp: ", timestamp),
                    absl::StrCat("webhook-signature: ", Sign(config_.keys, id, timestamp, body))},
                   body);
    if (sent.ok()) {
      LogDebug("delivered", {{"endpoint", config_.name}, {"sequence", event.sequence()}});
      return true;
    }
    if (stopping_) return false;
    ++failures;
    LogWarning("not delivered; will be tried again", {{"endpoint", config_.name},
                                                      {"sequence", event.sequence()},
                                                      {"tries", failures},
                                                      {"error", sent}});
    if (!Pause(failures)) return false;
  }
}

}  // namespace agentdesk::webhooks
