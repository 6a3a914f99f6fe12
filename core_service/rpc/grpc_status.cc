#include "core_service/rpc/grpc_status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace agentdesk::rpc {
namespace {

constexpr char kDomain[] = "agentdesk.v1";
// Clients refuse more than 8 KiB of trailing metadata. The text travels twice, once of them
// percent-encoded, the details in base64.
constexpr size_t kMaxText = 1024;
constexpr size_t kMaxMetadata = 1024;

// At most `size` bytes, not ending within a character.
std::string Cut(absl::string_view text, size_t size) {
  if (text.size() <= size) return std::string(text);
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0u) == 0x80u) --size;
  return std::string(text.substr(0, size));
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const ErrorDetail detail = DetailOf(status);
  const std::string text = Cut(status.message(), kMaxText);

  google::rpc::Status rich;
  rich.set_code(status.raw_code());
  rich.set_message(text);
  if (!detail.field.empty()) {
    google::rpc::BadRequest bad_request;
    auto* violation = bad_request.add_field_violations();
    violation->set_field(detail.field);
    violation->set_description(text);
    rich.add_details()->PackFrom(bad_request);
  }
  google::rpc::ErrorInfo info;
  info.set_reason(detail.reason);
  info.set_domain(kDomain);
  size_t room = kMaxMetadata;
  for (const auto& [name, value] : detail.metadata) {
    if (name.size() + value.size() > room) continue;
    room -= name.size() + value.size();
    (*info.mutable_metadata())[name] = value;
  }
  rich.add_details()->PackFrom(info);
  if (detail.retry_after.has_value()) {
    google::rpc::RetryInfo retry;
    *retry.mutable_retry_delay() = ToProto(*detail.retry_after);
    rich.add_details()->PackFrom(retry);
  }
  // The two sets of codes have the same numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()), text,
                      rich.SerializeAsString());
}

absl::Status Draining(absl::string_view advice) {
  return ErrorWithReason(absl::StatusCode::kUnavailable, "draining",
                         absl::StrCat("the desk is going down. ", advice));
}

}  // namespace agentdesk::rpc
