#include "core_service/rpc/server.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "core_service/base/mutex.h"
#include "core_service/grpc_settings.h"
#include "grpc/grpc.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace agentdesk::rpc {
namespace {

// A report of 100 activities of 32 KiB each, with room for the rest.
constexpr int kMaxRequestBytes = 4 * 1024 * 1024;
// Calls under way on one connection; the desk itself takes no more commands than this at a time.
constexpr int kMaxCallsPerConnection = 4096;
// What gRPC's own buffers may hold in all.
constexpr size_t kMaxBufferBytes = 1024ull * 1024 * 1024;
// How long cancelled calls may take to end before their connections are cut.
constexpr std::chrono::milliseconds kCancelGrace(1000);
// How long the last words of streams may take to leave, and then their connections to close.
constexpr absl::Duration kFlush = absl::Milliseconds(500);
constexpr int kHandshakeMs = 10000;
constexpr int kKeepaliveMs = 30000;
constexpr int kKeepaliveTimeoutMs = 10000;
// Clients that ping more often than this are cut off.
constexpr int kMinPingMs = 15000;
// Where clients may show certificates, after about so long a connection takes no new calls and they
// go over a new one, for which its client shows the certificate that it has by then.
constexpr int kCertificateConnectionMs = 10 * 60 * 1000;
// A token, and a user that a gateway speaks for, of 16 KiB each; gRPC's own limit is 8 KiB.
constexpr int kMaxMetadataBytes = 40 * 1024;

// See ServerOptions::limits.
constexpr int64_t kEveryone = 100;

CallLimitOptions LimitsOf(const ServerOptions& options) {
  CallLimitOptions limits = options.limits;
  if (options.authenticator == nullptr) {
    limits.calls_per_second *= kEveryone;
    limits.streams *= kEveryone;
  }
  return limits;
}

// Without tokens a certificate is all that can prove anything.
bool WantsCertificates(const ServerOptions& options) {
  return options.authenticator == nullptr && options.tls.has_value() &&
         !options.tls->paths.authorities.empty();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      desk::Desk& desk, Metrics& metrics,
                                                      SpanExporter* spans) {
  ApplyGrpcSettings();
  absl::StatusOr<std::unique_ptr<Acceptor>> acceptor =
      Acceptor::Listen(options.listen, options.max_connections);
  if (!acceptor.ok()) return acceptor.status();
  std::unique_ptr<Server> server(new Server(*std::move(acceptor), options, desk, metrics, spans));
  if (!server->Build(options)) return absl::InternalError("gRPC could not start");
  return server;
}

Server::Server(std::unique_ptr<Acceptor> acceptor, const ServerOptions& options, desk::Desk& desk,
               Metrics& metrics, SpanExporter* spans)
    : acceptor_(std::move(acceptor)),
      certificates_(options.tls.has_value()
                        ? std::make_unique<CertificateFiles>(*options.tls, desk.clock())
                        : nullptr),
      credentials_(certificates_ == nullptr ? grpc::InsecureServerCredentials()
                                            : TlsCredentials(*certificates_)),
      access_(options.authenticator, desk.clock(), WantsCertificates(options)),
      limits_(LimitsOf(options), desk.clock()),
      observer_(desk.clock(), IdSource::Real(), metrics, spans),
      calls_(desk.clock(), observer_),
      health_(MakeHealthService(DescribedServices(), calls_)),
      services_(MakeReflectionServices(calls_)) {
  const Backend backend{desk, calls_, access_, limits_};
  services_.push_back(MakeTicketService(backend));
  services_.push_back(MakeSessionService(backend));
  services_.push_back(MakeAgentService(backend));
  services_.push_back(MakeEventService(backend));
  services_.push_back(MakeAdminService(backend));
  AddReadings(desk, metrics);
}

void Server::AddReadings(desk::Desk& desk, Metrics& metrics) {
  metrics.ReadCounter("agentdesk_grpc_connections_accepted_total", "gRPC connections taken.", {},
                      [this] { return static_cast<double>(acceptor_->accepted()); });
  metrics.ReadCounter(
      "agentdesk_grpc_connections_refused_total",
      "gRPC connections closed at once: too many were open, or no descriptor was left.", {},
      [this] { return static_cast<double>(acceptor_->refused()); });
  metrics.ReadGauge("agentdesk_subscriptions", "Subscribe streams.", {},
                    [this] { return static_cast<double>(calls_.followers().count); });
  metrics.ReadGauge(
      "agentdesk_subscription_lag_events",
      "By how many events the subscription that is furthest behind is behind.", {}, [this, &desk] {
        const int64_t head = desk.log().head();
        return static_cast<double>(std::max<int64_t>(0, head - calls_.followers().last));
      });
}

bool Server::Build(const ServerOptions& options) {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  // gRPC inflates a message whole before it looks at its size: 1 MB would become 1 GB.
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP}) {
    builder.SetCompressionAlgorithmSupportStatus(algorithm, false);
  }
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // Counts and traces of each call, which nobody here can ask for.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  builder.SetResourceQuota(grpc::ResourceQuota("core").Resize(kMaxBufferBytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingMs);
  if (options.authenticator != nullptr) {
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  }
  if (options.tls.has_value() && !options.tls->paths.authorities.empty()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kCertificateConnectionMs);
  }
  builder.RegisterService(&health_->service());
  for (const std::unique_ptr<grpc::Service>& service : services_) {
    builder.RegisterService(service.get());
  }
  using Connections = grpc::experimental::ExternalConnectionAcceptor;
  std::shared_ptr<Connections> connections = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return false;
  acceptor_->Start([connections = std::move(connections)](int fd) {
    Connections::NewConnectionParameters connection;
    connection.fd = fd;
    connections->HandleNewConnection(&connection);
  });
  return true;
}

std::shared_ptr<grpc::ChannelCredentials> Server::ToSelf() const {
  return certificates_ == nullptr ? grpc::InsecureChannelCredentials() : TlsToSelf();
}

Server::~Server() { Drain(absl::ZeroDuration()); }

void Server::Drain(absl::Duration timeout) {
  if (server_ == nullptr) return;
  const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout);
  health_->StopServing();
  acceptor_->Stop();
  calls_.Drain(timeout);
  calls_.AwaitStreams(std::min(timeout, kFlush));
  // All is answered and written now, or out of time. What still comes until clients know that the
  // server is gone, gRPC would end with CANCELLED, as if the client had wished it; a connection
  // that is closed ends it with UNAVAILABLE.
  acceptor_->StopWriting();
  // A client that does not look after its idle connection must not hold up Shutdown.
  ShutDown(
      std::min(deadline, std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kFlush)));
}

void Server::ShutDown(std::chrono::system_clock::time_point deadline) {
  // At the deadline gRPC cancels what is left, but still waits for each connection to take what is
  // being written to it, which a slow peer may draw out for ever: so those are cut.
  Mutex mutex;
  Condition over;
  bool is_over = false;
  std::thread cutter([&] {
    const auto patience = deadline - std::chrono::system_clock::now() + kCancelGrace;
    const auto until = std::chrono::steady_clock::now() + patience;
    MutexLock lock(mutex);
    while (!is_over && std::chrono::steady_clock::now() < until) over.WaitUntil(mutex, until);
    if (!is_over) acceptor_->Cut();
  });
  server_->Shutdown(deadline);
  {
    MutexLock lock(mutex);
    is_over = true;
  }
  over.NotifyAll();
  cutter.join();
  server_ = nullptr;
}

}  // namespace agentdesk::rpc
