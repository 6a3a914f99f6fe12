#ifndef AGENTDESK_CORE_SERVICE_RPC_SERVER_H_
#define AGENTDESK_CORE_SERVICE_RPC_SERVER_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core_service/base/address.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/metrics.h"
#include "core_service/base/span_exporter.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/acceptor.h"
#include "core_service/rpc/access.h"
#include "core_service/rpc/call_limits.h"
#include "core_service/rpc/call_observer.h"
#include "core_service/rpc/live_calls.h"
#include "core_service/rpc/services.h"
#include "core_service/rpc/tls.h"
#include "grpcpp/server.h"

namespace agentdesk::rpc {

struct ServerOptions {
  Address listen;
  int max_connections = 10000;
  // While authentication is off everyone is one identity, which may do a hundred times as much.
  CallLimitOptions limits;
  // Says whose tokens are believed, and outlives the server; null: authentication is off.
  const Authenticator* authenticator = nullptr;
  // Nothing: what goes over the network is not encrypted. With authorities, callers show a
  // certificate of theirs; with an authenticator they need not, since a token may do.
  std::optional<Certificates> tls;
};

// The core on the network: all services behind one listening socket.
class Server {
 public:
  // Listens and serves. `desk`, `metrics` and `spans` (which may be null) must outlive it. Errors
  // are those of Acceptor::Listen.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       desk::Desk& desk, Metrics& metrics,
                                                       SpanExporter* spans);
  // Drains without waiting.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::string& address() const { return acceptor_->address(); }
  // How this very process speaks to it.
  std::shared_ptr<grpc::ChannelCredentials> ToSelf() const;

  // Goes down in order: says NOT_SERVING, accepts no more connections, ends streams and waiting
  // claims with UNAVAILABLE, lets calls under way finish until `timeout`, then cancels them. All
  // calls are over when it returns, so the desk must still work while it runs. Call from a thread
  // of the program's own, not from a call.
  void Drain(absl::Duration timeout);

 private:
  Server(std::unique_ptr<Acceptor> acceptor, const ServerOptions& options, desk::Desk& desk,
         Metrics& metrics, SpanExporter* spans);
  bool Build(const ServerOptions& options);
  void AddReadings(desk::Desk& desk, Metrics& metrics);
  void ShutDown(std::chrono::system_clock::time_point deadline);

  const std::unique_ptr<Acceptor> acceptor_;
  const std::unique_ptr<const CertificateFiles> certificates_;  // null: no TLS
  const std::shared_ptr<grpc::ServerCredentials> credentials_;
  const Access access_;
  CallLimits limits_;
  CallObserver observer_;
  LiveCalls calls_;
  const std::unique_ptr<HealthService> health_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_SERVER_H_
