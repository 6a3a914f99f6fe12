#include "core_service/client/rpc_status.h"

#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace agentdesk::client {

absl::Status FromRpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // The two enums have the same numbers, those of google.rpc.Code.
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status rich;
  if (status.error_details().empty() || !rich.ParseFromString(status.error_details())) {
    return result;
  }
  ErrorDetail detail;
  for (const google::protobuf::Any& any : rich.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad_request;
    google::rpc::RetryInfo retry;
    if (any.Is<google::rpc::ErrorInfo>() && any.UnpackTo(&info)) {
      detail.reason = info.reason();
      for (const auto& [name, value] : info.metadata()) detail.metadata.emplace_back(name, value);
    } else if (any.Is<google::rpc::BadRequest>() && any.UnpackTo(&bad_request)) {
      if (bad_request.field_violations_size() > 0) {
        detail.field = bad_request.field_violations(0).field();
      }
    } else if (any.Is<google::rpc::RetryInfo>() && any.UnpackTo(&retry)) {
      detail.retry_after = FromProto(retry.retry_delay());
    }
  }
  return WithDetail(std::move(result), detail);
}

}  // namespace agentdesk::client
