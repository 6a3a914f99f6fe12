#include "core_service/desk/commands.h"

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/desk/log_range.h"
#include "core_service/domain/job.h"
#include "core_service/domain/limits.h"
#include "core_service/domain/question.h"
#include "core_service/domain/session.h"
#include "core_service/domain/ticket.h"
#include "core_service/store/event_chain.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace agentdesk::desk {
namespace {

using domain::Decision;
using domain::TicketState;

// Two requests of one call with the same fingerprint are the same request, whatever their ids.
template <typename Request>
std::string Fingerprint(Request request) {
  request.clear_request_id();
  // A browser that repeats after a reconnect may have seen more by then.
  if constexpr (requires { request.clear_as_of_sequence(); }) {
    request.clear_as_of_sequence();
    request.clear_desk_id();
  }
  std::string bytes = Request::descriptor()->full_name();
  bytes.push_back('\0');
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&out);
  }
  // Not by OpenSSL's SHA256(), which looks the algorithm up each time.
  const store::Digest digest = store::ContentHash(bytes);
  return std::string(store::Bytes(digest));
}

absl::Status RequestIdReused() {
  return WithDetail(
      absl::InvalidArgumentError(
          "request_id: was used for another call or with other fields; take a new one"),
      {.reason = "request_id_reused",
       .field = "request_id",
       .retry_after = std::nullopt,
       .metadata = {}});
}

// The remembered result under a request id, if it is of this very request; InvalidArgument
// (`request_id_reused`) if it is of another.
template <typename Response>
absl::StatusOr<std::optional<Response>> Recall(Turn& turn, const Caller& caller,
                                               const std::string& request_id,
                                               const std::string& fingerprint) {
  if (request_id.empty()) return std::nullopt;
  const absl::StatusOr<std::optional<store::RequestRecord>> record =
      turn.Optional(turn.transaction().FindRequest(caller.identity, request_id));
  if (!record.ok()) return record.status();
  // What was refused is judged anew.
  if (!record->has_value() || (*record)->has_judged_as_of()) return std::nullopt;
  if ((*record)->fingerprint() != fingerprint) return RequestIdReused();
  Response response;
  if (!response.ParseFromString((*record)->response())) {
    return turn.Spoil(absl::DataLossError("a remembered response cannot be read"));
  }
  response.set_replayed(true);
  return response;
}

store::RequestRecord RecordOf(const Caller& caller, const std::string& request_id,
                              const std::string& fingerprint, absl::Time now) {
  store::RequestRecord record;
  record.set_caller(caller.identity);
  record.set_request_id(request_id);
  record.set_fingerprint(fingerprint);
  record.set_time_us(absl::ToUnixMicros(now));
  return record;
}

absl::Status Remember(Turn& turn, const Caller& caller, const std::string& request_id,
                      const std::string& fingerprint, const google::protobuf::Message& response,
                      absl::Time now) {
  if (request_id.empty()) return absl::OkStatus();
  store::RequestRecord record = RecordOf(caller, request_id, fingerprint, now);
  record.set_response(response.SerializeAsString());
  return turn.Remember(record);
}

// The position as of which this very response was judged before and refused. Its giver may have
// been shown another question since then, which the response is not for.
absl::StatusOr<std::optional<int64_t>> RecallPosition(Turn& turn, const Caller& caller,
                                                      const v1::SubmitResponseRequest& request,
                                                      const std::string& fingerprint) {
  if (request.request_id().empty() || !request.question_id().empty()) return std::nullopt;
  const absl::StatusOr<std::optional<store::RequestRecord>> record =
      turn.Optional(turn.transaction().FindRequest(caller.identity, request.request_id()));
  if (!record.ok()) return record.status();
  if (!record->has_value() || !(*record)->has_judged_as_of()) return std::nullopt;
  if ((*record)->fingerprint() != fingerprint) return std::nullopt;
  return (*record)->judged_as_of();
}

// What each command loads, and the rule that decides it.

absl::StatusOr<Decision<v1::CreateTicketResponse>> Decide(Turn& turn,
                                                          const domain::Context& context,
                                                          const v1::CreateTicketRequest& request) {
  if (!request.ticket_id().empty()) {
    // Ids of tickets are a tenant's own, also to a caller that sees those of all.
    turn.transaction().HoldTo(context.tenant);
    const absl::StatusOr<std::optional<store::TicketRecord>> existing =
        turn.Optional(turn.transaction().FindTicket(request.ticket_id()));
    if (!existing.ok()) return existing.status();
    if (existing->has_value()) return domain::TicketExists(**existing);
  }
  const absl::Status room = turn.around().open_tickets.CheckRoom(context.tenant);
  if (!room.ok()) return room;
  return domain::CreateTicket(request, context);
}

