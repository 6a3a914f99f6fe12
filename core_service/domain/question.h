#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_QUESTION_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_QUESTION_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "core_service/domain/change.h"

namespace agentdesk::domain {

// What can be checked of a call without the desk: InvalidArgument. AskQuestion and WithdrawQuestion
// check it too; by itself it lets the desk refuse bad input before it looks anything up. For
// SubmitResponse that is a missing session, neither `question_id` nor `as_of_sequence`, both
// `response` and `responses`; what is wrong with the response itself is an outcome.
absl::Status Validate(const v1::AskQuestionRequest& request);
absl::Status Validate(const v1::WithdrawQuestionRequest& request);
absl::Status Validate(const v1::SubmitResponseRequest& request);

// Asks. `same_key` is the session's last question under the request's key, if there is one: then
// the response shows that one and nothing changes (InvalidArgument `question_key_reused` where its
// content, choices or details differ), unless it was withdrawn in an earlier job.
//
// FailedPrecondition: `lease_lost`; `cancelling`; `authentication_off` (`may_answer` could not be
// kept). ResourceExhausted: `too_many_open_questions`.
absl::StatusOr<Decision<v1::AskQuestionResponse>> AskQuestion(
    const v1::AskQuestionRequest& request, const std::optional<QuestionRecord>& same_key,
    const TicketState& state, const Context& context);

// Takes `question` back; one that is over stays as it is. FailedPrecondition (`lease_lost`);
// NotFound (`unknown_question`) when it is another session's.
absl::StatusOr<Decision<v1::WithdrawQuestionResponse>> WithdrawQuestion(
    const v1::WithdrawQuestionRequest& request, const QuestionRecord& question,
    const TicketState& state, const Context& context);

// NotFound (`unknown_question`): what WithdrawQuestion is answered with when there is no question.
absl::Status UnknownQuestion();

// The deadline of `question`, which must be open, has passed. Wakes a parked job.
Change ExpireQuestion(const QuestionRecord& question, const TicketState& state,
                      const Context& context);

// What the desk knows of the questions that a response may be for.
struct ResponseTarget {
  // With a `question_id`: the question, if the session has it.
  std::optional<QuestionRecord> named;
  // Without: what the giver had seen as of its sequence.
  std::vector<QuestionRecord> open_as_of;      // the questions that were open
  std::optional<QuestionRecord> latest_as_of;  // the one asked last
  bool agent_spoke_since_latest = false;       // after that one was over, up to the sequence
};

// Judges a response: exactly one for a question wins, everyone else learns who did; where there is
// no question that it could be for, it is kept as a message. All questions in `target` are as they
// stand now. The response is always a judged one; only RESPONSE_OUTCOME_RECEIVED comes with a
// change.
//
// A response judged against a question never slides on to another one. `request` must be valid.
Decision<v1::SubmitResponseResponse> SubmitResponse(const v1::SubmitResponseRequest& request,
                                                    const ResponseTarget& target,
                                                    const TicketState& state,
                                                    const Context& context);

// The outcome for a session that the desk does not know.
v1::SubmitResponseResponse UnknownSession(const Context& context);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_QUESTION_H_
