#include "core_service/rpc/server.h"

#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "core_service/base/log.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/grpc.h"
#include "grpc/support/log.h"
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
constexpr int kHandshakeMs = 10000;
constexpr int kKeepaliveMs = 30000;
constexpr int kKeepaliveTimeoutMs = 10000;
// Clients that ping more often than this are cut off.
constexpr int kMinPingMs = 15000;

// The libraries' own lines go where ours go.
void TakeLibraryLogs() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    const LogFields fields = {{"text", line->message}};
    line->severity == GPR_LOG_SEVERITY_ERROR ? LogWarning("grpc", fields)
                                             : LogDebug("grpc", fields);
  });
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int, const std::string& text) {
        // Mostly about requests that are not UTF-8, which their senders are told.
        LogDebug("protobuf", {{"text", text}});
      });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      desk::Desk& desk) {
  TakeLibraryLogs();
  absl::StatusOr<std::unique_ptr<Acceptor>> acceptor =
      Acceptor::Listen(options.listen, options.max_connections);
  if (!acceptor.ok()) return acceptor.status();
  std::unique_ptr<Server> server(new Server(*std::move(acceptor), desk));
  if (!server->Build()) return absl::InternalError("gRPC could not start");
  return server;
}

Server::Server(std::unique_ptr<Acceptor> acceptor, desk::Desk& desk)
    : acceptor_(std::move(acceptor)),
      calls_(desk.clock()),
      health_(MakeHealthService(DescribedServices(), calls_)),
      services_(MakeReflectionServices(calls_)) {
  services_.push_back(MakeTicketService(desk));
  services_.push_back(MakeSessionService(desk));
  services_.push_back(MakeAgentService(desk, calls_));
  services_.push_back(MakeEventService(desk, calls_));
}

bool Server::Build() {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetResourceQuota(grpc::ResourceQuota("core").Resize(kMaxBufferBytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingMs);
  builder.RegisterService(&health_->service());
  for (const std::unique_ptr<grpc::Service>& service : services_) {
    builder.RegisterService(service.get());
  }
  using Connections = grpc::experimental::ExternalConnectionAcceptor;
  std::shared_ptr<Connections> connections = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return false;
  acceptor_->Start([connections = std::move(connections)](int fd) {
    Connections::NewConnectionParameters connection;
    connection.fd = fd;
    connections->HandleNewConnection(&connection);
  });
  return true;
}

Server::~Server() { Drain(absl::ZeroDuration()); }

void Server::Drain(absl::Duration timeout) {
  if (server_ == nullptr) return;
  health_->StopServing();
  acceptor_->Stop();
  calls_.Drain();
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  server_ = nullptr;
}

}  // namespace agentdesk::rpc
