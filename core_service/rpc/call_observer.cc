#include "core_service/rpc/call_observer.h"

#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "agentdesk/v1/admin.pb.h"
#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/base/error.h"
#include "core_service/base/log.h"

namespace agentdesk::rpc {
namespace {

// As https://grpc.io/docs/guides/status-codes/ and the exporters of other languages write them.
constexpr std::array<const char*, 17> kCodes = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

}  // namespace

CallObserver::CallObserver(Clock& clock, IdSource& ids, Metrics& metrics, SpanExporter* spans)
    : clock_(clock), ids_(ids), metrics_(metrics), spans_(spans) {
  for (const google::protobuf::Descriptor* message :
       {v1::CreateTicketRequest::descriptor(), v1::GetSessionRequest::descriptor(),
        v1::ClaimJobRequest::descriptor(), v1::SubscribeRequest::descriptor(),
        v1::CompactRequest::descriptor()}) {
    const google::protobuf::FileDescriptor& file = *message->file();
    for (int s = 0; s < file.service_count(); ++s) {
      const google::protobuf::ServiceDescriptor& service = *file.service(s);
      for (int m = 0; m < service.method_count(); ++m) {
        const google::protobuf::MethodDescriptor& method = *service.method(m);
        Metrics::Labels labels = {{"grpc_service", service.full_name()},
                                  {"grpc_method", method.name()}};
        Method& made = methods_[method.input_type()];
        made.name = absl::StrCat(service.full_name(), "/", method.name());
        if (!method.server_streaming()) {
          made.seconds = &metrics.AddHistogram(
              "grpc_server_handling_seconds",
              "Time from the arrival of a call that answers once until its answer.",
              LatencyBounds(), labels);
        }
        for (size_t code = 0; code < kCodes.size(); ++code) {
          labels["grpc_code"] = kCodes[code];
          made.handled[code] = &metrics.AddCounter("grpc_server_handled_total",
                                                   "Calls that ended, by code.", labels);
        }
      }
    }
  }
}

const CallObserver::Method* CallObserver::Find(const google::protobuf::Descriptor& request) const {
  const auto method = methods_.find(&request);
  return method == methods_.end() ? nullptr : &method->second;
}

void CallObserver::Ended(const Call& call, const absl::Status& status) {
  if (call.method == nullptr) return;
  const absl::Duration took = clock_.Monotonic() - call.began;
  const size_t code = static_cast<size_t>(status.raw_code()) % kCodes.size();
  call.method->handled[code]->Increment();
  if (call.method->seconds != nullptr) call.method->seconds->Observe(absl::ToDoubleSeconds(took));
  if (IsDebugLogged()) {
    LogDebug("call", {{"method", call.method->name},
                      {"code", kCodes[code]},
                      {"ms", absl::ToDoubleMilliseconds(took)},
                      {"trace_id", call.trace.has_value() ? call.trace->trace_id : ""},
                      {"error", status.message()}});
  }
  if (spans_ != nullptr && call.trace.has_value()) Export(call, status, took);
  if (status.ok() || status.code() == absl::StatusCode::kCancelled) return;
  // Reasons are words of ours, never of a caller's.
  metrics_
      .AddCounter("agentdesk_refused_calls_total", "Calls that were refused or failed, by reason.",
                  {{"reason", DetailOf(status).reason}})
      .Increment();
}

void CallObserver::Export(const Call& call, const absl::Status& status, absl::Duration took) {
  const absl::Time now = clock_.Now();
  Span span;
  span.context = call.trace->Child(ids_, now);
  span.parent_span_id = call.trace->span_id;
  span.name = call.method->name;
  span.kind = Span::Kind::kServer;
  span.start = now - took;
  span.end = now;
  // By OpenTelemetry's conventions, what a server refuses is not its failure.
  span.failed = status.code() == absl::StatusCode::kInternal ||
                status.code() == absl::StatusCode::kUnavailable ||
                status.code() == absl::StatusCode::kDataLoss ||
                status.code() == absl::StatusCode::kUnknown;
  span.attributes = {{"rpc.system", "grpc"},
                     {"rpc.grpc.status_code", absl::StrCat(status.raw_code())}};
  spans_->Export(std::move(span));
}

}  // namespace agentdesk::rpc
