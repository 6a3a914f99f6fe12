#ifndef AGENTDESK_CORE_SERVICE_RPC_MESSAGE_BYTES_H_
#define AGENTDESK_CORE_SERVICE_RPC_MESSAGE_BYTES_H_

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace agentdesk::rpc {

// All our methods take raw bytes and parse them here, since gRPC answers a request that it cannot
// parse with a bare UNIMPLEMENTED.

// InvalidArgument that names the field whose text is not UTF-8, or says that the bytes are no such
// message.
absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::Message& message);

grpc::Slice EncodeSlice(const google::protobuf::MessageLite& message);
grpc::ByteBuffer Encode(const google::protobuf::MessageLite& message);

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_MESSAGE_BYTES_H_
