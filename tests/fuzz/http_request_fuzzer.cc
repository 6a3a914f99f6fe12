// What an HTTP request brings besides its framing: bodies, queries, where to resume, origins,
// tokens. The first byte picks what the rest is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core_service/base/trace_context.h"
#include "core_service/base/utf8.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/credential.h"
#include "ws_gateway/origin.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {
namespace {

void Check(bool right) {
  if (!right) std::abort();
}

template <typename T>
void CheckRefusal(const absl::StatusOr<T>& parsed) {
  Check(parsed.ok() || absl::IsInvalidArgument(parsed.status()));
}

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    if (!TakeCharacter(text).has_value()) return false;
  }
  return true;
}

void Try(uint8_t what, absl::string_view rest) {
  switch (what % 10) {
    case 0:
      return CheckRefusal(ParseCreateTicket(rest));
    case 1:
      return CheckRefusal(ParseSubmitResponse(rest));
    case 2:
      return CheckRefusal(ParseSendMessage(rest));
    case 3:
      return CheckRefusal(ParseRequestId(rest));
    case 4: {
      const absl::StatusOr<NotionPage> page = ParseNotionPage(rest);
      CheckRefusal(page);
      Check(!page.ok() || Uuid::Parse(page->page_id).has_value());
      return;
    }
    case 5: {
      const absl::StatusOr<std::optional<Subscribe>> subscribe = ParseSubscribeQuery(rest);
      CheckRefusal(subscribe);
      Check(!subscribe.ok() || !subscribe->has_value() || (*subscribe)->from.after >= 0);
      return;
    }
    case 6: {
      const size_t end = rest.find('\n');
      const absl::StatusOr<Subscribe> subscribe =
          end == absl::string_view::npos
              ? ParseStreamRequest(rest, "")
              : ParseStreamRequest(rest.substr(0, end), rest.substr(end + 1));
      CheckRefusal(subscribe);
      Check(!subscribe.ok() || subscribe->from.after >= 0);
      return;
    }
    case 7: {
      static const auto* const origins = new OriginList(
          *OriginList::Parse({"https://desk.example", "http://localhost:*", "http://127.0.0.1:*"}));
      const std::pair<std::string, std::string> parts =
          absl::StrSplit(rest, absl::MaxSplits('\n', 1));
      // Whoever may count on the cookie may connect at all, but for a name of the gateway's own.
      if (origins->Owns(parts.first, "127.0.0.1:8000")) {
        Check(origins->Allows(parts.first, "127.0.0.1:8000"));
      }
      (void)origins->Allows(parts.first, parts.second);
      (void)origins->Owns(parts.first, parts.second);
      return;
    }
    case 8: {
      const std::optional<std::string> decoded = DecodePercent(rest);
      Check(!decoded.has_value() || IsUtf8(*decoded));
      (void)QueryParameter(rest, "after");
      (void)TraceContext::Parse(rest);
      return;
    }
    default: {
      // Lines of one header each.
      HttpRequest request;
      for (const absl::string_view line : absl::StrSplit(rest, '\n')) {
        request.headers.push_back(absl::StrSplit(line, absl::MaxSplits(": ", 1)));
      }
      const Credential credential = FindCredential(request);
      Check(credential.way != Credential::Way::kNone || credential.token.empty());
      Check(absl::StrContains(rest, credential.token));
      // What ends a cookie or a subprotocol is part of no token.
      if (credential.way == Credential::Way::kCookie) {
        Check(!absl::StrContains(credential.token, ';'));
      } else if (credential.way == Credential::Way::kSubprotocol) {
        Check(!absl::StrContains(credential.token, ','));
      }
    }
  }
}

}  // namespace
}  // namespace agentdesk::gateway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  agentdesk::gateway::Try(data[0],
                          absl::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
