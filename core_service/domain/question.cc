#include "core_service/domain/question.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/limits.h"
#include "core_service/domain/text.h"
#include "core_service/domain/timing.h"
#include "core_service/domain/transition.h"

namespace agentdesk::domain {
namespace {

using Texts = google::protobuf::RepeatedPtrField<std::string>;

// After which a place may have become free: as long as a human may take to answer.
constexpr absl::Duration kQuestionsFullFor = absl::Seconds(30);
// The longest list of choices that an error repeats.
constexpr size_t kMaxChoicesShown = 200;

size_t TotalBytes(const Texts& texts) {
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  return bytes;
}

// How an answer reads: one value, or a list where the question is `multiple`.
struct Answer {
  Texts values;
  bool is_list = false;
};

Answer MakeAnswer(const std::string& value, const Texts& values) {
  Answer answer{.values = values, .is_list = !values.empty()};
  if (!answer.is_list) *answer.values.Add() = value;
  return answer;
}

std::string ChoicesRule(const v1::Question& question) {
  std::vector<std::string> values;
  for (const v1::Choice& choice : question.choices()) {
    values.push_back(absl::StrCat("`", choice.value(), "`"));
  }
  const std::string list = absl::StrJoin(values, ", ");
  return list.size() <= kMaxChoicesShown ? absl::StrCat("must be among the choices: ", list)
                                         : "must be among the choices of the question";
}

// The rule that `answer` breaks as an answer to `question`; empty: none.
std::string BrokenRule(const v1::Question& question, const Answer& answer) {
  if (answer.is_list && !question.multiple()) return "must be one value, not a list";
  const size_t bytes = TotalBytes(answer.values);
  if (bytes > kMaxResponseBytes) {
    return absl::StrCat("must have at most ", kMaxResponseBytes, " bytes of UTF-8, has ", bytes);
  }
  absl::flat_hash_set<absl::string_view> known;
  for (const v1::Choice& choice : question.choices()) known.insert(choice.value());
  absl::flat_hash_set<absl::string_view> seen;
  for (const std::string& value : answer.values) {
    if (value.empty()) return "must not be empty";
    if (!CountCharacters(value)) return "must be valid UTF-8";
    if (!seen.insert(value).second) return "must not name a value twice";
    if (!question.free_text() && !known.contains(value)) return ChoicesRule(question);
  }
  return "";
}

absl::Status CheckChoices(const v1::AskQuestionRequest& request) {
  if (request.choices_size() > kMaxChoices) {
    return InvalidField("choices", absl::StrCat("must have at most ", kMaxChoices, " entries, has ",
                                                request.choices_size()));
  }
  absl::Status status;
  absl::flat_hash_set<absl::string_view> values;
  for (int i = 0; i < request.choices_size(); ++i) {
    const v1::Choice& choice = request.choices(i);
    const auto field = [i](absl::string_view name) {
      return absl::StrCat("choices[", i, "].", name);
    };
    status.Update(CheckCharacters(field("value"), choice.value(), 1, kMaxChoiceCharacters));
    status.Update(CheckCharacters(field("label"), choice.label(), 0, kMaxChoiceCharacters));
    status.Update(
        CheckCharacters(field("description"), choice.description(), 0, kMaxChoiceCharacters));
    if (!values.insert(choice.value()).second) {
      status.Update(InvalidField(field("value"), "must be unique among the choices"));
    }
  }
  if (request.choices().empty() && request.has_free_text() && !request.free_text()) {
    status.Update(InvalidField("free_text", "must not be false where there are no choices"));
  }
  if (request.choices().empty() && request.multiple()) {
    status.Update(InvalidField("multiple", "needs choices"));
  }
  return status;
}

absl::Status CheckNames(absl::string_view field, const Texts& names) {
  if (names.size() > kMaxMayAnswerEntries) {
    return InvalidField(field, absl::StrCat("must have at most ", kMaxMayAnswerEntries,
                                            " entries, has ", names.size()));
  }
  absl::Status status;
  for (int i = 0; i < names.size(); ++i) {
    status.Update(
        CheckCharacters(absl::StrCat(field, "[", i, "]"), names[i], 1, kMaxMayAnswerCharacters));
  }
  return status;
}

bool IsLimited(const v1::MayAnswer& may_answer) {
  return !may_answer.users().empty() || !may_answer.groups().empty() || !may_answer.roles().empty();
}

bool IsFreeText(const v1::AskQuestionRequest& request) {
  return request.has_free_text() ? request.free_text() : request.choices().empty();
}

bool HasDefault(const v1::AskQuestionRequest& request) {
  return request.has_default_response() || !request.default_responses().empty();
}

// What is asked and how it may be answered, as the request says it.
v1::Question Asked(const v1::AskQuestionRequest& request) {
  v1::Question question;
  question.set_key(request.key());
  question.set_content(request.content());
  *question.mutable_choices() = request.choices();
  question.set_free_text(IsFreeText(request));
  question.set_multiple(request.multiple());
  if (HasDefault(request) && request.multiple()) {
    *question.mutable_default_responses() =
        MakeAnswer(request.default_response(), request.default_responses()).values;
  } else if (request.has_default_response()) {
    question.set_default_response(request.default_response());
  }
  if (IsLimited(request.may_answer())) *question.mutable_may_answer() = request.may_answer();
  question.set_details_json(request.details_json());
  question.set_sensitive(request.sensitive());
  return question;
}

absl::Status CheckDefault(const v1::AskQuestionRequest& request) {
  if (!HasDefault(request)) return absl::OkStatus();
  if (request.has_default_response() && !request.default_responses().empty()) {
    return InvalidField("default_response", "must not be given together with `default_responses`");
  }
  const std::string broken = BrokenRule(
      Asked(request), MakeAnswer(request.default_response(), request.default_responses()));
  if (broken.empty()) return absl::OkStatus();
  return InvalidField(request.has_default_response() ? "default_response" : "default_responses",
                      absl::StrCat("must be a response that the question accepts: ", broken));
}

absl::Status CheckWholeSize(const v1::AskQuestionRequest& request) {
  size_t bytes = request.key().size() + request.content().size() + request.details_json().size() +
                 request.default_response().size() + TotalBytes(request.default_responses()) +
                 TotalBytes(request.may_answer().users()) +
                 TotalBytes(request.may_answer().groups()) +
                 TotalBytes(request.may_answer().roles());
  for (const v1::Choice& choice : request.choices()) {
    bytes += choice.value().size() + choice.label().size() + choice.description().size();
  }
  if (bytes <= kMaxQuestionBytes) return absl::OkStatus();
  return InvalidField("content", absl::StrCat("the question with all its parts must have at most ",
                                              kMaxQuestionBytes, " bytes of UTF-8, has ", bytes));
}

absl::Status CheckForm(const v1::AskQuestionRequest& request) {
  absl::Status status = CheckPresent("job_id", request.job_id());
  status.Update(CheckCharacters("key", request.key(), 0, kMaxKeyCharacters));
  status.Update(CheckBytes("content", request.content(), 1, kMaxContentBytes));
  status.Update(CheckChoices(request));
  if (request.has_expires_in()) {
    status.Update(CheckDuration("expires_in", request.expires_in(), kMinExpiresIn, kMaxExpiresIn));
  }
  if (request.has_expires_at()) status.Update(CheckTimestamp("expires_at", request.expires_at()));
  if (request.has_expires_in() && request.has_expires_at()) {
    status.Update(InvalidField("expires_at", "must not be given together with `expires_in`"));
  }
  status.Update(CheckNames("may_answer.users", request.may_answer().users()));
  status.Update(CheckNames("may_answer.groups", request.may_answer().groups()));
  status.Update(CheckNames("may_answer.roles", request.may_answer().roles()));
  status.Update(CheckJson("details_json", request.details_json()));
  if (!request.kind().empty()) {
    status.Update(InvalidField("kind", "is reserved and must be empty"));
  }
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

// When the question expires; InfiniteFuture(): never.
absl::StatusOr<absl::Time> Deadline(const v1::AskQuestionRequest& request, absl::Time now) {
  if (request.has_expires_in()) return now + FromProto(request.expires_in());
  if (!request.has_expires_at()) return absl::InfiniteFuture();
  const absl::Time deadline = FromProto(request.expires_at());
  if (deadline <= now || deadline > now + kMaxExpiresIn) {
    return InvalidField("expires_at",
                        absl::StrCat("must lie in the future, at most 366 days from now, which is ",
                                     FormatTimestamp(ToProto(now))));
  }
  return deadline;
}

// Whether an answer to `question` is an answer to what `request` asks: a human was shown the same.
bool ShowsTheSame(const v1::Question& question, const v1::AskQuestionRequest& request) {
  const auto same_choice = [](const v1::Choice& a, const v1::Choice& b) {
    return a.value() == b.value() && a.label() == b.label() && a.description() == b.description();
  };
  return question.content() == request.content() &&
         std::equal(question.choices().begin(), question.choices().end(), request.choices().begin(),
                    request.choices().end(), same_choice) &&
         question.free_text() == IsFreeText(request) && question.multiple() == request.multiple() &&
         question.details_json() == request.details_json();
}

// Whether `key`'s question is another one when this job asks: what was withdrawn in an earlier run
// of the ticket, as happens when that run ends, needs no answer any more, so the run that asks
// again has a question of its own.
bool IsOfAnEndedRun(const v1::Question& question, const TicketState& state) {
  return question.state() == v1::QUESTION_STATE_WITHDRAWN &&
         question.job_id() != state.job.job().job_id();
}

// The question as its agent may see it: with the response, also where it is sensitive.
v1::Question ForAgent(const QuestionRecord& record) {
  v1::Question question = record.question();
  if (!question.sensitive()) return question;
  question.set_response(record.sensitive_response());
  *question.mutable_responses() = record.sensitive_responses();
  return question;
}

absl::Status CheckRoomForQuestion(int open, int max) {
  if (open < max) return absl::OkStatus();
  return WithDetail(
      absl::ResourceExhaustedError(absl::StrCat("too many open questions: a session may have ", max,
                                                "; wait for an answer, or withdraw one")),
      {.reason = "too_many_open_questions",
       .field = {},
       .retry_after = kQuestionsFullFor,
       .metadata = {}});
}

absl::Status CheckMayAsk(const v1::AskQuestionRequest& request, const TicketState& state,
                         const Context& context) {
  if (state.job.job().status() == v1::JOB_STATUS_CANCELLING) {
    return ErrorWithReason(
        absl::StatusCode::kFailedPrecondition, "cancelling",
        "the ticket is being cancelled: nothing can be asked any more, end soon");
  }
  if (IsLimited(request.may_answer()) && !context.authenticated) {
    return ErrorWithReason(absl::StatusCode::kFailedPrecondition, "authentication_off",
                           "may_answer: could not be kept, since authentication is off");
  }
  return CheckRoomForQuestion(static_cast<int>(state.open_questions.size()),
                              context.max_open_questions);
}

QuestionRecord NewQuestion(const v1::AskQuestionRequest& request, absl::Time deadline,
                           const TicketState& state, const Context& context) {
  const v1::Job& job = state.job.job();
  QuestionRecord record;
  v1::Question& question = *record.mutable_question();
  question = Asked(request);
  question.set_question_id(context.ids->NewUuid(context.now).ToString());
  question.set_session_id(job.session_id());
  question.set_ticket_id(job.ticket_id());
  question.set_job_id(job.job_id());
  question.set_attempt(job.attempt());
  if (deadline != absl::InfiniteFuture()) *question.mutable_expires_at() = ToProto(deadline);
  question.set_state(v1::QUESTION_STATE_OPEN);
  *question.mutable_create_time() = ToProto(context.now);
  question.set_asked_sequence(context.next_sequence);
  question.set_tenant(state.ticket.ticket().tenant());
  question.set_trace_id(context.trace_id);
  *question.mutable_asked_by() = context.actor;
  return record;
}

// What a response comes to, before it is told.
struct Judgement {
  v1::ResponseOutcome outcome = v1::RESPONSE_OUTCOME_UNSPECIFIED;
  std::string message;
};

Judgement Invalid(absl::string_view rule, absl::string_view advice) {
  return {v1::RESPONSE_OUTCOME_INVALID_RESPONSE, absl::StrCat("The response ", rule, ". ", advice)};
}

bool MayAnswerIt(const v1::Question& question, const Context& context) {
  if (!IsLimited(question.may_answer())) return true;
  // Without authentication the actor's id is a label of the caller's own choice.
  if (!context.authenticated) return false;
  const auto named = [](const Texts& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const auto any_named = [&](const Texts& names, const std::vector<std::string>& own) {
    return std::any_of(own.begin(), own.end(),
                       [&](const auto& name) { return named(names, name); });
  };
  const v1::MayAnswer& may_answer = question.may_answer();
  return named(may_answer.users(), context.actor.id()) ||
         any_named(may_answer.groups(), context.groups) ||
         any_named(may_answer.roles(), context.roles);
}

Judgement Judge(const v1::Question& question, const Answer& answer, const Context& context) {
  switch (question.state()) {
    case v1::QUESTION_STATE_ANSWERED:
      return {v1::RESPONSE_OUTCOME_ALREADY_ANSWERED,
              absl::StrCat(
                  question.answered_by().id().empty() ? "Somebody" : question.answered_by().id(),
                  " has answered this question already, and that answer stands. To "
                  "correct it, send the agent a message.")};
    case v1::QUESTION_STATE_EXPIRED:
      return {v1::RESPONSE_OUTCOME_EXPIRED,
              "The deadline of this question has passed, and the agent went on without an answer. "
              "To tell it more, send it a message."};
    case v1::QUESTION_STATE_WITHDRAWN:
      return {v1::RESPONSE_OUTCOME_WITHDRAWN,
              "This question was taken back and needs no answer any more."};
    default:
      break;
  }
  if (!MayAnswerIt(question, context)) {
    return {v1::RESPONSE_OUTCOME_FORBIDDEN,
            "This question names who may answer it, and that is somebody else. It stays open for "
            "them."};
  }
  if (const std::string broken = BrokenRule(question, answer); !broken.empty()) {
    return Invalid(broken, "The question is still open: answer again.");
  }
  return {v1::RESPONSE_OUTCOME_RECEIVED, ""};
}

// The question that a response without a `question_id` is for; null: none.
const QuestionRecord* PickTarget(const v1::SubmitResponseRequest& request,
                                 const ResponseTarget& target) {
  if (!target.open_as_of.empty()) return &target.open_as_of.front();
  if (!target.latest_as_of || target.agent_spoke_since_latest) return nullptr;
  const int64_t closed = target.latest_as_of->question().closed_sequence();
  return closed != 0 && closed <= request.as_of_sequence() ? &*target.latest_as_of : nullptr;
}

Decision<v1::SubmitResponseResponse> Refuse(const Judgement& judgement, const Context& context) {
  Decision<v1::SubmitResponseResponse> decision;
  decision.response.set_outcome(judgement.outcome);
  decision.response.set_message(judgement.message);
  decision.response.set_sequence(context.next_sequence - 1);
  return decision;
}

// Shows who answered `question` and what, as everyone may see it.
void ShowAnswer(const v1::Question& question, v1::SubmitResponseResponse& response) {
  *response.mutable_answered_by() = question.answered_by();
  response.set_response(question.response());
  *response.mutable_responses() = question.responses();
}

QuestionRecord Answered(QuestionRecord record, const Answer& answer, const Context& context) {
  v1::Question& question = *record.mutable_question();
  *question.mutable_answered_by() = context.actor;
  if (question.sensitive() && question.multiple()) {
    *record.mutable_sensitive_responses() = answer.values;
  } else if (question.sensitive()) {
    record.set_sensitive_response(answer.values[0]);
  } else if (question.multiple()) {
    *question.mutable_responses() = answer.values;
  } else {
    question.set_response(answer.values[0]);
  }
  return record;
}

Decision<v1::SubmitResponseResponse> RespondTo(const QuestionRecord& record, const Answer& answer,
                                               const TicketState& state, const Context& context) {
  const Judgement judgement = Judge(record.question(), answer, context);
  if (judgement.outcome != v1::RESPONSE_OUTCOME_RECEIVED) {
    Decision<v1::SubmitResponseResponse> refusal = Refuse(judgement, context);
    refusal.response.set_question_id(record.question().question_id());
    if (judgement.outcome == v1::RESPONSE_OUTCOME_ALREADY_ANSWERED) {
      ShowAnswer(record.question(), refusal.response);
    }
    return refusal;
  }
  QuestionRecord answered = Answered(record, answer, context);
  const v1::Question& question = answered.question();
  Transition transition(state, context);
  v1::QuestionAnswered& event = *transition.AppendOfQuestion(question).mutable_question_answered();
  event.set_question_id(question.question_id());
  event.set_key(question.key());
  event.set_response(question.response());
  *event.mutable_responses() = question.responses();
  event.set_sensitive(question.sensitive());

  Decision<v1::SubmitResponseResponse> decision;
  decision.response.set_outcome(v1::RESPONSE_OUTCOME_RECEIVED);
  decision.response.set_question_id(question.question_id());
  ShowAnswer(question, decision.response);
  decision.response.set_sequence(transition.sequence());
  transition.CloseQuestion(std::move(answered), v1::QUESTION_STATE_ANSWERED);
  transition.TakeInput();
  decision.change = transition.Take();
  return decision;
}

// No question could be meant: the response is a message to the agents.
Decision<v1::SubmitResponseResponse> KeepAsMessage(const v1::SubmitResponseRequest& request,
                                                   const TicketState& state,
                                                   const Context& context) {
  if (state.ticket.session().state() == v1::SESSION_STATE_CLOSED) {
    return Refuse(
        {v1::RESPONSE_OUTCOME_SESSION_CLOSED,
         "The session is closed, since its ticket has ended. Nothing was stored: retry the "
         "ticket or create another."},
        context);
  }
  v1::Question any_text;
  any_text.set_free_text(true);
  const std::string broken =
      BrokenRule(any_text, MakeAnswer(request.response(), request.responses()));
  if (!broken.empty()) {
    return Refuse(Invalid(broken, "No question is open, so it would be a message: send a text."),
                  context);
  }
  Transition transition(state, context);
  transition.Append().mutable_user_message()->set_content(request.response());
  Decision<v1::SubmitResponseResponse> decision;
  decision.response.set_outcome(v1::RESPONSE_OUTCOME_RECEIVED);
  decision.response.set_sequence(transition.sequence());
  transition.TakeInput();
  decision.change = transition.Take();
  return decision;
}

}  // namespace

absl::Status Validate(const v1::AskQuestionRequest& request) {
  absl::Status status = CheckForm(request);
  // These look at several fields together and want each to be right by itself.
  if (status.ok()) status = CheckDefault(request);
  if (status.ok()) status = CheckWholeSize(request);
  return status;
}

absl::StatusOr<Decision<v1::AskQuestionResponse>> AskQuestion(
    const v1::AskQuestionRequest& request, const std::optional<QuestionRecord>& same_key,
    const TicketState& state, const Context& context) {
  absl::Status status = Validate(request);
  status.Update(CheckHolder(state, request.job_id(), request.lease_token()));
  if (!status.ok()) return status;

  Decision<v1::AskQuestionResponse> decision;
  if (same_key && !IsOfAnEndedRun(same_key->question(), state)) {
    if (!ShowsTheSame(same_key->question(), request)) {
      return ErrorWithReason(
          absl::StatusCode::kInvalidArgument, "question_key_reused",
          "key: names a question of this session with other content, choices or "
          "details; an answer holds only for what was shown, so use another key");
    }
    *decision.response.mutable_question() = ForAgent(*same_key);
    decision.response.set_sequence(context.next_sequence - 1);
    decision.response.set_replayed(true);
    return decision;
  }
  const absl::StatusOr<absl::Time> deadline = Deadline(request, context.now);
  if (!deadline.ok()) return deadline.status();
  if (status = CheckMayAsk(request, state, context); !status.ok()) return status;

  QuestionRecord question = NewQuestion(request, *deadline, state, context);
  Transition transition(state, context);
  *transition.AppendOfJob().mutable_agent_question()->mutable_question() = question.question();
  *decision.response.mutable_question() = question.question();
  decision.response.set_sequence(transition.sequence());
  transition.OpenQuestion(std::move(question));
  decision.change = transition.Take();
  return decision;
}

absl::Status Validate(const v1::WithdrawQuestionRequest& request) {
  absl::Status status = CheckPresent("job_id", request.job_id());
  if (request.question_id().empty() && request.key().empty()) {
    status.Update(InvalidField("question_id", "is required where there is no `key`"));
  }
  status.Update(CheckCharacters("key", request.key(), 0, kMaxKeyCharacters));
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

absl::StatusOr<Decision<v1::WithdrawQuestionResponse>> WithdrawQuestion(
    const v1::WithdrawQuestionRequest& request, const QuestionRecord& question,
    const TicketState& state, const Context& context) {
  absl::Status status = Validate(request);
  status.Update(CheckHolder(state, request.job_id(), request.lease_token()));
  if (!status.ok()) return status;
  if (question.question().session_id() != state.ticket.session().session_id()) {
    return UnknownQuestion();
  }
  Transition transition(state, context);
  if (question.question().state() == v1::QUESTION_STATE_OPEN) {
    transition.WithdrawQuestion(question);
  }
  Decision<v1::WithdrawQuestionResponse> decision;
  decision.response.set_sequence(transition.sequence());
  decision.change = transition.Take();
  *decision.response.mutable_question() =
      ForAgent(decision.change.questions.empty() ? question : decision.change.questions.front());
  return decision;
}

absl::Status UnknownQuestion() {
  return ErrorWithReason(absl::StatusCode::kNotFound, "unknown_question",
                         "the session has no such question");
}

Change ExpireQuestion(const QuestionRecord& question, const TicketState& state,
                      const Context& context) {
  Transition transition(state, context);
  const v1::Question& shown = question.question();
  v1::QuestionExpired& expired = *transition.AppendOfQuestion(shown).mutable_question_expired();
  expired.set_question_id(shown.question_id());
  expired.set_key(shown.key());
  if (shown.has_default_response()) expired.set_default_response(shown.default_response());
  *expired.mutable_default_responses() = shown.default_responses();
  transition.CloseQuestion(question, v1::QUESTION_STATE_EXPIRED);
  transition.TakeInput();
  return transition.Take();
}

absl::Status Validate(const v1::SubmitResponseRequest& request) {
  absl::Status status = CheckPresent("session_id", request.session_id());
  if (request.question_id().empty() && !request.has_as_of_sequence()) {
    status.Update(InvalidField("question_id", "is required where there is no `as_of_sequence`"));
  }
  if (request.as_of_sequence() < 0) {
    status.Update(InvalidField("as_of_sequence", "must not be negative"));
  }
  if (!request.desk_id().empty() && !Uuid::Parse(request.desk_id()).has_value()) {
    status.Update(InvalidField("desk_id", "must be a UUID"));
  }
  if (!request.response().empty() && !request.responses().empty()) {
    status.Update(InvalidField("responses", "must not be given together with `response`"));
  }
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

Decision<v1::SubmitResponseResponse> SubmitResponse(const v1::SubmitResponseRequest& request,
                                                    const ResponseTarget& target,
                                                    const TicketState& state,
                                                    const Context& context) {
  const Answer answer = MakeAnswer(request.response(), request.responses());
  if (!request.question_id().empty()) {
    if (!target.named ||
        target.named->question().session_id() != state.ticket.session().session_id()) {
      return Refuse({v1::RESPONSE_OUTCOME_UNKNOWN_QUESTION,
                     "This session has no question with that id. Nothing was stored."},
                    context);
    }
    return RespondTo(*target.named, answer, state, context);
  }
  if (target.open_as_of.size() > 1) {
    return Refuse(
        {v1::RESPONSE_OUTCOME_AMBIGUOUS,
         absl::StrCat(target.open_as_of.size(),
                      " questions were open, and the response does not say which one it is "
                      "for. Nothing was stored: answer again with a question_id.")},
        context);
  }
  if (const QuestionRecord* question = PickTarget(request, target)) {
    return RespondTo(*question, answer, state, context);
  }
  return KeepAsMessage(request, state, context);
}

v1::SubmitResponseResponse UnknownSession(const Context& context) {
  return Refuse({v1::RESPONSE_OUTCOME_UNKNOWN_SESSION,
                 "The desk has no session with that id. Nothing was stored."},
                context)
      .response;
}

}  // namespace agentdesk::domain
