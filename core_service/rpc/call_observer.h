#ifndef AGENTDESK_CORE_SERVICE_RPC_CALL_OBSERVER_H_
#define AGENTDESK_CORE_SERVICE_RPC_CALL_OBSERVER_H_

#include <array>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/metrics.h"
#include "core_service/base/span_exporter.h"
#include "core_service/base/trace_context.h"
#include "core_service/base/uuid.h"
#include "google/protobuf/descriptor.h"

namespace agentdesk::rpc {

// Sees how each call of our services ends: counts it by method and code, under the names that
// gRPC's exporters use everywhere, logs it at debug, and exports its span. Thread-safe.
class CallObserver {
 public:
  // One method's.
  struct Method {
    std::string name;                             // agentdesk.v1.TicketService/CreateTicket
    std::array<Metrics::Counter*, 17> handled{};  // by code
    Metrics::Histogram* seconds = nullptr;        // null for streams
  };
  struct Call {
    const Method* method = nullptr;
    absl::Duration began;               // on the monotonic clock
    std::optional<TraceContext> trace;  // the caller's
  };

  // All must outlive it; `spans` may be null.
  CallObserver(Clock& clock, IdSource& ids, Metrics& metrics, SpanExporter* spans);

  // By the type of its request, which each method of ours has for itself; null for any other.
  const Method* Find(const google::protobuf::Descriptor& request) const;
  void Ended(const Call& call, const absl::Status& status);

 private:
  void Export(const Call& call, const absl::Status& status, absl::Duration took);

  Clock& clock_;
  IdSource& ids_;
  Metrics& metrics_;
  SpanExporter* const spans_;
  absl::flat_hash_map<const google::protobuf::Descriptor*, Method> methods_;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_CALL_OBSERVER_H_
