#ifndef AGENTDESK_CORE_SERVICE_GRPC_SETTINGS_H_
#define AGENTDESK_CORE_SERVICE_GRPC_SETTINGS_H_

namespace agentdesk {

// What gRPC, and protobuf and abseil below it, are set to in a process of ours, at whichever end of
// a call: their log lines go where ours go, and abseil's mutexes keep no graph of who was locked
// before whom. Call before the first channel or server; again does nothing. Thread-safe.
void ApplyGrpcSettings();

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_GRPC_SETTINGS_H_
