#include "ws_gateway/trace_context.h"

#include <algorithm>

namespace agentdesk::gateway {
namespace {

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(absl::string_view text) {
  return text.find_first_not_of('0') == absl::string_view::npos;
}

}  // namespace

std::string ValidTraceParent(absl::string_view header) {
  // version(2)-trace id(32)-parent id(16)-flags(2); a later version may be longer.
  if (header.size() < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-') return {};
  const absl::string_view version = header.substr(0, 2);
  const absl::string_view trace = header.substr(3, 32);
  const absl::string_view parent = header.substr(36, 16);
  if (!IsLowerHex(version) || !IsLowerHex(trace) || !IsLowerHex(parent) ||
      !IsLowerHex(header.substr(53, 2)) || version == "ff" || IsZero(trace) || IsZero(parent) ||
      (header.size() > 55 && (version == "00" || header[55] != '-'))) {
    return {};
  }
  return std::string(header.substr(0, 55));
}

}  // namespace agentdesk::gateway
