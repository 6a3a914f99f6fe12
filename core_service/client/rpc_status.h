#ifndef AGENTDESK_CORE_SERVICE_CLIENT_RPC_STATUS_H_
#define AGENTDESK_CORE_SERVICE_CLIENT_RPC_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace agentdesk::client {

// The status of a call with what the core says about an error (ErrorInfo, BadRequest, RetryInfo) as
// the ErrorDetail that DetailOf in base/error.h reads. Details that cannot be read are left out.
absl::Status FromRpc(const grpc::Status& status);

}  // namespace agentdesk::client

#endif  // AGENTDESK_CORE_SERVICE_CLIENT_RPC_STATUS_H_
