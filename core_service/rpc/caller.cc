#include "core_service/rpc/caller.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core_service/base/error.h"
#include "core_service/base/utf8.h"

namespace agentdesk::rpc {
namespace {

constexpr char kActorKey[] = "agentdesk-actor";
constexpr char kViaKey[] = "agentdesk-via";
constexpr char kTraceKey[] = "traceparent";
constexpr int kMaxActorCharacters = 200;

std::optional<absl::string_view> Find(const Metadata& metadata, const char* key) {
  const auto entry = metadata.find(key);
  if (entry == metadata.end()) return std::nullopt;
  return absl::string_view(entry->second.data(), entry->second.size());
}

bool IsControl(char32_t character) {
  return character < 0x20 || (character >= 0x7F && character < 0xA0);
}

absl::Status CheckActor(absl::string_view actor) {
  int characters = 0;
  for (absl::string_view rest = actor; !rest.empty(); ++characters) {
    const std::optional<char32_t> character = TakeCharacter(rest);
    if (!character.has_value()) return InvalidField(kActorKey, "must be UTF-8");
    if (IsControl(*character)) return InvalidField(kActorKey, "must have no control characters");
  }
  if (characters < 1 || characters > kMaxActorCharacters) {
    return InvalidField(kActorKey, absl::StrCat("must have 1 to ", kMaxActorCharacters,
                                                " characters, has ", characters));
  }
  if (actor == "agentdesk") return InvalidField(kActorKey, "`agentdesk` is the desk's own name");
  return absl::OkStatus();
}

// The trace id of `VERSION-TRACE_ID-PARENT_ID-FLAGS`, all lower-case hex; empty where it is not
// well-formed.
std::string TraceId(absl::string_view traceparent) {
  constexpr size_t kLength = 55;
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (traceparent.size() < kLength) return "";
  for (size_t i = 0; i < kLength; ++i) {
    const bool dash = i == 2 || i == 35 || i == 52;
    if (dash ? traceparent[i] != '-' : !is_hex(traceparent[i])) return "";
  }
  const absl::string_view version = traceparent.substr(0, 2);
  const absl::string_view trace_id = traceparent.substr(3, 32);
  const absl::string_view parent_id = traceparent.substr(36, 16);
  const auto is_zero = [](absl::string_view id) {
    return std::all_of(id.begin(), id.end(), [](char c) { return c == '0'; });
  };
  // Later versions may go on after another dash; version 00 ends here, and ff is not one.
  const bool longer = traceparent.size() > kLength;
  if (version == "ff" || is_zero(trace_id) || is_zero(parent_id)) return "";
  if (longer && (version == "00" || traceparent[kLength] != '-')) return "";
  return std::string(trace_id);
}

}  // namespace

absl::StatusOr<desk::Caller> CallerOf(const Metadata& metadata) {
  desk::Caller caller;
  caller.actor.set_id("anonymous");
  caller.actor.set_via("grpc");
  if (const auto actor = Find(metadata, kActorKey); actor.has_value()) {
    if (absl::Status status = CheckActor(*actor); !status.ok()) return status;
    caller.actor.set_id(std::string(*actor));
  }
  if (const auto via = Find(metadata, kViaKey); via.has_value()) {
    if (*via != "grpc" && *via != "http" && *via != "websocket" && *via != "worker") {
      return InvalidField(kViaKey, "must be grpc, http, websocket or worker");
    }
    caller.actor.set_via(std::string(*via));
  }
  if (const auto trace = Find(metadata, kTraceKey); trace.has_value()) {
    caller.trace_id = TraceId(*trace);
  }
  return caller;
}

}  // namespace agentdesk::rpc
