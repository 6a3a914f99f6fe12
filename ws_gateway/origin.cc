#include "ws_gateway/origin.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace agentdesk::gateway {
namespace {

bool IsDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return absl::ascii_isdigit(c); });
}

// `127.0.0.1:8000`, `[::1]:8000`, or without a port.
bool IsAddress(absl::string_view host) {
  if (absl::StartsWith(host, "[")) return true;
  const size_t colon = host.find(':');
  if (colon != absl::string_view::npos && !IsDigits(host.substr(colon + 1))) return false;
  const absl::string_view name = host.substr(0, colon);
  // A name whose last label is a number is always an IPv4 address (WHATWG URL).
  return IsDigits(name.substr(name.rfind('.') + 1));
}

bool IsOrigin(absl::string_view origin, absl::string_view host) {
  return !host.empty() &&
         (origin == absl::StrCat("http://", host) || origin == absl::StrCat("https://", host));
}

}  // namespace

absl::StatusOr<OriginList> OriginList::Parse(const std::vector<std::string>& entries) {
  OriginList list;
  for (const std::string& raw : entries) {
    const std::string entry = absl::AsciiStrToLower(absl::StripAsciiWhitespace(raw));
    if (entry.empty()) continue;
    if (entry == "*") {
      list.any_ = true;
      continue;
    }
    absl::string_view host = entry;
    if ((!absl::ConsumePrefix(&host, "http://") && !absl::ConsumePrefix(&host, "https://")) ||
        host.empty() || absl::StrContains(host, "/")) {
      return absl::InvalidArgumentError(absl::StrCat(
          "`", raw, "` is no origin: it must be like https://desk.example or http://localhost:*"));
    }
    absl::string_view base = entry;
    if (absl::ConsumeSuffix(&base, ":*")) {
      list.any_port_.emplace_back(base);
    } else {
      list.exact_.push_back(entry);
    }
  }
  return list;
}

bool OriginList::Owns(absl::string_view origin, absl::string_view host) const {
  const std::string name = absl::AsciiStrToLower(origin);
  if (std::find(exact_.begin(), exact_.end(), name) != exact_.end()) return true;
  return IsOrigin(name, absl::AsciiStrToLower(host));
}

bool OriginList::Allows(absl::string_view origin, absl::string_view host) const {
  if (any_) return true;
  const std::string name = absl::AsciiStrToLower(origin);
  if (std::find(exact_.begin(), exact_.end(), name) != exact_.end()) return true;
  for (const std::string& base : any_port_) {
    absl::string_view rest = name;
    if (!absl::ConsumePrefix(&rest, base)) continue;
    if (rest.empty() || (absl::ConsumePrefix(&rest, ":") && IsDigits(rest))) return true;
  }
  const std::string own = absl::AsciiStrToLower(host);
  return IsAddress(own) && IsOrigin(name, own);
}

}  // namespace agentdesk::gateway