absl::StatusOr<Decision<v1::CancelTicketResponse>> Decide(Turn& turn,
                                                          const domain::Context& context,
                                                          const v1::CancelTicketRequest& request) {
  const absl::StatusOr<TicketState> state = turn.LoadTicket(request.ticket_id());
  if (!state.ok()) return state.status();
  return domain::CancelTicket(*state, context);
}

absl::StatusOr<Decision<v1::RetryTicketResponse>> Decide(Turn& turn, const domain::Context& context,
                                                         const v1::RetryTicketRequest& request) {
  const absl::StatusOr<TicketState> state = turn.LoadTicket(request.ticket_id());
  if (!state.ok()) return state.status();
  absl::StatusOr<Decision<v1::RetryTicketResponse>> decision = domain::RetryTicket(*state, context);
  if (!decision.ok()) return decision;
  const absl::Status room = turn.around().open_tickets.CheckRoom(state->ticket.ticket().tenant());
  if (!room.ok()) return room;
  return decision;
}

absl::StatusOr<Decision<v1::SendMessageResponse>> Decide(Turn& turn, const domain::Context& context,
                                                         const v1::SendMessageRequest& request) {
  const absl::StatusOr<TicketState> state = turn.LoadTicketOfSession(request.session_id());
  if (!state.ok()) return state.status();
  return domain::SendMessage(request, *state, context);
}

// What a worker may do only while it holds the job's lease.
template <typename Request>
absl::StatusOr<TicketState> LoadLeased(Turn& turn, const Request& request) {
  absl::StatusOr<TicketState> state = turn.LoadTicketOfJob(request.job_id());
  if (!state.ok()) return state;
  // Every lease that is over is not in the log yet when very many end at once.
  const bool over = turn.LeaseIsOver(state->job.job().job_id());
  absl::Status held = domain::CheckLease(state->job, over ? 0 : request.lease_token());
  if (!held.ok()) return held;
  return state;
}

absl::StatusOr<Decision<v1::RenewLeaseResponse>> Decide(Turn& turn, const domain::Context& context,
                                                        const v1::RenewLeaseRequest& request) {
  const absl::StatusOr<TicketState> state = LoadLeased(turn, request);
  if (!state.ok()) return state.status();
  // Not stored: after a restart every live lease gets a full term anyway.
  const absl::Duration term = absl::Milliseconds(state->job.lease_ms());
  turn.StartTerm(state->job.job().job_id(), term);
  Decision<v1::RenewLeaseResponse> decision;
  *decision.response.mutable_lease_expires_at() = ToProto(context.now + term);
  *decision.response.mutable_lease_duration() = ToProto(term);
  decision.response.set_cancelling(state->job.job().status() == v1::JOB_STATUS_CANCELLING);
  return decision;
}

absl::StatusOr<Decision<v1::ReportActivityResponse>> Decide(
    Turn& turn, const domain::Context& context, const v1::ReportActivityRequest& request) {
  const absl::StatusOr<TicketState> state = LoadLeased(turn, request);
  if (!state.ok()) return state.status();
  std::vector<std::string> known_keys;
  for (const v1::Activity& activity : request.activities()) {
    const std::string& key =
        activity.has_message() ? activity.message().key() : activity.tool_call().key();
    if (key.empty()) continue;
    const absl::StatusOr<bool> known =
        turn.transaction().HasActivityKey(state->ticket.session().session_id(), key);
    if (!known.ok()) return turn.Spoil(known.status());
    if (*known) known_keys.push_back(key);
  }
  return domain::ReportActivity(request, known_keys, *state, context);
}

absl::StatusOr<Decision<v1::AskQuestionResponse>> Decide(Turn& turn, const domain::Context& context,
                                                         const v1::AskQuestionRequest& request) {
  const absl::StatusOr<TicketState> state = LoadLeased(turn, request);
  if (!state.ok()) return state.status();
  std::optional<store::QuestionRecord> same_key;
  if (!request.key().empty()) {
    absl::StatusOr<std::optional<store::QuestionRecord>> found = turn.Optional(
        turn.transaction().FindQuestionByKey(state->ticket.session().session_id(), request.key()));
    if (!found.ok()) return found.status();
    same_key = *std::move(found);
  }
  return domain::AskQuestion(request, same_key, *state, context);
}

