#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_TRANSITION_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_TRANSITION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/domain/change.h"

// What several commands share; for the sources of this room only.
namespace agentdesk::domain {

// A change of one ticket as it grows: rows are copied when they are first changed, events get their
// header and their place in the log. Whatever a reader can see of the ticket, its session and its
// open questions follows from these events alone.
//
// `state` and `context` must outlive it.
class Transition {
 public:
  Transition(const TicketState& state, const Context& context) : state_(state), context_(context) {}
  Transition(const Transition&) = delete;
  Transition& operator=(const Transition&) = delete;

  // The rows as they stand by now.
  const TicketRecord& ticket() const { return change_.ticket ? *change_.ticket : state_.ticket; }
  const JobRecord& job() const { return change_.job ? *change_.job : state_.job; }
  // The same, to be changed. An event must tell of what readers can see.
  TicketRecord& MutableTicket();
  JobRecord& MutableJob();
  // The ticket's latest job is a new one from here on.
  void StartJob(JobRecord job);
  // The last position of the log when this change is in it.
  int64_t sequence() const {
    return context_.next_sequence - 1 + static_cast<int64_t>(change_.events.size());
  }

  // Appends an event of the ticket, or one of its job, or one of the job's attempt that asked
  // `question`. The reference holds until the next event.
  v1::Event& Append();
  v1::Event& AppendOfJob();
  v1::Event& AppendOfQuestion(const v1::Question& question);

  // The job and with it the ticket has a new status. Also says when the ticket changed last.
  void SetStatus(v1::JobStatus status);

  // `question` is open in the session: stores it, to be followed by its `agent_question`.
  void OpenQuestion(QuestionRecord question);
  // The event appended last closed `question`: stores it closed.
  void CloseQuestion(QuestionRecord question, v1::QuestionState state);
  // Takes `question` back, which must be open.
  void WithdrawQuestion(const QuestionRecord& question);
  void WithdrawOpenQuestions();

  // The event appended last is input for the agent: wakes a parked job.
  void TakeInput();

  // The job is offered again, from `not_before` on (InfinitePast(): at once).
  void Requeue(v1::RequeueReason reason, absl::string_view error, absl::Time not_before);
  // The job is parked until there is input.
  void Park();
  // The job ends: open questions are withdrawn before, the session is closed after.
  void Complete(absl::string_view summary, absl::string_view result_json);
  void EndCancelled(absl::string_view summary, absl::string_view result_json);
  void FailForGood(absl::string_view error);

  // Ends the transition.
  Change Take() { return std::move(change_); }

 private:
  void EndLease();
  void EndJob(v1::JobStatus status);
  void Completed(v1::JobStatus status, absl::string_view summary, absl::string_view result_json);
  void SetOpenQuestions(int count);
  void Touch();

  const TicketState& state_;
  const Context& context_;
  Change change_;
};

// A new, queued job of `ticket`, not claimable before the ticket's `run_after`.
JobRecord NewJob(const v1::Ticket& ticket, v1::StartReason reason, const Context& context);

// FailedPrecondition (`lease_lost`) unless the ticket's latest job is `job_id`, held by `token`.
absl::Status CheckHolder(const TicketState& state, absl::string_view job_id, int64_t token);

// InvalidArgument when an id is missing.
absl::Status CheckPresent(absl::string_view field, absl::string_view id);

// What the next attempt is told after a requeue.
v1::StartReason StartReasonOf(v1::RequeueReason reason);

// `queued`, `running` ...: as the outside world writes it.
std::string StatusName(v1::JobStatus status);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_TRANSITION_H_
