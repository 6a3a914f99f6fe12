#ifndef AGENTDESK_WS_GATEWAY_RESOURCE_JSON_H_
#define AGENTDESK_WS_GATEWAY_RESOURCE_JSON_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "ws_gateway/json_writer.h"

namespace agentdesk::gateway {

// The nouns of the desk in the JSON that HTTP and the full socket protocol share. A field that is
// not set is left out. Each function writes fields into the open object.

void WriteTicket(const v1::Ticket& ticket, JsonWriter& json);
void WriteJob(const v1::Job& job, JsonWriter& json);
void WriteSession(const v1::Session& session, JsonWriter& json);
// With state, answer and times.
void WriteQuestion(const v1::Question& question, JsonWriter& json);
// What was asked: content, choices and how it may be answered; part of WriteQuestion.
void WriteAsked(const v1::Question& question, JsonWriter& json);

void WriteActor(absl::string_view name, const v1::Actor& actor, JsonWriter& json);
void WriteTime(absl::string_view name, const google::protobuf::Timestamp& time, JsonWriter& json);
// A response: a list where there are several values, else a text.
void WriteResponse(absl::string_view name, absl::string_view response,
                   const google::protobuf::RepeatedPtrField<std::string>& responses,
                   JsonWriter& json);

// The words of the contract, lower case; empty for a value that is not known here.
absl::string_view StatusWord(v1::JobStatus status);
absl::string_view StateWord(v1::SessionState state);
absl::string_view StateWord(v1::QuestionState state);
absl::string_view OutcomeWord(v1::ResponseOutcome outcome);
std::optional<v1::JobStatus> ParseJobStatus(absl::string_view word);
std::optional<v1::QuestionState> ParseQuestionState(absl::string_view word);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_RESOURCE_JSON_H_