absl::StatusOr<Decision<v1::WithdrawQuestionResponse>> Decide(
    Turn& turn, const domain::Context& context, const v1::WithdrawQuestionRequest& request) {
  const absl::StatusOr<TicketState> state = LoadLeased(turn, request);
  if (!state.ok()) return state.status();
  const std::string& session_id = state->ticket.session().session_id();
  absl::StatusOr<std::optional<store::QuestionRecord>> question = std::nullopt;
  if (request.question_id().empty()) {
    question = turn.Optional(turn.transaction().FindQuestionByKey(session_id, request.key()));
  } else {
    const absl::StatusOr<std::string> id = NormalUuid("question_id", request.question_id());
    if (!id.ok()) return id.status();
    question = turn.Optional(turn.transaction().FindQuestion(*id));
  }
  if (!question.ok()) return question.status();
  if (!question->has_value() || (*question)->question().session_id() != session_id) {
    return domain::UnknownQuestion();
  }
  return domain::WithdrawQuestion(request, **question, *state, context);
}

absl::StatusOr<Decision<v1::ReleaseJobResponse>> Decide(Turn& turn, const domain::Context& context,
                                                        const v1::ReleaseJobRequest& request) {
  const absl::StatusOr<TicketState> state = LoadLeased(turn, request);
  if (!state.ok()) return state.status();
  return domain::ReleaseJob(request, *state, context);
}

absl::StatusOr<Decision<v1::CompleteJobResponse>> Decide(Turn& turn, const domain::Context& context,
                                                         const v1::CompleteJobRequest& request) {
  const absl::StatusOr<TicketState> state = LoadLeased(turn, request);
  if (!state.ok()) return state.status();
  return domain::CompleteJob(request, *state, context);
}

absl::StatusOr<Decision<v1::FailJobResponse>> Decide(Turn& turn, const domain::Context& context,
                                                     const v1::FailJobRequest& request) {
  const absl::StatusOr<TicketState> state = LoadLeased(turn, request);
  if (!state.ok()) return state.status();
  return domain::FailJob(request, *state, context);
}

// What the giver of an unnamed response had seen as of a position.
absl::Status FindUnnamed(Turn& turn, const std::string& session_id, int64_t as_of,
                         domain::ResponseTarget& target) {
  absl::StatusOr<std::vector<store::QuestionRecord>> open =
      turn.transaction().OpenQuestions(session_id, as_of, domain::kMaxOpenQuestions);
  if (!open.ok()) return turn.Spoil(open.status());
  target.open_as_of = *std::move(open);
  if (!target.open_as_of.empty()) return absl::OkStatus();
  absl::StatusOr<std::optional<store::QuestionRecord>> latest =
      turn.Optional(turn.transaction().LatestQuestion(session_id, as_of));
  if (!latest.ok()) return latest.status();
  target.latest_as_of = *std::move(latest);
  if (!target.latest_as_of.has_value()) return absl::OkStatus();
  const absl::StatusOr<bool> spoke = turn.transaction().AgentSpoke(
      session_id, target.latest_as_of->question().closed_sequence(), as_of);
  if (!spoke.ok()) return turn.Spoil(spoke.status());
  target.agent_spoke_since_latest = *spoke;
  return absl::OkStatus();
}

absl::StatusOr<Decision<v1::SubmitResponseResponse>> Decide(
    Turn& turn, const domain::Context& context, const v1::SubmitResponseRequest& request) {
  const bool unnamed = request.question_id().empty();
  if (unnamed) {
    const LogRange range{turn.around().desk_id, turn.transaction().oldest(), turn.head()};
    absl::Status known =
        range.CheckReached("as_of_sequence", request.desk_id(), request.as_of_sequence());
    if (!known.ok()) return known;
  }
  const std::optional<Uuid> session = Uuid::Parse(request.session_id());
  absl::StatusOr<TicketState> state =
      session.has_value() ? turn.LoadTicketOfSession(session->ToString())
                          : absl::StatusOr<TicketState>(absl::NotFoundError("not a UUID"));
  if (absl::IsNotFound(state.status())) {
    return Decision<v1::SubmitResponseResponse>{domain::UnknownSession(context), {}};
  }
  if (!state.ok()) return state.status();

  const std::string& session_id = state->ticket.session().session_id();
  domain::ResponseTarget target;
  if (unnamed) {
    absl::Status s = FindUnnamed(turn, session_id, request.as_of_sequence(), target);
    if (!s.ok()) return s;
  } else if (const std::optional<Uuid> id = Uuid::Parse(request.question_id()); id.has_value()) {
    absl::StatusOr<std::optional<store::QuestionRecord>> question =
        turn.Optional(turn.transaction().FindQuestion(id->ToString()));
    if (!question.ok()) return question.status();
    if (question->has_value() && (*question)->question().session_id() == session_id) {
      target.named = *std::move(question);
    }
  }
  return domain::SubmitResponse(request, target, *state, context);
}

