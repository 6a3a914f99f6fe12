#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_REPORT_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_REPORT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace agentdesk::bench {

// The same thing measured several times.
struct Samples {
  std::vector<double> values;

  void Add(double value) { values.push_back(value); }
  // 0.5 is the median. Not for no samples.
  double Quantile(double fraction) const;
  double Median() const { return Quantile(0.5); }
  double Low() const { return Quantile(0); }
  double High() const { return Quantile(1); }
};

// Sample by sample: `over` and `under` were measured side by side.
Samples Ratio(const Samples& over, const Samples& under);

// Many durations, to a hundredth of their size.
class Histogram {
 public:
  Histogram();
  void Add(int64_t ns);
  int64_t count() const { return count_; }
  double QuantileSeconds(double fraction) const;

 private:
  static size_t BucketOf(int64_t ns);

  std::vector<int64_t> buckets_;
  int64_t count_ = 0;
};

enum class Rule { kAtLeast, kAtMost };

// What was measured, told as it comes and in the end as JSON. It decides nothing: a missed bar is
// told, a lost message has failed the run before.
class Report {
 public:
  explicit Report(bool quiet) : quiet_(quiet) {}

  // All that follows is about this path.
  void Begin(absl::string_view path, absl::string_view title);
  void Note(absl::string_view text);
  void Add(absl::string_view name, absl::string_view unit, const Samples& samples);
  // A figure that is held to a limit.
  void Bar(absl::string_view name, Rule rule, double limit, const Samples& samples);
  // A line of a plot.
  void Series(absl::string_view name, absl::string_view x_name,
              const std::vector<std::pair<double, double>>& points);

  bool all_met() const { return missed_ == 0; }
  // One JSON object; `about` is that of the machine and settings, already JSON.
  std::string Json(absl::string_view about) const;
  // The bars alone, for people.
  std::string Summary() const;

 private:
  struct Path {
    std::string name;
    std::string title;
    std::vector<std::string> notes;
    std::vector<std::string> measures;  // each a JSON object
    std::vector<std::string> bars;
    std::vector<std::string> series;
  };

  const bool quiet_;
  int missed_ = 0;
  std::vector<Path> paths_;
  std::vector<std::string> summary_;
};

// A JSON text of a string.
std::string Quoted(absl::string_view text);

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_REPORT_H_
