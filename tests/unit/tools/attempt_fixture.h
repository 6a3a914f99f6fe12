#ifndef AGENTDESK_TESTS_UNIT_TOOLS_ATTEMPT_FIXTURE_H_
#define AGENTDESK_TESTS_UNIT_TOOLS_ATTEMPT_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core_service/base/timestamp.h"
#include "gtest/gtest.h"
#include "tests/unit/tools/attempt_fakes.h"
#include "tools/agentdesk-worker/attempt.h"

namespace agentdesk::worker {

// When the attempt's job was claimed, and its lease.
inline constexpr int64_t kClaimed = 100;

// An attempt between an agent and a core that the test plays.
class AttemptTest : public testing::Test {
 protected:
  AttemptTest() {
    claim_.mutable_job()->set_job_id("job-1");
    claim_.mutable_job()->set_session_id("s-1");
    claim_.mutable_job()->set_attempt(1);
    claim_.mutable_ticket()->set_ticket_name("T");
    claim_.set_lease_token(kClaimed);
    claim_.set_sequence(kClaimed);
    *claim_.mutable_lease_duration() = ToProto(absl::Seconds(30));
  }

  // Begins the attempt, up to its agent.
  void Start() {
    Prepare();
    FakeLeaseCalls::Answer(calls_->lists,
                           absl::StatusOr<v1::ListEventsResponse>(v1::ListEventsResponse()));
    ASSERT_TRUE(agent_->alive);
    ASSERT_EQ(agent_->lines.size(), 1u);
    agent_->lines.clear();
  }
  void Prepare() {
    auto calls = std::make_unique<FakeLeaseCalls>();
    calls_ = calls.get();
    Attempt::Options options;
    options.transcript_directory = transcript_directory_;
    attempt_ = std::make_unique<Attempt>(
        options, claim_, std::move(calls),
        [this](Agent::Listener& listener) -> absl::StatusOr<std::unique_ptr<Agent>> {
          if (!start_error_.ok()) return start_error_;
          return std::make_unique<FakeAgent>(agent_, listener);
        },
        [this](const absl::Status& status) { started_.push_back(status); }, alarms_,
        [this] { ++over_; });
    attempt_->Start();
  }

  void Say(const std::string& line) { agent_->listener->OnLine(line); }
  void Exit(int code, int signal = 0, std::string said = "") {
    agent_->listener->OnExit({code, signal, std::move(said)});
  }
  template <typename Request, typename Response>
  Request Ok(FakeLeaseCalls::Queue<Request, Response>& queue, Response response = Response()) {
    EXPECT_FALSE(queue.empty()) << Request::descriptor()->name() << " was not called";
    if (queue.empty()) return Request();
    return FakeLeaseCalls::Answer(queue, absl::StatusOr<Response>(std::move(response)));
  }
  template <typename Request, typename Response>
  Request Refuse(FakeLeaseCalls::Queue<Request, Response>& queue, absl::Status status) {
    return FakeLeaseCalls::Answer(queue, absl::StatusOr<Response>(std::move(status)));
  }
  v1::AskQuestionResponse Asked(v1::QuestionState state, int64_t closed = 0) {
    v1::AskQuestionResponse response;
    response.mutable_question()->set_question_id("q-1");
    response.mutable_question()->set_key("k");
    response.mutable_question()->set_state(state);
    response.mutable_question()->set_response("yes");
    response.mutable_question()->set_closed_sequence(closed);
    return response;
  }
  void Input(int64_t sequence, v1::ReceiveInputResponse input) {
    input.set_sequence(sequence);
    calls_->on_input(std::move(input));
  }
  void Answered(int64_t sequence) {
    v1::ReceiveInputResponse input;
    input.mutable_answer()->set_question_id("q-1");
    input.mutable_answer()->set_key("k");
    input.mutable_answer()->set_response("yes");
    Input(sequence, input);
  }
  void Wrote(int64_t sequence) {
    v1::ReceiveInputResponse input;
    input.mutable_message()->set_content("hello");
    Input(sequence, input);
  }
  void CancelAsked(int64_t sequence) {
    v1::ReceiveInputResponse input;
    input.mutable_cancel();
    Input(sequence, input);
  }

  v1::ClaimJobResponse claim_;
  FakeAlarms alarms_;
  std::shared_ptr<AgentProbe> agent_ = std::make_shared<AgentProbe>();
  absl::Status start_error_;
  std::string transcript_directory_ = testing::TempDir();
  std::vector<absl::Status> started_;
  FakeLeaseCalls* calls_ = nullptr;
  int over_ = 0;
  std::unique_ptr<Attempt> attempt_;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TESTS_UNIT_TOOLS_ATTEMPT_FIXTURE_H_