// The first event that must stay.
absl::StatusOr<int64_t> FirstToKeep(Turn& turn, const v1::CompactRequest& request) {
  switch (request.keep_case()) {
    case v1::CompactRequest::kKeepEvents:
      if (request.keep_events() < 0) return InvalidField("keep_events", "must not be negative");
      return turn.head() - request.keep_events() + 1;
    case v1::CompactRequest::kKeepAge: {
      const absl::Duration age = FromProto(request.keep_age());
      if (age < absl::ZeroDuration()) return InvalidField("keep_age", "must not be negative");
      absl::StatusOr<int64_t> first =
          turn.transaction().SequenceAt(turn.around().clock.Now() - age);
      return first.ok() ? first : turn.Spoil(first.status());
    }
    default:
      return InvalidField("keep_events", "is required where there is no `keep_age`");
  }
}

// No rule of a ticket: it moves what is served of the log, and changes no state.
absl::StatusOr<v1::CompactResponse> Compact(Turn& turn, const v1::CompactRequest& request) {
  const absl::StatusOr<int64_t> first = FirstToKeep(turn, request);
  if (!first.ok()) return first.status();
  const int64_t before = turn.transaction().oldest();
  const int64_t oldest = std::max(*first, before);
  if (absl::Status status = turn.Compact(oldest); !status.ok()) return status;
  v1::CompactResponse response;
  response.set_desk_id(turn.around().desk_id);
  response.set_oldest_sequence(oldest);
  response.set_head_sequence(turn.head());
  response.set_compacted(oldest - before);
  return response;
}

template <typename Request, typename Response>
class RequestCommand final : public Command {
 public:
  RequestCommand(Caller caller, Request request, Done<Response> done)
      : caller_(std::move(caller)),
        request_(std::move(request)),
        bytes_(request_.ByteSizeLong()),
        done_(std::move(done)) {
    // On the caller's thread: the writer's time is everybody's.
    if constexpr (kIdempotent) {
      if (!request_.request_id().empty()) fingerprint_ = Fingerprint(request_);
    }
  }

  Progress Run(Turn& turn) override {
    if constexpr (std::is_same_v<Request, v1::CompactRequest>) {
      // Of the whole desk, whoever asks.
      result_ = Compact(turn, request_);
    } else {
      turn.transaction().HoldTo(caller_.HeldTo());
      result_ = Execute(turn);
      turn.transaction().HoldTo(std::nullopt);
    }
    return Progress::kDecided;
  }
  void Finish(const absl::Status& committed) override {
    if (committed.ok()) {
      done_(std::move(result_));
    } else {
      done_(committed);
    }
  }
  size_t bytes() const override { return bytes_; }

 private:
  static constexpr bool kIdempotent = requires(const Request& request) { request.request_id(); };
  static constexpr bool kIsResponse = std::is_same_v<Request, v1::SubmitResponseRequest>;

  absl::StatusOr<Response> Execute(Turn& turn) {
    if constexpr (kIdempotent) {
      absl::StatusOr<std::optional<Response>> earlier =
          Recall<Response>(turn, caller_, request_.request_id(), fingerprint_);
      if (!earlier.ok()) return earlier.status();
      if (earlier->has_value()) return **std::move(earlier);
    }
    const domain::Context context = turn.ContextFor(caller_);
    std::optional<int64_t> judged_as_of;
    if constexpr (kIsResponse) {
      const absl::StatusOr<std::optional<int64_t>> position =
          RecallPosition(turn, caller_, request_, fingerprint_);
      if (!position.ok()) return position.status();
      judged_as_of = *position;
      if (judged_as_of.has_value()) request_.set_as_of_sequence(*judged_as_of);
    }
    absl::StatusOr<Decision<Response>> decision = Decide(turn, context, request_);
    if (!decision.ok()) return decision.status();
    if (absl::Status status = turn.Apply(decision->change); !status.ok()) return status;
    if constexpr (kIdempotent) {
      // A refused response is judged anew when it is repeated; what was OK is not, though it had
      // nothing to change: by then it might.
      absl::Status status;
      if (!kIsResponse || !decision->change.empty()) {
        status = Remember(turn, caller_, request_.request_id(), fingerprint_, decision->response,
                          context.now);
      } else if constexpr (kIsResponse) {
        const bool of_session =
            decision->response.outcome() != v1::RESPONSE_OUTCOME_UNKNOWN_SESSION;
        if (!judged_as_of.has_value() && of_session) status = RememberPosition(turn, context.now);
      }
      if (!status.ok()) return status;
    }
    return std::move(decision->response);
  }

