#ifndef AGENTDESK_CORE_SERVICE_RPC_GRPC_STATUS_H_
#define AGENTDESK_CORE_SERVICE_RPC_GRPC_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace agentdesk::rpc {

// How an error leaves the core: code, text, and the google.rpc details (BadRequest, ErrorInfo,
// RetryInfo) that its ErrorDetail stands for. Everything together is kept within what clients
// accept as trailing metadata.
grpc::Status ToGrpc(const absl::Status& status);

// What a call gets that the server's going down ends or refuses; `advice` says what to do then.
absl::Status Draining(absl::string_view advice);

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_GRPC_STATUS_H_
