#ifndef AGENTDESK_CORE_SERVICE_BASE_METRICS_H_
#define AGENTDESK_CORE_SERVICE_BASE_METRICS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "core_service/base/mutex.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/labels.h"
#include "prometheus/registry.h"

namespace agentdesk {

// A count that one thread adds to and any thread reads: an addition, and no more. For what happens
// for each message, where even an uncontended atomic addition would be seen.
class Tally {
 public:
  void Add(int64_t count) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// What a process tells about itself, in the text format of Prometheus. Each room adds what it
// counts once, at its start, and keeps the references, which live as long as this object.
//
// Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` for what only
// grows. A label has few values, all known beforehand; ids and names of people, tickets or
// connections are never labels. docs/OPERATIONS.md lists every metric.
//
// Thread-safe.
class Metrics {
 public:
  using Counter = prometheus::Counter;
  using Gauge = prometheus::Gauge;
  using Histogram = prometheus::Histogram;
  using Labels = prometheus::Labels;
  using Reading = std::function<double()>;

  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name and labels again give the same instrument. An addition costs some nanoseconds, an
  // observation about fifty.
  Counter& AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& AddHistogram(const std::string& name, const std::string& help,
                          const std::vector<double>& bounds, const Labels& labels = {});

  // A value that is read when the text is made, and until then costs nothing. Readings with the
  // same name and labels are added up: each thread may have one of its own. `reading` is called on
  // the thread that calls Text, must not block, and what it reads must live until the last Text.
  void ReadCounter(const std::string& name, const std::string& help, const Labels& labels,
                   Reading reading) ABSL_LOCKS_EXCLUDED(mutex_);
  void ReadGauge(const std::string& name, const std::string& help, const Labels& labels,
                 Reading reading) ABSL_LOCKS_EXCLUDED(mutex_);

  // Everything as of now, as `text/plain; version=0.0.4`.
  std::string Text() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct ReadFamily {
    std::string name;
    std::string help;
    bool counts = false;  // a counter, not a gauge
    std::vector<std::pair<Labels, std::vector<Reading>>> readings;
  };

  void AddReading(const std::string& name, const std::string& help, bool counts,
                  const Labels& labels, Reading reading) ABSL_LOCKS_EXCLUDED(mutex_);

  prometheus::Registry registry_;
  mutable Mutex mutex_;
  std::vector<ReadFamily> read_ ABSL_GUARDED_BY(mutex_);
};

inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// Bounds in seconds for what takes from a tenth of a millisecond to ten seconds.
std::vector<double> LatencyBounds();

// How the value of an enum of the protos reads in a label: `JOB_STATUS_QUEUED` without
// `JOB_STATUS_` is `queued`.
std::string EnumLabel(absl::string_view name, absl::string_view prefix);

// The figures of this process that every exporter has (CPU, memory, descriptors, start), and
// `agentdesk_build_info`.
void AddProcessMetrics(Metrics& metrics, const std::string& service);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_METRICS_H_
