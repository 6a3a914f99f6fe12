#include "core_service/desk/turn.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/job.h"
#include "core_service/domain/limits.h"

namespace agentdesk::desk {
namespace {

constexpr absl::string_view kJobPrefix = "job-";

}  // namespace

absl::StatusOr<std::string> NormalUuid(absl::string_view field, absl::string_view text) {
  const std::optional<Uuid> uuid = Uuid::Parse(text);
  if (!uuid.has_value()) return InvalidField(field, "must be a UUID");
  return uuid->ToString();
}

absl::StatusOr<std::string> NormalJobId(absl::string_view text) {
  absl::string_view rest = text;
  const bool prefixed = absl::ConsumePrefix(&rest, kJobPrefix);
  const std::optional<Uuid> uuid = prefixed ? Uuid::Parse(rest) : std::nullopt;
  if (!uuid.has_value()) return InvalidField("job_id", "must be `job-` and a UUID");
  return absl::StrCat(kJobPrefix, uuid->ToString());
}

Turn::Turn(store::Transaction& transaction, Surroundings& around)
    : transaction_(transaction),
      around_(around),
      head_(transaction.head()),
      last_time_(transaction.last_time()) {}

absl::Status Turn::Spoil(absl::Status status) {
  if (failure_.ok()) failure_ = status;
  return status;
}

absl::StatusOr<domain::TicketState> Turn::Complete(absl::StatusOr<domain::TicketRecord> ticket,
                                                   absl::string_view field, absl::string_view id) {
  absl::StatusOr<std::optional<domain::TicketRecord>> found = Optional(std::move(ticket));
  if (!found.ok()) return found.status();
  if (!found->has_value()) {
    return ErrorWithReason(absl::StatusCode::kNotFound, "not_found",
                           absl::StrCat(field, ": there is none with the id ", id));
  }
  domain::TicketState state;
  state.ticket = **std::move(found);
  absl::StatusOr<domain::JobRecord> job = transaction_.FindJob(state.ticket.ticket().job_id());
  if (!job.ok()) return Spoil(absl::InternalError(job.status().message()));
  state.job = *std::move(job);
  if (state.ticket.ticket().open_questions() > 0) {
    absl::StatusOr<std::vector<domain::QuestionRecord>> questions = transaction_.OpenQuestions(
        state.ticket.ticket().session_id(), INT64_MAX, domain::kMaxOpenQuestions);
    if (!questions.ok()) return Spoil(questions.status());
    state.open_questions = *std::move(questions);
  }
  return state;
}

absl::StatusOr<domain::TicketState> Turn::LoadTicket(absl::string_view ticket_id) {
  const absl::StatusOr<std::string> id = NormalUuid("ticket_id", ticket_id);
  if (!id.ok()) return id.status();
  absl::StatusOr<domain::TicketRecord> ticket = transaction_.FindTicket(*id);
  if (absl::IsFailedPrecondition(ticket.status())) return ticket.status();
  return Complete(std::move(ticket), "ticket_id", *id);
}

absl::StatusOr<domain::TicketState> Turn::LoadTicketOfSession(absl::string_view session_id) {
  const absl::StatusOr<std::string> id = NormalUuid("session_id", session_id);
  if (!id.ok()) return id.status();
  return Complete(transaction_.FindTicketOfSession(*id), "session_id", *id);
}

absl::StatusOr<domain::TicketState> Turn::LoadTicketOfJob(absl::string_view job_id) {
  const absl::StatusOr<std::string> id = NormalJobId(job_id);
  if (!id.ok()) return id.status();
  absl::StatusOr<std::optional<domain::JobRecord>> job = Optional(transaction_.FindJob(*id));
  if (!job.ok()) return job.status();
  if (!job->has_value()) {
    return ErrorWithReason(absl::StatusCode::kNotFound, "not_found",
                           absl::StrCat("job_id: there is none with the id ", *id));
  }
  absl::StatusOr<domain::TicketState> state =
      Complete(transaction_.FindTicketOfSession((*job)->job().session_id()), "job_id", *id);
  if (state.ok() && state->job.job().job_id() != *id) {
    return ErrorWithReason(absl::StatusCode::kFailedPrecondition, "lease_lost",
                           "job_id: this job has ended and its ticket runs as another one; stop "
                           "the agent");
  }
  return state;
}

absl::Time Turn::Now() {
  // Rounded to what an event keeps, so that a time read back is the time that was decided on.
  const absl::Time now = absl::FromUnixMicros(absl::ToUnixMicros(around_.clock.Now()));
  return std::max(now, last_time_);
}

domain::Context Turn::ContextFor(const Caller& caller) {
  domain::Context context;
  context.now = Now();
  context.next_sequence = head_ + 1;
  context.lease_epoch = domain::LeaseEpoch(around_.restores, around_.desk_id);
  context.max_open_questions = around_.max_open_questions;
  context.actor = caller.actor;
  context.tenant = caller.tenant;
  context.trace_id = caller.trace_id;
  context.client_address = caller.client_address;
  context.gateway_address = caller.gateway_address;
  context.authenticated = caller.authenticated;
  context.groups = caller.groups;
  context.roles = caller.roles;
  context.ids = &around_.ids;
  return context;
}

domain::Context Turn::ContextForTimer() {
  Caller desk;
  desk.actor.set_id("agentdesk");
  desk.actor.set_via("timer");
  return ContextFor(desk);
}

absl::Status Turn::Apply(const domain::Change& change) {
  if (change.empty()) return absl::OkStatus();
  changed_ = true;
  if (change.ticket.has_value()) {
    if (absl::Status s = transaction_.PutTicket(*change.ticket); !s.ok()) return Spoil(s);
  }
  if (change.job.has_value()) {
    if (absl::Status s = transaction_.PutJob(*change.job); !s.ok()) return Spoil(s);
    SetJobTimers(*change.job);
  }
  for (const domain::QuestionRecord& question : change.questions) {
    if (absl::Status s = transaction_.PutQuestion(question); !s.ok()) return Spoil(s);
    SetQuestionTimer(question);
  }
  for (const v1::Event& event : change.events) {
    if (absl::Status s = transaction_.Append(event); !s.ok()) return Spoil(s);
    head_ = event.sequence();
    last_time_ = FromProto(event.time());
  }
  around_.metrics.Applied(change);
  around_.open_tickets.Applied(change);
  for (const std::string& key : change.activity_keys) {
    absl::Status s = transaction_.PutActivityKey(change.events.front().session_id(), key);
    if (!s.ok()) return Spoil(s);
  }
  return absl::OkStatus();
}

absl::Status Turn::Remember(const store::RequestRecord& request) {
  changed_ = true;
  if (absl::Status s = transaction_.PutRequest(request); !s.ok()) return Spoil(s);
  return absl::OkStatus();
}

absl::StatusOr<int> Turn::Forget(absl::Time before, int limit) {
  absl::StatusOr<int> forgotten = transaction_.ForgetRequests(before, limit);
  if (!forgotten.ok()) return Spoil(forgotten.status());
  if (*forgotten >= limit) changed_ = true;
  return forgotten;
}

bool Turn::LeaseIsOver(absl::string_view job_id) const {
  const std::optional<absl::Duration> end = around_.timers.Find(Timers::Kind::kLease, job_id);
  return !end.has_value() || *end <= as_of_;
}

void Turn::StartTerm(absl::string_view job_id, absl::Duration term) {
  around_.timers.Set(Timers::Kind::kLease, job_id, around_.clock.Monotonic() + term);
  terms_.emplace_back(job_id, term);
}

void Turn::StartTermsAgain() {
  const absl::Duration now = around_.clock.Monotonic();
  for (const auto& [job_id, term] : terms_) {
    if (!around_.timers.Find(Timers::Kind::kLease, job_id).has_value()) continue;
    around_.timers.Set(Timers::Kind::kLease, job_id, now + term);
  }
}

absl::Status Turn::Compact(int64_t oldest) {
  changed_ = true;
  if (absl::Status s = transaction_.SetOldest(oldest); !s.ok()) return Spoil(s);
  if (absl::Status s = transaction_.PutCheckpoint(); !s.ok()) return Spoil(s);
  return absl::OkStatus();
}

absl::Status Turn::Touch() {
  changed_ = true;
  if (absl::Status s = transaction_.SetOldest(transaction_.oldest()); !s.ok()) return Spoil(s);
  return absl::OkStatus();
}

void Turn::SetJobTimers(const domain::JobRecord& job) {
  const std::string& id = job.job().job_id();
  const absl::Duration now = around_.clock.Monotonic();
  if (job.lease_token() != 0) {
    // A lease keeps the time it has, unless the row is that of a new claim.
    if (!around_.timers.Find(Timers::Kind::kLease, id).has_value()) {
      StartTerm(id, absl::Milliseconds(job.lease_ms()));
    }
  } else {
    around_.timers.Clear(Timers::Kind::kLease, id);
  }
  const bool delayed = job.job().status() == v1::JOB_STATUS_QUEUED && !job.claimable();
  if (delayed) {
    const absl::Duration wait = FromProto(job.job().next_attempt_at()) - Now();
    around_.timers.Set(Timers::Kind::kClaimable, id, now + wait);
  } else {
    around_.timers.Clear(Timers::Kind::kClaimable, id);
  }
  if (job.claimable()) claimable_queues_.emplace(job.job().tenant(), job.job().queue());
}

void Turn::SetQuestionTimer(const domain::QuestionRecord& record) {
  const v1::Question& question = record.question();
  if (question.state() != v1::QUESTION_STATE_OPEN || !question.has_expires_at()) {
    around_.timers.Clear(Timers::Kind::kDeadline, question.question_id());
    return;
  }
  const absl::Duration at = around_.clock.Monotonic() + (FromProto(question.expires_at()) - Now());
  around_.timers.Set(Timers::Kind::kDeadline, question.question_id(),
                     std::max(at, around_.no_expiry_before));
}

}  // namespace agentdesk::desk
