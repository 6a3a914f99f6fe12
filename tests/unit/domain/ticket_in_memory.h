#ifndef AGENTDESK_TESTS_UNIT_DOMAIN_TICKET_IN_MEMORY_H_
#define AGENTDESK_TESTS_UNIT_DOMAIN_TICKET_IN_MEMORY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/error.h"
#include "core_service/base/uuid.h"
#include "core_service/domain/change.h"
#include "core_service/domain/job.h"
#include "core_service/domain/question.h"
#include "core_service/domain/session.h"
#include "core_service/domain/ticket.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace agentdesk::domain {

// Ids that count, and a chance that stays as it was set.
class CountingIds final : public IdSource {
 public:
  Uuid NewUuid(absl::Time) override { return Uuid{1, ++count_}; }
  double Fraction() override { return fraction; }

  double fraction = 0;

 private:
  uint64_t count_ = 0;
};

// What all tickets of a desk share.
struct Log {
  std::vector<v1::Event> events;
  absl::Time now = absl::FromUnixSeconds(1764466501) + absl::Microseconds(946551);
  v1::Actor actor;
  bool authenticated = false;
  std::vector<std::string> groups;
  std::vector<std::string> roles;
  CountingIds ids;

  int64_t head() const { return static_cast<int64_t>(events.size()); }
};

// One ticket, driven through the rules as the desk drives it: loads the state, decides, stores the
// change. Every change that it stores is checked for what holds of all of them: the events' headers
// and the rules between the rows.
class TicketInMemory {
 public:
  explicit TicketInMemory(std::shared_ptr<Log> shared_log = std::make_shared<Log>());

  Log& log() { return *log_; }
  Context context() const;
  TicketState state() const;
  // The question as it stands; where it is none's id, the one that was asked last under this key.
  std::optional<QuestionRecord> Question(absl::string_view id_or_key) const;
  // What a response as of a position may be for.
  ResponseTarget Target(const v1::SubmitResponseRequest& request) const;

  v1::JobStatus status() const { return ticket_.ticket().status(); }
  const TicketRecord& ticket() const { return ticket_; }
  const JobRecord& job() const { return job_; }
  // All jobs by id, as last stored.
  const std::map<std::string, JobRecord>& jobs() const { return jobs_; }
  // All questions by id.
  const std::map<std::string, QuestionRecord>& questions() const { return questions_; }
  // The names of the events appended since the last call: `agent_started question_withdrawn`.
  std::string NewEvents();

  // The commands. Those of a worker get the job and its live lease where the request names none.
  v1::CreateTicketResponse Create(v1::CreateTicketRequest request = {});
  v1::ClaimJobResponse Claim(absl::string_view worker = "worker-1");
  absl::StatusOr<v1::ReportActivityResponse> Report(v1::ReportActivityRequest request);
  absl::StatusOr<v1::AskQuestionResponse> Ask(v1::AskQuestionRequest request);
  absl::StatusOr<v1::WithdrawQuestionResponse> Withdraw(v1::WithdrawQuestionRequest request);
  absl::StatusOr<v1::ReleaseJobResponse> Release(v1::ReleaseJobRequest request = {});
  absl::StatusOr<v1::CompleteJobResponse> Complete(v1::CompleteJobRequest request = {});
  absl::StatusOr<v1::FailJobResponse> Fail(v1::FailJobRequest request);
  absl::StatusOr<v1::CancelTicketResponse> Cancel();
  absl::StatusOr<v1::RetryTicketResponse> Retry();
  absl::StatusOr<v1::SendMessageResponse> Send(absl::string_view content = "hello");
  v1::SubmitResponseResponse Submit(v1::SubmitResponseRequest request);
  void Expire(absl::string_view id_or_key);
  void Lose();
  void BecomeDue();

  // The same with the usual arguments.
  std::string AskKey(absl::string_view key);
  v1::SubmitResponseResponse Answer(absl::string_view id_or_key, absl::string_view response);
  absl::Status Park();
  absl::Status FailWith(absl::string_view error, bool retryable);

  // Stores a change.
  void Apply(const Change& change);

 private:
  template <typename Request>
  Request Held(Request request) const;
  template <typename Response>
  absl::StatusOr<Response> Stored(absl::StatusOr<Decision<Response>> decision);
  void CheckEvent(const v1::Event& event) const;
  void CheckRows() const;

  std::shared_ptr<Log> log_;
  size_t seen_events_ = 0;
  TicketRecord ticket_;
  JobRecord job_;
  std::map<std::string, JobRecord> jobs_;
  std::map<std::string, QuestionRecord> questions_;
  std::set<std::string> activity_keys_;
};

// The name of an event's payload, such as `agent_started`.
std::string NameOf(const v1::Event& event);
bool HasEnded(v1::JobStatus status);

// A request as text: Parse<v1::AskQuestionRequest>("key: 'a' content: 'b'").
template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

// Refused with this reason, for programs, and a text that contains `text`, for people.
MATCHER_P2(IsRefused, reason, text, "") {
  const absl::Status& status = testing::StatusOf(arg);
  *result_listener << status.ToString() << " (" << DetailOf(status).reason << ")";
  return !status.ok() && DetailOf(status).reason == reason &&
         ::testing::Matches(::testing::HasSubstr(text))(std::string(status.message()));
}
// Refused since this field breaks a rule whose text contains `rule`.
MATCHER_P2(IsInvalidField, field, rule, "") {
  const absl::Status& status = testing::StatusOf(arg);
  const ErrorDetail detail = DetailOf(status);
  *result_listener << status.ToString() << " (" << detail.field << ")";
  return status.code() == absl::StatusCode::kInvalidArgument &&
         detail.reason == "invalid_argument" && detail.field == field &&
         ::testing::Matches(::testing::StartsWith(std::string(field) + ": "))(
             std::string(status.message())) &&
         ::testing::Matches(::testing::HasSubstr(rule))(std::string(status.message()));
}

}  // namespace agentdesk::domain

#endif  // AGENTDESK_TESTS_UNIT_DOMAIN_TICKET_IN_MEMORY_H_