  // Keeps as of which position a response that names no question was refused.
  absl::Status RememberPosition(Turn& turn, absl::Time now) {
    if (request_.request_id().empty() || !request_.question_id().empty()) return absl::OkStatus();
    store::RequestRecord record = RecordOf(caller_, request_.request_id(), fingerprint_, now);
    record.set_judged_as_of(request_.as_of_sequence());
    return turn.Remember(record);
  }

  const Caller caller_;
  Request request_;
  const size_t bytes_;
  Done<Response> done_;
  std::string fingerprint_;
  absl::StatusOr<Response> result_;
};

class ClaimCommand final : public Command {
 public:
  ClaimCommand(Caller caller, v1::ClaimJobRequest request, absl::Duration waits_until,
               std::shared_ptr<const std::atomic<bool>> called_off, Done<v1::ClaimJobResponse> done)
      : caller_(std::move(caller)),
        request_(std::move(request)),
        bytes_(request_.ByteSizeLong()),
        queues_(request_.queues().begin(), request_.queues().end()),
        waits_until_(waits_until),
        called_off_(std::move(called_off)),
        done_(std::move(done)) {
    // How long it waits does not make it another claim.
    v1::ClaimJobRequest what = request_;
    what.clear_wait();
    if (request_.request_id().empty()) return;
    fingerprint_ = Fingerprint(std::move(what));
    call_ = absl::StrCat(fingerprint_, request_.request_id(), " ", caller_.identity);
  }

  Progress Run(Turn& turn) override {
    // Nobody is there any more to work on what it would get.
    if (called_off()) return Progress::kDecided;
    turn.transaction().HoldTo(caller_.HeldTo());
    absl::StatusOr<std::optional<v1::ClaimJobResponse>> claimed = Claim(turn);
    turn.transaction().HoldTo(std::nullopt);
    if (!claimed.ok()) {
      result_ = claimed.status();
      return Progress::kDecided;
    }
    if (!claimed->has_value()) {
      return waits_until_ > turn.around().clock.Monotonic() ? Progress::kWaits : Progress::kDecided;
    }
    result_ = **std::move(claimed);
    return Progress::kDecided;
  }
  void Finish(const absl::Status& committed) override {
    if (committed.ok()) {
      done_(std::move(result_));
    } else {
      done_(committed);
    }
  }
  size_t bytes() const override { return bytes_; }
  bool called_off() const override { return called_off_->load(std::memory_order_relaxed); }
  absl::Duration waits_until() const override { return waits_until_; }
  absl::string_view call() const override { return call_; }
  bool WaitsFor(absl::string_view tenant, absl::string_view queue) const override {
    return caller_.HeldTo().value_or(std::string(tenant)) == tenant &&
           std::find(queues_.begin(), queues_.end(), queue) != queues_.end();
  }
  void GiveUp() override { result_ = v1::ClaimJobResponse(); }
  void Refuse(const absl::Status& status) override { result_ = status; }

 private:
  // The lease that an earlier claim under this request id got, while it is live.
  absl::StatusOr<std::optional<v1::ClaimJobResponse>> RecallLive(Turn& turn) {
    absl::StatusOr<std::optional<v1::ClaimJobResponse>> earlier =
        Recall<v1::ClaimJobResponse>(turn, caller_, request_.request_id(), fingerprint_);
    if (!earlier.ok() || !earlier->has_value()) return earlier;
    v1::ClaimJobResponse& response = **earlier;
    const absl::StatusOr<std::optional<store::JobRecord>> job =
        turn.Optional(turn.transaction().FindJob(response.job().job_id()));
    if (!job.ok()) return job.status();
    const bool live = job->has_value() && (*job)->lease_token() == response.lease_token() &&
                      !turn.LeaseIsOver(response.job().job_id());
    if (!live) return std::nullopt;
    Clock& clock = turn.around().clock;
    const absl::Duration end = turn.around()
                                   .timers.Find(Timers::Kind::kLease, response.job().job_id())
                                   .value_or(clock.Monotonic());
    const auto expires_at = ToProto(clock.Now() + (end - clock.Monotonic()));
    *response.mutable_lease_expires_at() = expires_at;
    *response.mutable_job()->mutable_lease_expires_at() = expires_at;
    return earlier;
  }

