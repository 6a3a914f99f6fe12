#include "tools/agentdesk-bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/agentdesk-bench/failure.h"

namespace agentdesk::bench {
namespace {

constexpr double kBucketsPerDoubling = 64;  // each about 1 % wide
constexpr size_t kBuckets = 64 * 40;        // up to 2^40 ns, 18 minutes

std::string Number(double value) { return absl::StrFormat("%.6g", value); }

std::string JsonSamples(const Samples& samples) {
  return absl::StrCat(
      "\"samples\":[",
      absl::StrJoin(samples.values, ",",
                    [](std::string* out, double value) { absl::StrAppend(out, Number(value)); }),
      "],\"median\":", Number(samples.Median()), ",\"low\":", Number(samples.Low()),
      ",\"high\":", Number(samples.High()));
}

std::string Spread(const Samples& samples) {
  if (samples.values.size() == 1) return Number(samples.Median());
  return absl::StrFormat("%.4g (%.4g to %.4g)", samples.Median(), samples.Low(), samples.High());
}

}  // namespace

double Samples::Quantile(double fraction) const {
  if (values.empty()) Fail("a figure without a sample");
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const double at = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - static_cast<double>(below));
}

Samples Ratio(const Samples& over, const Samples& under) {
  Samples ratio;
  for (size_t i = 0; i < std::min(over.values.size(), under.values.size()); ++i) {
    ratio.Add(over.values[i] / under.values[i]);
  }
  return ratio;
}

Histogram::Histogram() : buckets_(kBuckets) {}

size_t Histogram::BucketOf(int64_t ns) {
  const double position = std::log2(static_cast<double>(std::max<int64_t>(ns, 1)));
  return std::min(static_cast<size_t>(position * kBucketsPerDoubling), kBuckets - 1);
}

void Histogram::Add(int64_t ns) {
  ++buckets_[BucketOf(ns)];
  ++count_;
}

double Histogram::QuantileSeconds(double fraction) const {
  if (count_ == 0) Fail("a distribution without a sample");
  const auto wanted = static_cast<int64_t>(std::ceil(fraction * static_cast<double>(count_)));
  int64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= wanted) {
      return std::exp2((static_cast<double>(i) + 0.5) / kBucketsPerDoubling) / 1e9;
    }
  }
  return 0;
}

std::string Quoted(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppend(&quoted, absl::StrFormat("\\u%04x", c));
    } else {
      quoted.push_back(c);
    }
  }
  quoted.push_back('"');
  return quoted;
}

void Report::Begin(absl::string_view path, absl::string_view title) {
  paths_.push_back({std::string(path), std::string(title), {}, {}, {}, {}});
  if (!quiet_) absl::PrintF("\n%s: %s\n", path, title);
}

void Report::Note(absl::string_view text) {
  paths_.back().notes.push_back(Quoted(text));
  if (!quiet_) absl::PrintF("  %s\n", text);
  std::fflush(stdout);
}

void Report::Add(absl::string_view name, absl::string_view unit, const Samples& samples) {
  paths_.back().measures.push_back(absl::StrCat(
      "{\"name\":", Quoted(name), ",\"unit\":", Quoted(unit), ",", JsonSamples(samples), "}"));
  if (!quiet_) absl::PrintF("  %-64s %s %s\n", name, Spread(samples), unit);
  std::fflush(stdout);
}

void Report::Bar(absl::string_view name, Rule rule, double limit, const Samples& samples) {
  const double median = samples.Median();
  const bool met = rule == Rule::kAtLeast ? median >= limit : median <= limit;
  missed_ += met ? 0 : 1;
  const absl::string_view words = rule == Rule::kAtLeast ? "at least" : "at most";
  paths_.back().bars.push_back(absl::StrCat(
      "{\"name\":", Quoted(name), ",\"rule\":", Quoted(words), ",\"bar\":", Number(limit),
      ",\"met\":", met ? "true" : "false", ",", JsonSamples(samples), "}"));
  const std::string line = absl::StrFormat("%-6s %-64s %s, bar: %s %.4g", met ? "met" : "MISSED",
                                           name, Spread(samples), words, limit);
  summary_.push_back(line);
  if (!quiet_) absl::PrintF("  %s\n", line);
  std::fflush(stdout);
}

void Report::Series(absl::string_view name, absl::string_view x_name,
                    const std::vector<std::pair<double, double>>& points) {
  const std::string list =
      absl::StrJoin(points, ",", [](std::string* out, const std::pair<double, double>& point) {
        absl::StrAppend(out, "[", Number(point.first), ",", Number(point.second), "]");
      });
  paths_.back().series.push_back(absl::StrCat("{\"name\":", Quoted(name), ",\"x\":", Quoted(x_name),
                                              ",\"points\":[", list, "]}"));
}

std::string Report::Json(absl::string_view about) const {
  std::vector<std::string> paths;
  for (const Path& path : paths_) {
    paths.push_back(absl::StrCat("{\"path\":", Quoted(path.name), ",\"title\":", Quoted(path.title),
                                 ",\"notes\":[", absl::StrJoin(path.notes, ","), "],\"measures\":[",
                                 absl::StrJoin(path.measures, ","), "],\"bars\":[",
                                 absl::StrJoin(path.bars, ","), "],\"series\":[",
                                 absl::StrJoin(path.series, ","), "]}"));
  }
  return absl::StrCat("{\"about\":", about, ",\"paths\":[", absl::StrJoin(paths, ",\n"), "]}\n");
}

std::string Report::Summary() const { return absl::StrCat(absl::StrJoin(summary_, "\n"), "\n"); }

}  // namespace agentdesk::bench
