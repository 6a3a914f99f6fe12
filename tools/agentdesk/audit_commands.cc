#include <cstdio>
#include <limits>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "core_service/offline/audit.h"
#include "tools/agentdesk/commands.h"
#include "tools/json_line.h"
#include "ws_gateway/event_json.h"

namespace agentdesk::cli {
namespace {

std::string Hex(const store::Digest& digest) {
  return absl::BytesToHexString(store::Bytes(digest));
}

// Who did what, from where, and what proves it; nothing of its content.
std::string AuditLine(const store::LogEntry& entry) {
  const v1::Event& event = entry.event;
  tools::JsonLine line;
  line.Add("sequence", event.sequence())
      .Add("time", FormatTimestamp(event.time()))
      .Add("type", gateway::EventTypeName(entry.type))
      .Add("actor", event.actor().id())
      .Add("via", event.actor().via())
      .Add("client_address", event.client_address())
      .Add("gateway_address", event.gateway_address())
      .Add("tenant", event.tenant())
      .Add("ticket_id", event.ticket_id())
      .Add("session_id", event.session_id())
      .Add("job_id", event.job_id())
      .Add("trace_id", event.trace_id());
  if (entry.erased_by != 0) line.Add("erased_by", entry.erased_by);
  return line.Add("header", absl::Base64Escape(entry.header))
      .Add("content_hash", Hex(entry.content_hash))
      .Add("hash", Hex(entry.chain))
      .Text();
}

absl::StatusOr<std::optional<offline::ChainAnchor>> ReadAnchor(const Invocation& invocation) {
  if (!invocation.Has("expect")) return std::nullopt;
  absl::StatusOr<offline::ChainAnchor> anchor =
      offline::ChainAnchor::Parse(invocation.Get("expect"));
  if (!anchor.ok()) return UsageError(absl::StrCat("--expect: ", anchor.status().message()));
  return *std::move(anchor);
}

absl::Status RunVerify(const Invocation& invocation, Output output) {
  const std::string& path = invocation.arguments[0];
  const auto anchor = ReadAnchor(invocation);
  if (!anchor.ok()) return anchor.status();
  int64_t erased = 0;
  const auto log =
      offline::AuditLog(path, *anchor, [&erased](const store::LogEntry& entry) -> absl::Status {
        erased += entry.erased_by != 0 ? 1 : 0;
        return absl::OkStatus();
      });
  if (!log.ok()) return log.status();
  if (output.json) {
    std::puts(tools::JsonLine()
                  .Add("desk_id", log->desk_id)
                  .Add("head_sequence", log->head)
                  .Add("erased", erased)
                  .Add("hash", Hex(log->chain))
                  .Text()
                  .c_str());
  } else {
    std::puts(absl::StrCat(path, ": desk ", log->desk_id, ", ", log->head,
                           " events follow from each other, the content of ", erased,
                           " is erased; ", log->head, ":", Hex(log->chain))
                  .c_str());
  }
  return absl::OkStatus();
}

absl::Status RunExport(const Invocation& invocation) {
  const auto anchor = ReadAnchor(invocation);
  if (!anchor.ok()) return anchor.status();
  const auto after = NumberFlag(invocation, "after", 0, std::numeric_limits<int64_t>::max(), 0);
  if (!after.ok()) return after.status();
  return offline::AuditLog(invocation.arguments[0], *anchor,
                           [&](const store::LogEntry& entry) -> absl::Status {
                             if (entry.event.sequence() <= *after) return absl::OkStatus();
                             if (std::puts(AuditLine(entry).c_str()) >= 0) return absl::OkStatus();
                             return absl::DataLossError("standard output cannot be written");
                           })
      .status();
}

}  // namespace

absl::Status RunAuditCommand(const Invocation& invocation, Output output) {
  if (invocation.command->words == "audit verify") return RunVerify(invocation, output);
  return RunExport(invocation);
}

}  // namespace agentdesk::cli
