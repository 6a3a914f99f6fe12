#include "ws_gateway/server.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/certificate_files.h"
#include "core_service/base/clock.h"
#include "core_service/base/log.h"
#include "core_service/base/metrics.h"
#include "core_service/base/sd_notify.h"
#include "core_service/base/span_exporter.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/address_limit.h"
#include "ws_gateway/core_commands.h"
#include "ws_gateway/core_link.h"
#include "ws_gateway/gateway_state.h"
#include "ws_gateway/http.h"
#include "ws_gateway/http_observer.h"
#include "ws_gateway/shard.h"
#include "ws_gateway/tls_acceptor.h"
#include "ws_gateway/upstream.h"

namespace agentdesk::gateway {
namespace {

// All shards on one port. Returns the address.
absl::StatusOr<std::string> Listen(const Config& config, const ShardOptions& options,
                                   LoadLimits& limits,
                                   const std::vector<std::unique_ptr<Shard>>& shards) {
  const size_t colon = config.listen.rfind(':');
  if (shards.size() > 1 && !config.share_port && config.listen.substr(colon) != ":0") {
    // Shards share their port with anyone of the same user: a gateway that is there already would
    // go unnoticed and lose half of its browsers. It is in the way of one that does not share.
    Metrics unread;
    Shard alone(options, limits, Clock::Real(), IdSource::Real(), unread);
    const absl::StatusOr<uint16_t> port = alone.Listen(config.listen, /*share_port=*/false);
    if (!port.ok()) return port.status();
  }
  std::string address = config.listen;
  for (const std::unique_ptr<Shard>& shard : shards) {
    const absl::StatusOr<uint16_t> port =
        shard->Listen(address, config.share_port || shards.size() > 1);
    if (!port.ok()) return port.status();
    address = absl::StrCat(config.listen.substr(0, colon), ":", *port);
  }
  return address;
}

void CountRefusals(LoadLimits& limits, Metrics& metrics) {
  LoadLimits::Refused& refused = limits.refused();
  const std::pair<const char*, const std::atomic<int64_t>*> counts[] = {
      {"connections", &refused.connections},
      {"connections_per_user", &refused.user_connections},
      {"connections_per_address", &refused.address_connections},
      {"handshakes", &refused.handshakes},
      {"request_time", &refused.request_times},
      {"request_size", &refused.request_sizes},
      {"messages", &refused.messages},
      {"messages_per_user", &refused.user_messages},
      {"commands", &refused.commands},
      {"outbox_bytes", &refused.outboxes},
      {"flood", &refused.floods}};
  for (const auto& [limit, count] : counts) {
    metrics.ReadCounter("agentdesk_limit_refusals_total",
                        "What was refused since a client had passed a limit.", {{"limit", limit}},
                        [count = count] { return static_cast<double>(*count); });
  }
}

// Whether every shard's thread has run what it was given the last time; for a watchdog.
class Pulse {
 public:
  explicit Pulse(const std::vector<Shard*>& shards) : shards_(shards) {}

  bool Beats() {
    if (*answers_ != asked_) return false;
    asked_ += static_cast<int64_t>(shards_.size());
    for (Shard* shard : shards_) shard->Post([answers = answers_] { ++*answers; });
    return true;
  }

 private:
  const std::vector<Shard*>& shards_;
  // Answers may still come when this is gone.
  const std::shared_ptr<std::atomic<int64_t>> answers_ = std::make_shared<std::atomic<int64_t>>(0);
  int64_t asked_ = 0;
};

}  // namespace

absl::Status Serve(const Config& config, const sigset_t& signals) {
  Metrics metrics;
  AddProcessMetrics(metrics, "gateway");
  GatewayState state;
  const std::unique_ptr<const Authenticator> authenticator =
      config.auth.has_value() ? std::make_unique<Authenticator>(*config.auth, Clock::Real())
                              : nullptr;
  std::unique_ptr<CertificateFiles> certificates;
  absl::StatusOr<std::unique_ptr<TlsAcceptor>> tls = nullptr;
  if (config.tls.has_value()) {
    certificates = std::make_unique<CertificateFiles>(*config.tls, Clock::Real());
    tls = TlsAcceptor::Create(*certificates, Clock::Real());
    if (!tls.ok()) return tls.status();
  }
  if (authenticator != nullptr) authenticator->AwaitKeys();
  ShardOptions options{.transport = {},
                       .recent = {},
                       .origins = config.origins,
                       .authenticator = authenticator.get(),
                       .outbox_memory = nullptr,
                       .index = 0,
                       .shares_port = config.share_port};
  const auto threads = static_cast<size_t>(config.threads);
  options.transport.tls = tls->get();
  options.transport.max_connections = std::max<size_t>(1, config.max_connections / threads);
  options.transport.request_timeout = absl::ToChronoMilliseconds(config.http_request_timeout);
  options.transport.max_header_bytes = config.max_http_header_bytes;
  options.transport.max_body_bytes = static_cast<size_t>(config.limits.http_body_bytes);
  std::unique_ptr<AddressLimit> addresses;
  if (const int64_t most = config.limits.connections_per_address; most > 0) {
    addresses = std::make_unique<AddressLimit>(static_cast<size_t>(most));
  }
  options.transport.addresses = addresses.get();
  LoadLimits limits(config.limits, Clock::Real());
  CountRefusals(limits, metrics);
  const NotionRules notion{config.notion_secret, config.notion_max_age};
  OutboxMemory outbox_memory(static_cast<size_t>(config.limits.outbox_bytes), threads);
  options.outbox_memory = &outbox_memory;
  std::vector<std::unique_ptr<Shard>> shards;
  std::vector<Shard*> all;
  for (size_t i = 0; i < threads; ++i) {
    options.index = i;
    shards.push_back(
        std::make_unique<Shard>(options, limits, Clock::Real(), IdSource::Real(), metrics));
    all.push_back(shards.back().get());
  }
  const absl::StatusOr<std::string> address = Listen(config, options, limits, shards);
  if (!address.ok()) return address.status();
  const absl::StatusOr<std::unique_ptr<SpanExporter>> spans = SpanExporter::Start(
      {.endpoint = config.otlp_endpoint, .service = "agentdesk-gateway"}, metrics);
  if (!spans.ok()) return spans.status();
  CoreLink link(config.core, config.core_tls, config.core_token_file, spans->get());
  for (Shard* shard : all) {
    shard->Start(std::make_unique<CoreCommands>(link, *shard),
                 [&](Commands& commands, Hub& hub) -> std::unique_ptr<RequestHandler> {
                   return std::make_unique<HttpObserver>(
                       std::make_unique<Http>(commands, hub, state, config.web, config.origins,
                                              metrics, notion),
                       metrics, Clock::Real(), IdSource::Real(), spans->get());
                 });
  }
  const Upstream upstream(link, all, state, metrics);
  LogInfo("listening", {{"address", *address},
                        {"authentication", authenticator == nullptr ? "off" : "on"},
                        {"tls", *tls == nullptr ? "off" : "on"}});

  SdNotify("READY=1");

  Pulse pulse(all);
  const int signal = WaitForSignal(signals, [&pulse] { return pulse.Beats(); });
  SdNotify("STOPPING=1");
  LogInfo("draining", {{"signal", strsignal(signal)}});
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  state.draining = true;
  for (Shard* shard : all) shard->Drain(config.drain_timeout * 2 / 3, config.drain_timeout);
  for (Shard* shard : all) shard->Join();
  LogInfo("stopped", {{"exit_code", 0}});
  return absl::OkStatus();
}

}  // namespace agentdesk::gateway
