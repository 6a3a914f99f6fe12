#include "core_service/rpc/caller.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"
#include "core_service/base/utf8.h"

namespace agentdesk::rpc {
namespace {

constexpr char kActorKey[] = "agentdesk-actor";
constexpr char kViaKey[] = "agentdesk-via";
constexpr char kClientKey[] = "agentdesk-client";
constexpr char kTraceKey[] = "traceparent";
constexpr size_t kMaxAddress = 64;
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

// Of what an IP address is written with, and the zone of one (RFC 4007 section 11).
bool IsAddress(absl::string_view text) {
  const auto fits = [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains(".:%-_", static_cast<char>(c));
  };
  return !text.empty() && text.size() <= kMaxAddress && std::all_of(text.begin(), text.end(), fits);
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
  if (const auto client = Find(metadata, kClientKey); client.has_value()) {
    if (!IsAddress(*client)) return InvalidField(kClientKey, "must be an IP address");
    caller.client_address = std::string(*client);
  }
  if (const auto trace = TraceOf(metadata); trace.has_value()) caller.trace_id = trace->trace_id;
  return caller;
}

std::string AddressOfPeer(absl::string_view peer) {
  if (absl::ConsumePrefix(&peer, "ipv4:")) return std::string(peer.substr(0, peer.rfind(':')));
  if (!absl::ConsumePrefix(&peer, "ipv6:")) return std::string();
  // In brackets, which are percent-encoded as in a URI; so is the `%` before a zone.
  std::string address = absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  const size_t end = address.rfind(']');
  if (address[0] != '[' || end == std::string::npos) return std::string();
  address = address.substr(1, end - 1);
  absl::string_view shown = address;
  // What comes over IPv4 to a socket of both.
  if (absl::ConsumePrefix(&shown, "::ffff:") && absl::StrContains(shown, '.')) {
    return std::string(shown);
  }
  return address;
}

std::optional<TraceContext> TraceOf(const Metadata& metadata) {
  const auto header = Find(metadata, kTraceKey);
  return header.has_value() ? TraceContext::Parse(*header) : std::nullopt;
}

}  // namespace agentdesk::rpc
