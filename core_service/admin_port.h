#ifndef AGENTDESK_CORE_SERVICE_ADMIN_PORT_H_
#define AGENTDESK_CORE_SERVICE_ADMIN_PORT_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core_service/base/admin_http.h"
#include "core_service/base/metrics.h"
#include "core_service/config.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/server.h"

namespace agentdesk {

// The core's port for whoever operates it:
//   /metrics  everything in the text format of Prometheus
//   /livez    200 when a fresh gRPC connection and a call on it succeed within a second, else 503
//   /readyz   200 when the desk takes a write within a second, which also shows that its timers
//             run; 503 when not, and from the begin of a drain on
class AdminPort {
 public:
  // All must outlive it. Without an address nothing is served. Errors are those of
  // AdminHttp::Start.
  static absl::StatusOr<std::unique_ptr<AdminPort>> Start(const CoreConfig& config,
                                                          Metrics& metrics, desk::Desk& desk,
                                                          const rpc::Server& server);

  // Empty: there is none.
  std::string address() const { return http_ == nullptr ? "" : http_->address(); }
  // From here on /readyz says no.
  void StartDrain() { draining_ = true; }

 private:
  AdminPort() = default;

  std::atomic<bool> draining_{false};
  std::unique_ptr<AdminHttp> http_;  // last, so that it is the first to go
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_ADMIN_PORT_H_
