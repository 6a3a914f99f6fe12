#ifndef AGENTDESK_CORE_SERVICE_RPC_CALLER_H_
#define AGENTDESK_CORE_SERVICE_RPC_CALLER_H_

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core_service/base/trace_context.h"
#include "core_service/desk/desk.h"
#include "grpcpp/support/string_ref.h"

namespace agentdesk::rpc {

using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// On whose behalf a call is made, by its metadata:
//   agentdesk-actor  a label for who acts, 1 to 200 printable characters; default `anonymous`. It
//                    is taken at its word, so it names no identity: that stays empty.
//   agentdesk-via    the way the command came: grpc (default), http, websocket or worker
//   agentdesk-client the IP address from which a gateway was asked; default: nothing
//   traceparent      W3C trace context; one that is malformed is ignored, as its specification says
// InvalidArgument names the key whose value breaks its rule.
absl::StatusOr<desk::Caller> CallerOf(const Metadata& metadata);

// The address in what gRPC calls a peer, such as `ipv4:192.0.2.1:4711` or `ipv6:%5B::1%5D:4711`,
// without its port. Empty for one that is not of the network.
std::string AddressOfPeer(absl::string_view peer);

// The trace that a call is part of, if it says one.
std::optional<TraceContext> TraceOf(const Metadata& metadata);

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_CALLER_H_