  absl::StatusOr<std::optional<v1::ClaimJobResponse>> Claim(Turn& turn) {
    absl::StatusOr<std::optional<v1::ClaimJobResponse>> earlier = RecallLive(turn);
    if (!earlier.ok() || earlier->has_value()) return earlier;
    const absl::StatusOr<std::optional<store::JobRecord>> job =
        turn.Optional(turn.transaction().NextClaimableJob(queues_));
    if (!job.ok()) return job.status();
    if (!job->has_value()) return std::nullopt;
    const absl::StatusOr<TicketState> state = turn.LoadTicketOfJob((*job)->job().job_id());
    if (!state.ok()) return turn.Spoil(absl::InternalError(state.status().message()));
    const domain::Context context = turn.ContextFor(caller_);
    Decision<v1::ClaimJobResponse> decision = domain::ClaimJob(request_, *state, context);
    decision.response.set_desk_id(turn.around().desk_id);
    if (absl::Status status = turn.Apply(decision.change); !status.ok()) return status;
    absl::Status status = Remember(turn, caller_, request_.request_id(), fingerprint_,
                                   decision.response, context.now);
    if (!status.ok()) return status;
    return std::move(decision.response);
  }

  const Caller caller_;
  const v1::ClaimJobRequest request_;
  const size_t bytes_;
  const std::vector<std::string> queues_;
  const absl::Duration waits_until_;
  const std::shared_ptr<const std::atomic<bool>> called_off_;
  Done<v1::ClaimJobResponse> done_;
  std::string fingerprint_;
  std::string call_;
  absl::StatusOr<v1::ClaimJobResponse> result_ = v1::ClaimJobResponse();
};

class ProbeCommand final : public Command {
 public:
  explicit ProbeCommand(absl::AnyInvocable<void(absl::Status)> done) : done_(std::move(done)) {}

  Progress Run(Turn& turn) override {
    result_ = turn.Touch();
    return Progress::kDecided;
  }
  void Finish(const absl::Status& committed) override {
    done_(committed.ok() ? result_ : committed);
  }
  size_t bytes() const override { return 0; }

 private:
  absl::AnyInvocable<void(absl::Status)> done_;
  absl::Status result_;
};

}  // namespace

std::unique_ptr<Command> MakeProbe(absl::AnyInvocable<void(absl::Status)> done) {
  return std::make_unique<ProbeCommand>(std::move(done));
}

template <typename Request, typename Response>
std::unique_ptr<Command> MakeCommand(Caller caller, Request request, Done<Response> done) {
  return std::make_unique<RequestCommand<Request, Response>>(std::move(caller), std::move(request),
                                                             std::move(done));
}

#define AGENTDESK_COMMAND(name)                                                         \
  template std::unique_ptr<Command> MakeCommand<v1::name##Request, v1::name##Response>( \
      Caller, v1::name##Request, Done<v1::name##Response>)
AGENTDESK_COMMAND(CreateTicket);
AGENTDESK_COMMAND(CancelTicket);
AGENTDESK_COMMAND(RetryTicket);
AGENTDESK_COMMAND(RenewLease);
AGENTDESK_COMMAND(ReportActivity);
AGENTDESK_COMMAND(AskQuestion);
AGENTDESK_COMMAND(WithdrawQuestion);
AGENTDESK_COMMAND(ReleaseJob);
AGENTDESK_COMMAND(CompleteJob);
AGENTDESK_COMMAND(FailJob);
AGENTDESK_COMMAND(SubmitResponse);
AGENTDESK_COMMAND(SendMessage);
AGENTDESK_COMMAND(Compact);
#undef AGENTDESK_COMMAND

std::unique_ptr<Command> MakeClaim(Caller caller, v1::ClaimJobRequest request,
                                   absl::Duration waits_until,
                                   std::shared_ptr<const std::atomic<bool>> called_off,
                                   Done<v1::ClaimJobResponse> done) {
  return std::make_unique<ClaimCommand>(std::move(caller), std::move(request), waits_until,
                                        std::move(called_off), std::move(done));
}

}  // namespace agentdesk::desk
