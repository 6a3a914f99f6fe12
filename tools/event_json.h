#ifndef AGENTDESK_TOOLS_EVENT_JSON_H_
#define AGENTDESK_TOOLS_EVENT_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"

namespace agentdesk::tools {

// What the tools write as JSON: one object in one line, otherwise exactly as browsers get it in the
// full protocol (`agentdesk.v1`), so that one reader serves both.
std::string ToJson(const v1::Event& event);
std::string ToJson(const v1::Ticket& ticket);
std::string ToJson(const v1::Question& question);
std::string ToJson(const v1::Session& session);
std::string ToJson(const v1::Job& job);

// The lower-case word of an enum's value, as JSON and people read it: JOB_STATUS_QUEUED is
// `queued`.
std::string Word(v1::JobStatus status);
std::string Word(v1::QuestionState state);
std::string Word(v1::ResponseOutcome outcome);
std::string Word(v1::RequeueReason reason);
std::string Word(v1::StartReason reason);
// The status that a word names; JOB_STATUS_UNSPECIFIED: none.
v1::JobStatus StatusOfWord(absl::string_view word);

}  // namespace agentdesk::tools

#endif  // AGENTDESK_TOOLS_EVENT_JSON_H_
