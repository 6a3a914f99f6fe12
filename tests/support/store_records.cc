#include "tests/support/store_records.h"

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"

namespace agentdesk::testing {
namespace {

constexpr char kTraceId[] = "4bf92f3577b34da6a3ce929d0e0e4736";

void SetActor(v1::Actor* actor) {
  actor->set_id("anonymous");
  actor->set_via("grpc");
}

}  // namespace

// SplitMix64: small, and good enough to tell ids apart.
uint64_t SeededIds::Bits() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t bits = state_;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

Uuid SeededIds::NewUuid(absl::Time now) {
  MutexLock lock(mutex_);
  const auto ms = static_cast<uint64_t>(absl::ToUnixMillis(now));
  return Uuid{(ms << 16) | 0x7000 | (Bits() & 0xfff), (uint64_t{2} << 62) | (Bits() >> 2)};
}

double SeededIds::Fraction() {
  MutexLock lock(mutex_);
  return static_cast<double>(Bits() >> 11) / static_cast<double>(uint64_t{1} << 53);
}

record::v1::TicketRecord NewTicket(IdSource& ids, absl::string_view name, v1::JobStatus status) {
  record::v1::TicketRecord record;
  v1::Ticket& ticket = *record.mutable_ticket();
  ticket.set_ticket_id(ids.NewUuid(TimeOf(0)).ToString());
  ticket.set_session_id(ids.NewUuid(TimeOf(0)).ToString());
  ticket.set_ticket_name(std::string(name));
  ticket.set_queue("default");
  ticket.set_priority(5);
  ticket.set_max_attempts(5);
  ticket.set_status(status);
  ticket.set_trace_id(kTraceId);
  SetActor(ticket.mutable_created_by());
  *ticket.mutable_create_time() = ToProto(TimeOf(0));
  v1::Session& session = *record.mutable_session();
  session.set_session_id(ticket.session_id());
  session.set_ticket_id(ticket.ticket_id());
  session.set_state(status >= v1::JOB_STATUS_COMPLETED ? v1::SESSION_STATE_CLOSED
                                                       : v1::SESSION_STATE_OPEN);
  session.set_trace_id(kTraceId);
  return record;
}

record::v1::JobRecord NewJob(IdSource& ids, record::v1::TicketRecord& ticket) {
  record::v1::JobRecord record;
  v1::Job& job = *record.mutable_job();
  job.set_job_id(absl::StrCat("job-", ids.NewUuid(TimeOf(0)).ToString()));
  job.set_ticket_id(ticket.ticket().ticket_id());
  job.set_session_id(ticket.ticket().session_id());
  job.set_status(ticket.ticket().status());
  job.set_queue(ticket.ticket().queue());
  job.set_priority(ticket.ticket().priority());
  job.set_trace_id(kTraceId);
  SetActor(job.mutable_created_by());
  record.set_start_reason(v1::START_REASON_NEW);
  record.set_claimable(job.status() == v1::JOB_STATUS_QUEUED);
  ticket.mutable_ticket()->set_job_id(job.job_id());
  return record;
}

record::v1::QuestionRecord NewQuestion(IdSource& ids, const record::v1::TicketRecord& ticket,
                                       absl::string_view key, int64_t asked_sequence) {
  record::v1::QuestionRecord record;
  v1::Question& question = *record.mutable_question();
  question.set_question_id(ids.NewUuid(TimeOf(asked_sequence)).ToString());
  question.set_ticket_id(ticket.ticket().ticket_id());
  question.set_session_id(ticket.ticket().session_id());
  question.set_job_id(ticket.ticket().job_id());
  question.set_key(std::string(key));
  question.set_content(absl::StrCat("What about ", key, "?"));
  question.set_state(v1::QUESTION_STATE_OPEN);
  question.set_asked_sequence(asked_sequence);
  question.set_trace_id(kTraceId);
  SetActor(question.mutable_asked_by());
  return record;
}

v1::Event NewEvent(const record::v1::TicketRecord& ticket, int64_t sequence) {
  v1::Event event;
  event.set_sequence(sequence);
  *event.mutable_time() = ToProto(TimeOf(sequence));
  event.set_ticket_id(ticket.ticket().ticket_id());
  event.set_session_id(ticket.ticket().session_id());
  event.set_job_id(ticket.ticket().job_id());
  event.set_trace_id(kTraceId);
  SetActor(event.mutable_actor());
  return event;
}

v1::Event TicketCreatedEvent(const record::v1::TicketRecord& ticket, int64_t sequence) {
  v1::Event event = NewEvent(ticket, sequence);
  *event.mutable_ticket_created()->mutable_ticket() = ticket.ticket();
  return event;
}

v1::Event AgentMessageEvent(const record::v1::TicketRecord& ticket, int64_t sequence,
                            absl::string_view content) {
  v1::Event event = NewEvent(ticket, sequence);
  event.mutable_agent_message()->set_content(std::string(content));
  return event;
}

v1::Event UserMessageEvent(const record::v1::TicketRecord& ticket, int64_t sequence,
                           absl::string_view content) {
  v1::Event event = NewEvent(ticket, sequence);
  event.mutable_user_message()->set_content(std::string(content));
  return event;
}

absl::Time TimeOf(int64_t sequence) {
  return absl::FromUnixSeconds(1764466501) + absl::Microseconds(946551 + 1000 * sequence);
}

}  // namespace agentdesk::testing
