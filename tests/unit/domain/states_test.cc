// Every command in every state that a ticket can be in.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/timestamp.h"
#include "tests/unit/domain/ticket_in_memory.h"

namespace agentdesk::domain {
namespace {

using testing::IsOk;

// A ticket whose first attempt asked `old`, which was answered; its worker holds the job.
struct Stage {
  Stage() {
    desk.Create();
    Claim();
    desk.AskKey("old");
    desk.Answer("old", "yes");
  }
  void Claim() {
    job_id = desk.job().job().job_id();
    token = desk.Claim().lease_token();
  }
  template <typename Request>
  Request Held(Request request = {}) const {
    request.set_job_id(job_id);
    request.set_lease_token(token);
    return request;
  }
  // The open question; where there is none the old one.
  std::string Key() const { return desk.Question("new") ? "new" : "old"; }

  TicketInMemory desk;
  std::string job_id;
  int64_t token = 0;
};

const std::map<std::string, std::function<void(Stage&)>>& States() {
  static const auto* const states = new std::map<std::string, std::function<void(Stage&)>>{
      {"queued", [](Stage& s) { ASSERT_THAT(s.desk.Release(), IsOk()); }},
      {"delayed", [](Stage& s) { ASSERT_THAT(s.desk.FailWith("broken", true), IsOk()); }},
      {"running", [](Stage&) {}},
      {"asking", [](Stage& s) { s.desk.AskKey("new"); }},
      {"waiting", [](Stage& s) { ASSERT_THAT(s.desk.Park(), IsOk()); }},
      {"parked",
       [](Stage& s) {
         s.desk.AskKey("new");
         ASSERT_THAT(s.desk.Park(), IsOk());
       }},
      {"cancelling", [](Stage& s) { ASSERT_THAT(s.desk.Cancel(), IsOk()); }},
      {"completed", [](Stage& s) { ASSERT_THAT(s.desk.Complete(), IsOk()); }},
      {"failed", [](Stage& s) { ASSERT_THAT(s.desk.FailWith("broken", false), IsOk()); }},
      {"cancelled",
       [](Stage& s) {
         ASSERT_THAT(s.desk.Release(), IsOk());
         ASSERT_THAT(s.desk.Cancel(), IsOk());
       }},
      {"retried",
       [](Stage& s) {
         ASSERT_THAT(s.desk.FailWith("broken", false), IsOk());
         ASSERT_THAT(s.desk.Retry(), IsOk());
       }},
  };
  return *states;
}

std::string Refusal(const absl::Status& status) {
  return status.ok() ? "" : absl::StrCat("!", DetailOf(status).reason);
}

// Each answers with the refusal's reason, or nothing.
using Commands = std::map<std::string, std::function<std::string(Stage&)>>;

// The calls that carry a lease: here always that of the first attempt.
const Commands& LeaseCommands() {
  static const auto* const commands = new Commands{
      {"report",
       [](Stage& s) {
         return Refusal(s.desk
                            .Report(s.Held(Parse<v1::ReportActivityRequest>(
                                "activities { message { content: 'm' } } checkpoint_json: '1'")))
                            .status());
       }},
      {"ask",
       [](Stage& s) {
         return Refusal(
             s.desk.Ask(s.Held(Parse<v1::AskQuestionRequest>("key: 'another' content: 'c'")))
                 .status());
       }},
      {"withdraw",
       [](Stage& s) {
         auto request = s.Held<v1::WithdrawQuestionRequest>();
         request.set_key(s.Key());
         return Refusal(s.desk.Withdraw(request).status());
       }},
      {"release",
       [](Stage& s) { return Refusal(s.desk.Release(s.Held<v1::ReleaseJobRequest>()).status()); }},
      {"release_later",
       [](Stage& s) {
         auto request = s.Held<v1::ReleaseJobRequest>();
         *request.mutable_run_after() = ToProto(s.desk.log().now + absl::Hours(1));
         return Refusal(s.desk.Release(request).status());
       }},
      {"park",
       [](Stage& s) {
         auto request = s.Held<v1::ReleaseJobRequest>();
         request.set_input_after_sequence(s.desk.ticket().last_input_sequence());
         return Refusal(s.desk.Release(request).status());
       }},
      {"complete",
       [](Stage& s) {
         return Refusal(s.desk.Complete(s.Held<v1::CompleteJobRequest>()).status());
       }},
      {"fail",
       [](Stage& s) {
         return Refusal(
             s.desk.Fail(s.Held(Parse<v1::FailJobRequest>("error: 'e' retryable: true"))).status());
       }},
      {"fail_for_good",
       [](Stage& s) {
         return Refusal(s.desk.Fail(s.Held(Parse<v1::FailJobRequest>("error: 'e'"))).status());
       }},
  };
  return *commands;
}

const Commands& AllCommands() {
  static const auto* const commands = [] {
    auto* all = new Commands{
        {"claim",
         [](Stage& s) {
           if (!s.desk.job().claimable()) return std::string("!not claimable");
           s.Claim();
           return std::string();
         }},
        {"lose",
         [](Stage& s) {
           if (s.desk.job().lease_token() == 0) return std::string("!no lease");
           s.desk.Lose();
           return std::string();
         }},
        {"cancel", [](Stage& s) { return Refusal(s.desk.Cancel().status()); }},
        {"retry", [](Stage& s) { return Refusal(s.desk.Retry().status()); }},
        {"send", [](Stage& s) { return Refusal(s.desk.Send().status()); }},
        {"answer",
         [](Stage& s) {
           const v1::ResponseOutcome outcome = s.desk.Answer(s.Key(), "yes").outcome();
           if (outcome == v1::RESPONSE_OUTCOME_RECEIVED) return std::string();
           return absl::StrCat("!", absl::AsciiStrToLower(absl::StripPrefix(
                                        v1::ResponseOutcome_Name(outcome), "RESPONSE_OUTCOME_")));
         }},
        {"expire",
         [](Stage& s) {
           if (s.Key() == "old") return std::string("!no open question");
           s.desk.Expire("new");
           return std::string();
         }},
    };
    all->insert(LeaseCommands().begin(), LeaseCommands().end());
    return all;
  }();
  return *commands;
}

using Row = std::map<std::string, std::string>;

// What each command leads to: the new status and the events, or `!` and the reason why not. What a
// row does not name follows from Otherwise().
std::map<std::string, Row> Table() {
  const Row ended = {{"cancel", "!ticket_ended"}, {"send", "!session_closed"}};
  Row failed = ended;
  failed["retry"] = "queued: ticket_updated";
  const Row at_rest = {{"cancel", "cancelled: ticket_cancelled agent_complete"},
                       {"send", "queued: user_message"}};
  Row claimable = at_rest;
  claimable["claim"] = "running: agent_started";
  const Row running = {{"report", "running: agent_message"},
                       {"ask", "running: agent_question"},
                       {"withdraw", "running: "},
                       {"release", "queued: job_requeued"},
                       {"release_later", "queued: job_requeued"},
                       {"park", "waiting: job_waiting"},
                       {"complete", "completed: agent_complete"},
                       {"fail", "queued: job_requeued"},
                       {"fail_for_good", "failed: agent_error"},
                       {"lose", "queued: job_requeued"},
                       {"cancel", "cancelling: ticket_cancelled"},
                       {"send", "running: user_message"}};
  Row asking = running;
  asking["withdraw"] = "running: question_withdrawn";
  asking["complete"] = "completed: question_withdrawn agent_complete";
  asking["fail_for_good"] = "failed: question_withdrawn agent_error";
  asking["cancel"] = "cancelling: ticket_cancelled question_withdrawn";
  asking["answer"] = "running: question_answered";
  asking["expire"] = "running: question_expired";
  return {
      {"queued", claimable},
      {"delayed", at_rest},
      {"retried", claimable},
      {"running", running},
      {"asking", asking},
      {"waiting",
       {{"cancel", "cancelled: ticket_cancelled agent_complete"},
        {"send", "queued: user_message job_requeued"}}},
      {"parked",
       {{"cancel", "cancelled: ticket_cancelled question_withdrawn agent_complete"},
        {"send", "queued: user_message job_requeued"},
        {"answer", "queued: question_answered job_requeued"},
        {"expire", "queued: question_expired job_requeued"}}},
      {"cancelling",
       {{"report", "cancelling: agent_message"},
        {"ask", "!cancelling"},
        {"withdraw", "cancelling: "},
        {"release", "cancelled: agent_complete"},
        {"release_later", "cancelled: agent_complete"},
        {"park", "cancelled: agent_complete"},
        {"complete", "cancelled: agent_complete"},
        {"fail", "cancelled: agent_complete"},
        {"fail_for_good", "cancelled: agent_complete"},
        {"lose", "cancelled: agent_complete"},
        {"cancel", "cancelling: "},
        {"send", "cancelling: user_message"}}},
      {"completed", ended},
      {"failed", failed},
      {"cancelled",
       {{"cancel", "cancelled: "},
        {"retry", "queued: ticket_updated"},
        {"send", "!session_closed"}}},
  };
}

std::string Otherwise(const std::string& command) {
  static const auto* const rest = new Row{{"claim", "!not claimable"},
                                          {"lose", "!no lease"},
                                          {"expire", "!no open question"},
                                          {"answer", "!already_answered"},
                                          {"retry", "!not_retryable"}};
  const auto it = rest->find(command);
  return it == rest->end() ? "!lease_lost" : it->second;
}

std::string Image(const TicketInMemory& desk) {
  const TicketState state = desk.state();
  std::string image = absl::StrCat(state.ticket.DebugString(), state.job.DebugString(),
                                   desk.context().next_sequence);
  for (const auto& question : state.open_questions) {
    absl::StrAppend(&image, question.DebugString());
  }
  return image;
}

TEST(StatesTest, EveryCommandInEveryState) {
  const std::map<std::string, Row> table = Table();
  ASSERT_EQ(table.size(), States().size());
  for (const auto& [state, reach] : States()) {
    for (const auto& [command, run] : AllCommands()) {
      SCOPED_TRACE(absl::StrCat(command, " while ", state));
      Stage stage;
      reach(stage);
      stage.desk.NewEvents();
      const std::string before = Image(stage.desk);

      const std::string refusal = run(stage);
      const Row& row = table.at(state);
      const std::string expected = row.contains(command) ? row.at(command) : Otherwise(command);
      const std::string status = absl::AsciiStrToLower(
          absl::StripPrefix(v1::JobStatus_Name(stage.desk.status()), "JOB_STATUS_"));
      EXPECT_EQ(refusal.empty() ? absl::StrCat(status, ": ", stage.desk.NewEvents()) : refusal,
                expected);
      if (!refusal.empty()) {
        EXPECT_EQ(Image(stage.desk), before) << "a refusal leaves nothing";
      }
    }
  }
}

// P7: a worker whose lease is over can change nothing, whoever holds the job by now.
TEST(StatesTest, AnOldLeaseChangesNothing) {
  for (const bool retried : {false, true}) {
    for (const auto& [command, run] : LeaseCommands()) {
      SCOPED_TRACE(command);
      Stage stage;
      if (retried) {
        ASSERT_THAT(stage.desk.FailWith("broken", false), IsOk());
        ASSERT_THAT(stage.desk.Retry(), IsOk());
      } else {
        stage.desk.Lose();
        stage.desk.BecomeDue();
      }
      stage.desk.Claim("worker-2");
      const std::string before = Image(stage.desk);
      EXPECT_EQ(run(stage), "!lease_lost");
      EXPECT_EQ(Image(stage.desk), before);
    }
  }
}

}  // namespace
}  // namespace agentdesk::domain
