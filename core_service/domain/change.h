#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_CHANGE_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_CHANGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agentdesk/record/v1/record.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/base/uuid.h"
#include "core_service/domain/limits.h"

// The rules of the desk as pure functions: (state, command, now) -> change. They read nothing and
// write nothing; the desk loads the state, stores the change and appends its events in one
// transaction.
//
// Each function refuses bad input with InvalidArgument that names the field (base/error.h); the
// other errors stand at each. A function that returns an error has changed nothing.
namespace agentdesk::domain {

using record::v1::JobRecord;
using record::v1::QuestionRecord;
using record::v1::TicketRecord;

// When, by whom and with which chance a command is decided.
struct Context {
  absl::Time now;                              // never before the last event's time
  int64_t next_sequence = 1;                   // of the first event that the change appends
  int64_t lease_epoch = 0;                     // of the desk: LeaseEpoch (domain/job.h)
  int max_open_questions = kMaxOpenQuestions;  // of one session
  v1::Actor actor;                             // who asked
  std::string tenant;                          // empty: the default one
  std::string trace_id;                        // W3C trace id; may be empty
  std::string client_address;                  // from where; both as v1::Event says
  std::string gateway_address;
  bool authenticated = false;       // whether authentication is on
  std::vector<std::string> groups;  // of who asked, proved
  std::vector<std::string> roles;
  IdSource* ids = nullptr;  // not owned
};

// A ticket with everything that its rules look at.
struct TicketState {
  TicketRecord ticket;                         // with its session
  JobRecord job;                               // the latest
  std::vector<QuestionRecord> open_questions;  // of the session, oldest first
};

// What a command changes: whole rows to store, and events to append in this order.
struct Change {
  std::optional<TicketRecord> ticket;
  std::optional<JobRecord> job;
  // The status of that row as it is stored; unspecified for a new one.
  v1::JobStatus job_was = v1::JOB_STATUS_UNSPECIFIED;
  std::vector<QuestionRecord> questions;
  std::vector<std::string> activity_keys;  // of the ticket's session, now taken
  std::vector<v1::Event> events;

  bool empty() const { return !ticket && !job && questions.empty() && events.empty(); }
};

// A response together with the change that makes it true.
template <typename Response>
struct Decision {
  Response response;
  Change change;
};

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_CHANGE_H_
