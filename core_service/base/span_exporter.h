#ifndef AGENTDESK_CORE_SERVICE_BASE_SPAN_EXPORTER_H_
#define AGENTDESK_CORE_SERVICE_BASE_SPAN_EXPORTER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/metrics.h"
#include "core_service/base/mutex.h"
#include "core_service/base/trace_context.h"

namespace agentdesk {

// One piece of work in a trace.
struct Span {
  enum class Kind { kServer = 2, kClient = 3 };  // numbers of OTLP

  TraceContext context;        // with its own id
  std::string parent_span_id;  // empty: it is the first of its trace
  std::string name;
  Kind kind = Kind::kServer;
  absl::Time start;
  absl::Time end;
  bool failed = false;
  std::vector<std::pair<std::string, std::string>> attributes;
};

// Sends spans to a collector by OTLP over HTTP with JSON
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp), in batches, on a thread of its own. Nobody
// waits for it: what it cannot hold or deliver is dropped and counted in
// `agentdesk_spans_dropped_total`. Thread-safe.
class SpanExporter {
 public:
  struct Options {
    std::string endpoint;  // http://HOST:PORT/PATH, such as http://127.0.0.1:4318/v1/traces
    std::string service;   // `service.name`
    size_t max_queue = 4096;
    size_t max_batch = 512;
    absl::Duration interval = absl::Seconds(1);  // how long a span waits for others at most
    absl::Duration timeout = absl::Seconds(2);   // for a batch to be taken
  };

  // Without an endpoint there is none: null. InvalidArgument unless the endpoint is one; says what
  // is wrong with it. It is reached, or not, later. `metrics` must outlive the exporter.
  static absl::StatusOr<std::unique_ptr<SpanExporter>> Start(Options options, Metrics& metrics);
  // Checks an endpoint.
  static absl::Status CheckEndpoint(absl::string_view endpoint);
  // Tries for two timeouts at most to deliver what waits.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // Takes a span unless it is not sampled. Never blocks.
  void Export(Span span) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  SpanExporter(Options options, Metrics& metrics);

  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  bool TakeBatch(std::vector<Span>& batch) ABSL_LOCKS_EXCLUDED(mutex_);
  void Deliver(const std::vector<Span>& batch);

  const Options options_;
  Metrics::Counter& exported_;
  Metrics::Counter& overflowed_;
  Metrics::Counter& undelivered_;
  bool warned_ = false;  // of the thread alone

  Mutex mutex_;
  Condition changed_;
  std::vector<Span> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// The batch as OTLP's JSON (opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest).
std::string EncodeSpans(absl::string_view service, const std::vector<Span>& spans);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_SPAN_EXPORTER_H_
