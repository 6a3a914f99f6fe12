#ifndef AGENTDESK_CORE_SERVICE_RPC_SERVICES_H_
#define AGENTDESK_CORE_SERVICE_RPC_SERVICES_H_

#include <memory>
#include <string>
#include <vector>

#include "core_service/rpc/access.h"
#include "core_service/rpc/live_calls.h"
#include "grpcpp/impl/service_type.h"

namespace agentdesk::rpc {

// Everything that the core serves, each service in a file of its own. Every method takes raw bytes
// (message_bytes.h says why) and none is left to gRPC's synchronous threads. What they are given
// must outlive them.
std::unique_ptr<grpc::Service> MakeTicketService(const Backend& backend);
std::unique_ptr<grpc::Service> MakeSessionService(const Backend& backend);
std::unique_ptr<grpc::Service> MakeAgentService(const Backend& backend);
std::unique_ptr<grpc::Service> MakeEventService(const Backend& backend);
std::unique_ptr<grpc::Service> MakeAdminService(const Backend& backend);

// grpc.health.v1: SERVING for the empty name and for each of `names`; while draining NOT_SERVING.
class HealthService {
 public:
  virtual ~HealthService() = default;
  virtual grpc::Service& service() = 0;
  // Watchers learn it when LiveCalls drains, which ends them.
  virtual void StopServing() = 0;
};
std::unique_ptr<HealthService> MakeHealthService(const std::vector<std::string>& names,
                                                 LiveCalls& calls);

// grpc.reflection, v1 and v1alpha, answered from the embedded descriptor set with its comments.
std::vector<std::unique_ptr<grpc::Service>> MakeReflectionServices(LiveCalls& calls);
// The services in that set: all that the core serves.
std::vector<std::string> DescribedServices();

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_SERVICES_H_
