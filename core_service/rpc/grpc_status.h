#ifndef AGENTDESK_CORE_SERVICE_RPC_GRPC_STATUS_H_
#define AGENTDESK_CORE_SERVICE_RPC_GRPC_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace agentdesk::rpc {

// How an error leaves the core: code, text, and the google.rpc details (BadRequest, ErrorInfo,
// RetryInfo) that its ErrorDetail stands for. Everything together is kept within what clients
// accept as trailing metadata.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_GRPC_STATUS_H_
