#include "core_service/base/metrics.h"

#include <algorithm>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "prometheus/family.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"

namespace agentdesk {

Metrics::Counter& Metrics::AddCounter(const std::string& name, const std::string& help,
                                      const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels);
}

Metrics::Gauge& Metrics::AddGauge(const std::string& name, const std::string& help,
                                  const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels);
}

Metrics::Histogram& Metrics::AddHistogram(const std::string& name, const std::string& help,
                                          const std::vector<double>& bounds, const Labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels, bounds);
}

void Metrics::ReadCounter(const std::string& name, const std::string& help, const Labels& labels,
                          Reading reading) {
  AddReading(name, help, true, labels, std::move(reading));
}

void Metrics::ReadGauge(const std::string& name, const std::string& help, const Labels& labels,
                        Reading reading) {
  AddReading(name, help, false, labels, std::move(reading));
}

void Metrics::AddReading(const std::string& name, const std::string& help, bool counts,
                         const Labels& labels, Reading reading) {
  MutexLock lock(mutex_);
  auto family = std::find_if(read_.begin(), read_.end(),
                             [&](const ReadFamily& known) { return known.name == name; });
  if (family == read_.end()) family = read_.insert(read_.end(), {name, help, counts, {}});
  auto& readings = family->readings;
  auto same = std::find_if(readings.begin(), readings.end(),
                           [&](const auto& known) { return known.first == labels; });
  if (same == readings.end()) same = readings.insert(readings.end(), {labels, {}});
  same->second.push_back(std::move(reading));
}

std::string Metrics::Text() const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  {
    MutexLock lock(mutex_);
    for (const ReadFamily& read : read_) {
      prometheus::MetricFamily& family = families.emplace_back();
      family.name = read.name;
      family.help = read.help;
      family.type = read.counts ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
      for (const auto& [labels, readings] : read.readings) {
        double sum = 0;
        for (const Reading& reading : readings) sum += reading();
        prometheus::ClientMetric& metric = family.metric.emplace_back();
        for (const auto& [name, value] : labels) metric.label.push_back({name, value});
        (read.counts ? metric.counter.value : metric.gauge.value) = sum;
      }
    }
  }
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

std::vector<double> LatencyBounds() {
  return {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
          0.05,   0.1,    0.2,    0.5,   1,     2,     5,    10};
}

std::string EnumLabel(absl::string_view name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

}  // namespace agentdesk
