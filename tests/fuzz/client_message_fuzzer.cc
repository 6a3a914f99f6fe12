// The messages of a socket, in both protocols.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "core_service/base/utf8.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/server_message.h"

namespace agentdesk::gateway {
namespace {

void Try(Protocol protocol, absl::string_view text) {
  const ClientMessage message = ParseClientMessage(text, protocol);
  if (message.status.ok()) return;
  if (!absl::IsInvalidArgument(message.status)) std::abort();
  // What answers it is UTF-8, whatever it repeats.
  const std::string answer = ErrorMessage(message.status, message.echo, protocol);
  for (absl::string_view rest = answer; !rest.empty();) {
    if (!TakeCharacter(rest).has_value()) std::abort();
  }
}

}  // namespace
}  // namespace agentdesk::gateway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using agentdesk::gateway::Protocol;
  if (size == 0) return 0;
  agentdesk::gateway::Try(data[0] % 2 == 0 ? Protocol::kV1 : Protocol::kPlain,
                          absl::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
