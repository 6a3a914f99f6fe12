#ifndef AGENTDESK_TOOLS_AGENTDESK_COMMANDS_H_
#define AGENTDESK_TOOLS_AGENTDESK_COMMANDS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/ticket.pb.h"
#include "tools/agentdesk/command_line.h"
#include "tools/agentdesk/desk_connection.h"
#include "tools/agentdesk/event_text.h"

namespace agentdesk::cli {

// How a command prints.
struct Output {
  bool json = false;
  bool colour = false;
  absl::string_view program;  // as EventText has it

  EventText Text() const { return EventText(colour, absl::LocalTimeZone(), std::string(program)); }
};

// The reasons of an error of wrong use, and of one that standard output tells already.
inline constexpr absl::string_view kUsage = "usage";
inline constexpr absl::string_view kSaid = "said";

// Each runs one command and prints its result on standard output.
absl::Status RunTicketCommand(const Invocation& invocation, DeskConnection& desk, Output output);
absl::Status RunQuestions(const Invocation& invocation, DeskConnection& desk, Output output);
absl::Status RunAnswer(const Invocation& invocation, DeskConnection& desk, Output output);
absl::Status RunMessage(const Invocation& invocation, DeskConnection& desk, Output output);
absl::Status RunWatch(const Invocation& invocation, DeskConnection& desk, Output output);
absl::Status RunDesk(DeskConnection& desk, Output output);
// Needs no core.
absl::Status RunTokenCommand(const Invocation& invocation, Output output);
absl::Status RunAuditCommand(const Invocation& invocation, Output output);
absl::Status RunAdminCommand(const Invocation& invocation, DeskConnection& desk, Output output);

// The request that `ticket create` describes. `now` is what `--run_after=10m` counts from.
absl::StatusOr<v1::CreateTicketRequest> ReadCreateTicket(const Invocation& invocation,
                                                         absl::Time now);
absl::Status UsageError(absl::string_view what);
// Standard output has not taken what was printed, for the reason in errno.
absl::Status CannotPrint();
// A flag's whole number, `otherwise` where it was not given.
absl::StatusOr<int64_t> NumberFlag(const Invocation& invocation, const std::string& name,
                                   int64_t least, int64_t most, int64_t otherwise);
// `text`, or standard input where it is `-`.
std::string TextOrInput(const std::string& text);

}  // namespace agentdesk::cli

#endif  // AGENTDESK_TOOLS_AGENTDESK_COMMANDS_H_
