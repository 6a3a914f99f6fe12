#include "core_service/offline/audit.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace agentdesk::offline {

absl::StatusOr<ChainAnchor> ChainAnchor::Parse(absl::string_view text) {
  ChainAnchor anchor;
  const size_t colon = text.find(':');
  const absl::string_view hex =
      colon == absl::string_view::npos ? absl::string_view() : text.substr(colon + 1);
  const auto is_hex = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (hex.size() != 2 * sizeof(store::Digest) || !std::all_of(hex.begin(), hex.end(), is_hex) ||
      !absl::SimpleAtoi(text.substr(0, colon), &anchor.sequence) || anchor.sequence < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", text, "` is not a sequence, a colon and 64 hexadecimal digits"));
  }
  anchor.chain = absl::HexStringToBytes(hex);
  return anchor;
}

absl::StatusOr<store::VerifiedLog> AuditLog(
    const std::string& path, const std::optional<ChainAnchor>& anchor,
    absl::FunctionRef<absl::Status(const store::LogEntry&)> visit) {
  const auto check = [&](const store::LogEntry& entry) -> absl::Status {
    if (anchor.has_value() && anchor->sequence == entry.event.sequence() &&
        store::Bytes(entry.chain) != anchor->chain) {
      return absl::DataLossError(
          absl::StrCat("event ", anchor->sequence,
                       " has another chain value than the one that was noted: it, or "
                       "one before it, was rewritten with all hashes after it"));
    }
    return visit(entry);
  };
  absl::StatusOr<store::VerifiedLog> log = store::VerifySqliteLog(path, check);
  if (log.ok() && anchor.has_value() && log->head < anchor->sequence) {
    return absl::DataLossError(absl::StrCat("event ", log->head + 1,
                                            " is missing: the log once reached to event ",
                                            anchor->sequence, " at least"));
  }
  return log;
}

}  // namespace agentdesk::offline
