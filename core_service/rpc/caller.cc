#include "core_service/rpc/caller.h"

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
  if (const auto trace = TraceOf(metadata); trace.has_value()) caller.trace_id = trace->trace_id;
  return caller;
}

std::optional<TraceContext> TraceOf(const Metadata& metadata) {
  const auto header = Find(metadata, kTraceKey);
  return header.has_value() ? TraceContext::Parse(*header) : std::nullopt;
}

}  // namespace agentdesk::rpc
