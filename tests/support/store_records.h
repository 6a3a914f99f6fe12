#ifndef AGENTDESK_TESTS_SUPPORT_STORE_RECORDS_H_
#define AGENTDESK_TESTS_SUPPORT_STORE_RECORDS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/record/v1/record.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/base/mutex.h"
#include "core_service/base/uuid.h"

namespace agentdesk::testing {

// The same ids for the same seed. Thread-safe.
class SeededIds final : public IdSource {
 public:
  explicit SeededIds(uint64_t seed) : state_(seed) {}
  Uuid NewUuid(absl::Time now) override;
  double Fraction() override;

 private:
  uint64_t Bits() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  uint64_t state_ ABSL_GUARDED_BY(mutex_);
};

// Records as the desk would store them, filled enough to tell them apart.
record::v1::TicketRecord NewTicket(IdSource& ids, absl::string_view name,
                                   v1::JobStatus status = v1::JOB_STATUS_QUEUED);
// A new job of `ticket` with its status; claimable where that is queued. The ticket names it.
record::v1::JobRecord NewJob(IdSource& ids, record::v1::TicketRecord& ticket);
// An open question of `ticket`.
record::v1::QuestionRecord NewQuestion(IdSource& ids, const record::v1::TicketRecord& ticket,
                                       absl::string_view key, int64_t asked_sequence);
// An event of `ticket` with no payload; its time follows from `sequence`.
v1::Event NewEvent(const record::v1::TicketRecord& ticket, int64_t sequence);
v1::Event TicketCreatedEvent(const record::v1::TicketRecord& ticket, int64_t sequence);
v1::Event AgentMessageEvent(const record::v1::TicketRecord& ticket, int64_t sequence,
                            absl::string_view content);
v1::Event UserMessageEvent(const record::v1::TicketRecord& ticket, int64_t sequence,
                           absl::string_view content);

// The time of the event with this sequence.
absl::Time TimeOf(int64_t sequence);

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_STORE_RECORDS_H_
