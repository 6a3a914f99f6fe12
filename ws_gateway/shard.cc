#include "ws_gateway/shard.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "core_service/base/error.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/credential.h"
#include "ws_gateway/http_error.h"

namespace agentdesk::gateway {
namespace {

constexpr absl::string_view kSubprotocol = "agentdesk.v1";
// Blocks larger than this are not copied into one with others: to write them costs far more than
// one write.
constexpr size_t kMaxJoined = 64 * 1024;

bool Offers(const HttpRequest& request, absl::string_view subprotocol) {
  for (const auto& [name, value] : request.headers) {
    if (name != "sec-websocket-protocol") continue;
    for (const absl::string_view offered : absl::StrSplit(value, ',')) {
      if (absl::StripAsciiWhitespace(offered) == subprotocol) return true;
    }
  }
  return false;
}

}  // namespace

struct Shard::Loop {
  boost::asio::io_context io{1};
  boost::asio::steady_timer ticks{io};
  boost::asio::steady_timer rest{io};  // between two fan-outs
};

Shard::Shard(ShardOptions options, LoadLimits& limits, Clock& clock, IdSource& ids,
             Metrics& metrics)
    : options_(std::move(options)),
      limits_(limits),
      clock_(clock),
      ids_(ids),
      metrics_(metrics),
      loop_(std::make_unique<Loop>()),
      transport_(Transport::Create(loop_->io, options_.transport, *this)) {}

Shard::~Shard() {
  loop_->io.stop();
  Join();
}

absl::StatusOr<uint16_t> Shard::Listen(absl::string_view address, bool share_port) {
  return transport_->Listen(address, share_port);
}

void Shard::Start(
    std::unique_ptr<Commands> commands,
    const std::function<std::unique_ptr<RequestHandler>(Commands&, Hub&)>& make_handler) {
  commands_ = std::move(commands);
  connection_metrics_ = std::make_unique<ConnectionMetrics>(metrics_);
  hub_ = std::make_unique<Hub>(*commands_, clock_, ids_, options_.recent, limits_,
                               *connection_metrics_, options_.authenticator);
  handler_ = make_handler(*commands_, *hub_);
  StartTicks();
  thread_ = std::thread([this] { Run(); });
}

void Shard::Join() {
  if (thread_.joinable()) thread_.join();
  // The sockets call their connections a last time, which call the hub and end their feeds.
  transport_.reset();
  handler_.reset();
  hub_.reset();
  commands_.reset();
}

void Shard::Post(Task task) {
  boost::asio::post(loop_->io, [task = std::move(task)]() mutable { task(); });
}

void Shard::Run() {
  boost::asio::io_context& io = loop_->io;
  while (!io.stopped()) {
    if (publishing()) {
      // One thing a stride: a request need not wait until an event is with everybody, and a storm
      // of browsers that come back does not stretch that much. Before the stride, since it may be
      // all that tells of news, for which the end of the last one looks.
      io.poll_one();
      if (publishing()) PublishMore();
      continue;
    }
    if (io.run_one() == 0 || publishing() || !TakeNews()) continue;
    if (clock_.Monotonic() < pace_.next()) {
      PublishLater();
    } else {
      PublishArrived();
    }
  }
  // Outside of the lock, as whoever waits for what was taken is told.
  std::vector<Arrival> untaken;
  MutexLock lock(mutex_);
  ended_ = true;
  untaken.swap(arrived_);
}

void Shard::Publish(std::shared_ptr<const EventBlock> block, absl::Time core_time,
                    std::shared_ptr<void> taken) {
  Arrive({.block = std::move(block), .core_time = core_time, .taken = std::move(taken), .gap = {}});
}

void Shard::ReportGap(Gap gap) {
  Arrive({.block = nullptr, .core_time = {}, .taken = nullptr, .gap = std::move(gap)});
}

void Shard::Arrive(Arrival arrival) {
  {
    MutexLock lock(mutex_);
    if (ended_) return;
    arrived_.push_back(std::move(arrival));
    if (arrived_.size() > 1) return;
    news_ = true;
  }
  // The thread looks for news after each of its tasks.
  Post([] {});
}

bool Shard::TakeNews() {
  MutexLock lock(mutex_);
  return std::exchange(news_, false);
}

void Shard::PublishLater() {
  const absl::Duration rest = pace_.next() - clock_.Monotonic();
  if (rest <= absl::ZeroDuration()) return Post([this] { PublishArrived(); });
  loop_->rest.expires_after(absl::ToChronoNanoseconds(rest));
  loop_->rest.async_wait([this](const boost::system::error_code& error) {
    if (!error) PublishArrived();
  });
}

void Shard::PublishArrived() {
  // After a drain has published what this was to come back for. What has come since is news, which
  // the end of the fan-out looks for.
  if (publishing()) return;
  {
    MutexLock lock(mutex_);
    due_.swap(arrived_);
    news_ = false;
  }
  if (due_.empty()) return;
  next_due_ = 0;
  publishing_since_ = clock_.Monotonic();
  // The next ones are read while these are written.
  for (Arrival& arrival : due_) arrival.taken.reset();
  PublishMore();
}

void Shard::PublishMore() {
  hub_->GoOn();
  while (!hub_->publishing() && next_due_ < due_.size()) PublishNext();
  if (hub_->publishing()) return;
  pace_.Wrote(due_.size(), publishing_since_, clock_.Monotonic());
  due_.clear();
  // What has come meanwhile must not keep the thread from its sockets.
  if (TakeNews()) PublishLater();
}

void Shard::PublishNext() {
  if (due_[next_due_].block == nullptr) return hub_->ReportGap(due_[next_due_++].gap);
  std::vector<std::shared_ptr<const EventBlock>> joined;
  size_t size = 0;
  absl::Time core_time;
  for (; next_due_ < due_.size(); ++next_due_) {
    Arrival& arrival = due_[next_due_];
    if (arrival.block == nullptr) break;
    if (!joined.empty() && (arrival.block->after != joined.back()->up_to ||
                            arrival.block->desk_id != joined.back()->desk_id ||
                            size + arrival.block->size() > kMaxJoined)) {
      break;
    }
    size += arrival.block->size();
    core_time = arrival.core_time;
    joined.push_back(std::move(arrival.block));
  }
  hub_->Publish(JoinBlocks(joined), core_time);
}

void Shard::Drain(absl::Duration spread, absl::Duration timeout) {
  Post([this, spread, timeout] {
    // All that has come, before the first goodbye.
    while (publishing()) PublishMore();
    PublishArrived();
    while (publishing()) PublishMore();
    if (options_.shares_port) transport_->StopAccepting();
    transport_->DrainHttp();
    hub_->StartDrain(spread);
    drain_until_ = clock_.Monotonic() + timeout;
  });
}

void Shard::StartTicks() {
  loop_->ticks.expires_after(absl::ToChronoMilliseconds(Hub::kTick));
  loop_->ticks.async_wait([this](const boost::system::error_code& error) {
    if (!error) OnTick();
  });
}

void Shard::OnTick() {
  hub_->Tick();
  commands_->Tick();
  if (options_.outbox_memory != nullptr) {
    hub_->KeepWithin(*options_.outbox_memory, options_.index, transport_->queued_bytes(),
                     [this](std::vector<Backlog>& backlogs) { transport_->AddBacklogs(backlogs); });
  }
  // It accepts to its end: who comes while others are sent away, or take long to go, is told to
  // come back, which a closed port cannot say.
  if (hub_->draining() && (transport_->connections() == 0 || clock_.Monotonic() >= drain_until_)) {
    loop_->io.stop();
    return;
  }
  StartTicks();
}

void Shard::OnRequest(HttpRequest request, Responder respond) {
  handler_->OnRequest(std::move(request), std::move(respond));
}

UpgradeDecision Shard::OnUpgrade(const HttpRequest& request) {
  UpgradeDecision decision;
  const std::pair<absl::string_view, absl::string_view> target =
      absl::StrSplit(request.target, absl::MaxSplits('?', 1));
  if (target.first != "/ws") {
    decision.refusal = ErrorResponse(absl::NotFoundError("WebSockets are at /ws"));
    return decision;
  }
  const absl::string_view origin = request.Header("origin");
  if (!origin.empty() && !options_.origins.Allows(origin, request.Header("host"))) {
    decision.refusal = ErrorResponse(ForbiddenOrigin());
    return decision;
  }
  ConnectionOptions options;
  options.busy_for = limits_.TakeHandshake();
  const bool busy = options.busy_for > absl::ZeroDuration();
  const Credential credential = FindCredential(request);
  if (!busy && options_.authenticator != nullptr && credential.way != Credential::Way::kNone) {
    absl::StatusOr<Identity> user =
        Authenticate(request, credential, *options_.authenticator, options_.origins);
    if (DetailOf(user.status()).reason == kForbiddenOrigin) {
      decision.refusal = ErrorResponse(user.status());
      return decision;
    }
    if (user.ok()) {
      options.user = *std::move(user);
    } else {
      options.user = user.status();
    }
  }
  if (Offers(request, kSubprotocol)) {
    options.protocol = Protocol::kV1;
    options.subscribe = ParseSubscribeQuery(target.second);
  }
  options.caller = {.actor = hub_->NewGuestName(),
                    .via = "websocket",
                    .traceparent = std::string(request.Header("traceparent")),
                    .address = request.remote_address};
  decision.handler = hub_->MakeConnection(std::move(options));
  return decision;
}

void Shard::OnRefused(Refusal why) {
  LoadLimits::Refused& refused = limits_.refused();
  switch (why) {
    case Refusal::kConnections:
      ++refused.connections;
      break;
    case Refusal::kConnectionsOfAddress:
      ++refused.address_connections;
      break;
    case Refusal::kRequestTime:
      ++refused.request_times;
      break;
    case Refusal::kRequestSize:
      ++refused.request_sizes;
      break;
  }
}

std::string Shard::ChooseSubprotocol(const HttpRequest& request) {
  return Offers(request, kSubprotocol) ? std::string(kSubprotocol) : std::string();
}

}  // namespace agentdesk::gateway
