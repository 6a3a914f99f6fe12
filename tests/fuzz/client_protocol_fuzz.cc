// libFuzzer target: whatever a browser sends, reading it neither crashes nor hangs, an error has a
// code and a text, and what is answered is JSON again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "boost/json/parse.hpp"
#include "core_service/base/error.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/server_message.h"

namespace {

using agentdesk::gateway::ClientMessage;
using agentdesk::gateway::Protocol;

void Require(bool condition) {
  if (!condition) std::abort();
}

void ReadMessage(absl::string_view text, Protocol protocol) {
  const ClientMessage message = agentdesk::gateway::ParseClientMessage(text, protocol);
  const std::string answer =
      message.status.ok()
          ? agentdesk::gateway::OutcomeAck("s", "unavailable", "m", message.echo, protocol)
          : agentdesk::gateway::ErrorMessage(message.status, message.echo, protocol);
  boost::json::error_code error;
  boost::json::parse(boost::json::string_view(answer.data(), answer.size()), error);
  Require(!error);
  if (message.status.ok()) return;
  Require(!agentdesk::DetailOf(message.status).reason.empty());
  Require(!message.status.message().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  ReadMessage(text, Protocol::kPlain);
  ReadMessage(text, Protocol::kV1);
  (void)agentdesk::gateway::ParseCreateTicket(text).ok();
  (void)agentdesk::gateway::ParseSubmitResponse(text).ok();
  (void)agentdesk::gateway::ParseNotionPage(text).ok();
  (void)agentdesk::gateway::ParseSubscribeQuery(text).ok();
  return 0;
}
