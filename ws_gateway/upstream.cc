#include "ws_gateway/upstream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"
#include "core_service/base/timestamp.h"
#include "core_service/client/advice.h"
#include "ws_gateway/event_json.h"
#include "ws_gateway/server_message.h"

namespace agentdesk::gateway {
namespace {

// Batches that may be on their way to the shards while the next one is read: as many as come within
// a fan-out and the rest after it, which are then written together.
constexpr int kMaxOnTheirWay = 16;

}  // namespace

void Upstream::Flow::SetStream(client::EventStream* stream) {
  MutexLock lock(mutex_);
  stream_ = stream;
  // A batch may have come before its stream was known here.
  if (stream_ != nullptr && next_is_due_ && on_their_way_ < kMaxOnTheirWay) {
    next_is_due_ = false;
    stream_->Next();
  }
}

void Upstream::Flow::OnBatch() {
  MutexLock lock(mutex_);
  next_is_due_ = ++on_their_way_ >= kMaxOnTheirWay || stream_ == nullptr;
  if (!next_is_due_) stream_->Next();
}

void Upstream::Flow::OnTaken() {
  MutexLock lock(mutex_);
  --on_their_way_;
  if (!next_is_due_ || stream_ == nullptr) return;
  next_is_due_ = false;
  stream_->Next();
}

Upstream::Upstream(CoreLink& link, std::vector<Shard*> shards, GatewayState& state,
                   Metrics& metrics)
    : link_(link),
      shards_(std::move(shards)),
      state_(state),
      metrics_(metrics),
      sequence_(metrics.AddGauge("agentdesk_upstream_sequence",
                                 "Up to which event the gateway has followed the core.")),
      reconnects_(metrics.AddCounter("agentdesk_upstream_reconnects_total",
                                     "How often the stream of events broke and went on.")) {
  metrics.ReadGauge("agentdesk_upstream_live", "Whether the stream of events from the core is up.",
                    {}, [&state] { return state.core_live ? 1.0 : 0.0; });
  client::EventStreamOptions options;
  options.labels.token = link.token();
  stream_ = std::make_unique<client::EventStream>(
      link.channel(), link.completions(), std::move(options), static_cast<Consumer&>(*this));
  flow_->SetStream(stream_.get());
}

Upstream::~Upstream() {
  flow_->SetStream(nullptr);
  stream_.reset();
}

void Upstream::OnBatch(std::unique_ptr<v1::SubscribeResponse> batch) {
  const int64_t up_to = batch->up_to_sequence();
  if (!position_.has_value()) {
    const int64_t before = batch->events().empty() ? up_to : batch->events(0).sequence() - 1;
    position_ = client::Position{batch->desk_id(), before};
    LogInfo("following the core", {{"desk", batch->desk_id()}, {"sequence", before}});
  } else if (away_ || !refused_.empty()) {
    LogInfo("the core is back", {{"sequence", position_->sequence}});
    reconnects_.Increment();
  }
  away_ = false;
  refused_.clear();
  state_.core_live = true;
  const std::shared_ptr<const EventBlock> block =
      EncodeEvents(position_->desk_id, position_->sequence, up_to, batch->events());
  position_->sequence = up_to;
  sequence_.Set(static_cast<double>(up_to));
  // Destroyed when the last shard has taken the batch, or has ended.
  const std::shared_ptr<void> taken(nullptr, [flow = flow_](void*) { flow->OnTaken(); });
  for (Shard* shard : shards_) shard->Publish(block, FromProto(batch->time()), taken);
  // Last, since gRPC tells the core at once that it reads on: the events need not wait for that.
  flow_->OnBatch();
}

std::string Upstream::Words(const absl::Status& status) const {
  return absl::StrCat(status.ToString(), client::Advice(status, link_.tls(), "core_token_file"));
}

void Upstream::OnInterrupted(const absl::Status& status) {
  state_.core_live = false;
  if (!away_) LogWarning("the core is away", {{"status", Words(status)}});
  away_ = true;
}

std::optional<client::StreamStart> Upstream::OnRefused(const absl::Status& status) {
  state_.core_live = false;
  if (status.code() != absl::StatusCode::kOutOfRange) {
    // Each try ends so, until somebody does something about it.
    if (std::string why = Words(status); refused_ != why) {
      LogError("the core refuses the stream of events; trying again", {{"status", why}});
      refused_ = std::move(why);
    }
    if (!position_.has_value()) return client::StreamStart{};
    return client::StreamStart{client::StreamStart::Kind::kAfter, *position_};
  }
  const Gap gap = GapOf(status);
  LogWarning("the stream of events has a gap", {{"reason", gap.reason}, {"status", status}});
  metrics_
      .AddCounter("agentdesk_upstream_gaps_total",
                  "How often the stream of events could not go on without a gap, by reason.",
                  {{"reason", gap.reason}})
      .Increment();
  for (Shard* shard : shards_) shard->ReportGap(gap);
  position_.reset();
  return client::StreamStart{};
}

}  // namespace agentdesk::gateway
