#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_PROTOCOL_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_PROTOCOL_H_

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agentdesk/v1/agent.pb.h"

namespace agentdesk::worker {

// JSON lines between an agent program and its worker, as pure functions.

inline constexpr size_t kMaxLineBytes = 8 << 20;
inline constexpr size_t kMaxContentBytes = 32 * 1024;
inline constexpr size_t kMaxQuestionBytes = 64 * 1024;  // a question with all its parts
inline constexpr size_t kMaxJsonBytes = 32 * 1024;      // state, result, details: each
inline constexpr size_t kMaxSummaryBytes = 4 * 1024;    // also an error
inline constexpr size_t kMaxKeyCharacters = 200;
inline constexpr size_t kMaxTitleCharacters = 500;

// What a line of an agent's stdout says.

// Not an object with a known `type`: for the worker's log.
struct Chatter {};
// A known type that cannot be taken: the agent is told why.
struct Refused {
  absl::Status why;
  std::string key;  // of the refused message, question, ...
};
// One message or tool call; a message that was too long comes in several parts, in order.
struct Activities {
  std::vector<v1::Activity> parts;
};
struct Checkpoint {
  std::string state_json;
};
struct Withdraw {
  std::string key;
};
struct Park {};

using AgentLine = std::variant<Chatter, Refused, Activities, Checkpoint, v1::AskQuestionRequest,
                               Withdraw, Park, v1::CompleteJobRequest, v1::FailJobRequest>;

// Reads one line. Where it asks, completes or fails, the request lacks only what the worker knows:
// job, lease and request id. What people shall judge is never shortened: a question that is too
// long is refused. A summary or an error that is too long is cut.
AgentLine ParseAgentLine(absl::string_view line);
// What to tell an agent whose line was longer than kMaxLineBytes.
Refused LineTooLong();

// Lines for an agent's stdin, each with its line break.

struct StartLine {
  const v1::ClaimJobResponse& claim;
  std::vector<std::string> transcript;  // events as JSON
  std::string transcript_file;
};
std::string EncodeStart(const StartLine& start);
// An answer, expiry, withdrawal, message or cancel; empty for what is not for the agent.
std::string EncodeInput(const v1::ReceiveInputResponse& input);
// How a question ended that is not open any more.
std::string EncodeOutcome(const v1::Question& question);
std::string EncodeCancel();
std::string EncodeError(const absl::Status& why, absl::string_view key);

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_PROTOCOL_H_
