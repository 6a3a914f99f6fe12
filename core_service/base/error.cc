#include "core_service/base/error.h"

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace agentdesk {
namespace {

// A status carries named payloads; these are ours.
constexpr char kReason[] = "agentdesk/reason";
constexpr char kField[] = "agentdesk/field";
constexpr char kRetryAfter[] = "agentdesk/retry_after_us";
constexpr absl::string_view kMetadata = "agentdesk/metadata/";

std::string Payload(const absl::Status& status, absl::string_view name) {
  const auto payload = status.GetPayload(name);
  return payload.has_value() ? std::string(*payload) : std::string();
}

}  // namespace

absl::Status WithDetail(absl::Status status, const ErrorDetail& detail) {
  if (!detail.reason.empty()) status.SetPayload(kReason, absl::Cord(detail.reason));
  if (!detail.field.empty()) status.SetPayload(kField, absl::Cord(detail.field));
  if (detail.retry_after.has_value()) {
    status.SetPayload(kRetryAfter,
                      absl::Cord(absl::StrCat(absl::ToInt64Microseconds(*detail.retry_after))));
  }
  for (const auto& [name, value] : detail.metadata) {
    status.SetPayload(absl::StrCat(kMetadata, name), absl::Cord(value));
  }
  return status;
}

absl::Status InvalidField(absl::string_view field, absl::string_view rule) {
  return WithDetail(absl::InvalidArgumentError(absl::StrCat(field, ": ", rule)),
                    {.reason = "invalid_argument",
                     .field = std::string(field),
                     .retry_after = std::nullopt,
                     .metadata = {}});
}

absl::Status ErrorWithReason(absl::StatusCode code, absl::string_view reason,
                             absl::string_view message) {
  return WithDetail(
      absl::Status(code, message),
      {.reason = std::string(reason), .field = {}, .retry_after = std::nullopt, .metadata = {}});
}

absl::Status Overloaded(absl::string_view message) {
  return WithDetail(absl::ResourceExhaustedError(message), {.reason = "overloaded",
                                                            .field = {},
                                                            .retry_after = absl::Milliseconds(200),
                                                            .metadata = {}});
}

ErrorDetail DetailOf(const absl::Status& status) {
  ErrorDetail detail;
  detail.reason = Payload(status, kReason);
  detail.field = Payload(status, kField);
  if (int64_t us = 0; absl::SimpleAtoi(Payload(status, kRetryAfter), &us)) {
    detail.retry_after = absl::Microseconds(us);
  }
  status.ForEachPayload([&](absl::string_view name, const absl::Cord& value) {
    if (absl::ConsumePrefix(&name, kMetadata)) {
      detail.metadata.emplace_back(std::string(name), std::string(value));
    }
  });
  if (detail.reason.empty()) {
    detail.reason = absl::AsciiStrToLower(absl::StatusCodeToString(status.code()));
  }
  return detail;
}

}  // namespace agentdesk
