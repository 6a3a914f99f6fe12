#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_FOLD_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_FOLD_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "agentdesk/record/v1/record.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/domain/change.h"

// The other direction of the rules: from events to the state that they tell of (promise P4).
namespace agentdesk::domain {

// One ticket with all its jobs and questions, by id.
struct FoldedTicket {
  TicketRecord ticket;
  std::map<std::string, JobRecord> jobs;
  std::map<std::string, QuestionRecord> questions;

  static FoldedTicket Of(const record::v1::TicketCheckpoint& state);
};

// Brings the ticket to what it is after its next event. A state that begins in the middle of the
// ticket's life may miss jobs that had ended and questions that were closed. DataLoss: the event
// cannot follow, or is of a kind that this version does not know.
absl::Status Fold(const v1::Event& event, FoldedTicket& state);

// What of the stored state is not as its events tell it, without any content: `question UUID:
// question.response`. Empty: nothing. Left out is what events do not tell: checkpoints of agents,
// answers to sensitive questions, and what comes from the time of day (whether a job is claimable,
// the end of a lease).
std::string Difference(const FoldedTicket& told, const FoldedTicket& stored);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_FOLD_H_
