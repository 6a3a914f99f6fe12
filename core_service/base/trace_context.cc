#include "core_service/base/trace_context.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace agentdesk {
namespace {

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(absl::string_view text) {
  return text.find_first_not_of('0') == absl::string_view::npos;
}

// 62 bits of it are random, and a bit of its variant is set, so it is never zero.
std::string NewSpanId(IdSource& ids, absl::Time now) {
  return absl::StrCat(absl::Hex(ids.NewUuid(now).low, absl::kZeroPad16));
}

}  // namespace

std::optional<TraceContext> TraceContext::Parse(absl::string_view header) {
  // version(2)-trace id(32)-parent id(16)-flags(2); a later version may be longer.
  if (header.size() < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-') {
    return std::nullopt;
  }
  const absl::string_view version = header.substr(0, 2);
  const absl::string_view trace = header.substr(3, 32);
  const absl::string_view parent = header.substr(36, 16);
  const absl::string_view flags = header.substr(53, 2);
  if (!IsLowerHex(version) || !IsLowerHex(trace) || !IsLowerHex(parent) || !IsLowerHex(flags) ||
      version == "ff" || IsZero(trace) || IsZero(parent) ||
      (header.size() > 55 && (version == "00" || header[55] != '-'))) {
    return std::nullopt;
  }
  // The lowest bit of the flags; an odd hex digit.
  const bool sampled = absl::string_view("13579bdf").find(flags[1]) != absl::string_view::npos;
  return TraceContext{std::string(trace), std::string(parent), sampled};
}

TraceContext TraceContext::New(IdSource& ids, absl::Time now) {
  const Uuid uuid = ids.NewUuid(now);
  return {
      absl::StrCat(absl::Hex(uuid.high, absl::kZeroPad16), absl::Hex(uuid.low, absl::kZeroPad16)),
      NewSpanId(ids, now), true};
}

TraceContext TraceContext::Child(IdSource& ids, absl::Time now) const {
  return {trace_id, NewSpanId(ids, now), sampled};
}

std::string TraceContext::ToHeader() const {
  return absl::StrCat("00-", trace_id, "-", span_id, sampled ? "-01" : "-00");
}

}  // namespace agentdesk
