#ifndef AGENTDESK_TESTS_SUPPORT_DESK_FIXTURE_H_
#define AGENTDESK_TESTS_SUPPORT_DESK_FIXTURE_H_

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core_service/desk/desk.h"
#include "core_service/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/store_records.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::testing {

// A real desk on a real store in a directory of its own, on a clock that the test moves. Every call
// waits for its answer.
class DeskFixture : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open();
  // The same in two steps.
  void OpenStore();
  void StartDesk(Clock& clock);
  // What the next start finds is what was committed.
  void Close();
  void Restart() {
    Close();
    Open();
  }

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(Request request) {
    return CallAs<Response>(desk::Caller{}, std::move(request));
  }
  template <typename Response, typename Request>
  absl::StatusOr<Response> CallAs(desk::Caller caller, Request request) {
    std::promise<absl::StatusOr<Response>> answer;
    desk_->Execute(std::move(caller), std::move(request),
                   [&](absl::StatusOr<Response> r) { answer.set_value(std::move(r)); });
    return answer.get_future().get();
  }
  template <typename Response, typename Request>
  absl::StatusOr<Response> Ask(Request request) {
    return AskAs<Response>(desk::Caller{}, std::move(request));
  }
  template <typename Response, typename Request>
  absl::StatusOr<Response> AskAs(const desk::Caller& caller, const Request& request) {
    std::promise<absl::StatusOr<Response>> answer;
    desk_->Read(caller, request,
                [&](absl::StatusOr<Response> r) { answer.set_value(std::move(r)); });
    return answer.get_future().get();
  }

  v1::CreateTicketResponse Create(const std::string& name, const std::string& request_id = "");
  absl::StatusOr<v1::ClaimJobResponse> Claim(const std::string& worker = "w",
                                             absl::Duration wait = absl::ZeroDuration(),
                                             const std::string& request_id = "");
  v1::Question AskQuestion(const v1::ClaimJobResponse& claim, const std::string& key,
                           absl::Duration expires_in = absl::ZeroDuration());
  v1::SubmitResponseResponse Answer(const v1::Question& question, const std::string& text,
                                    const std::string& who = "anonymous");
  v1::Ticket Ticket(const std::string& ticket_id);
  // Every event of the log, in order.
  std::vector<v1::Event> Log();
  // Returns when every thread that reads is busy, which it is until the result has its value.
  std::promise<void> OccupyReaders();
  // Waits until the log has an event of this type, and returns the latest one.
  v1::Event WaitFor(v1::EventType type, int64_t after = 0);

  TempDir dir_;
  std::string vfs_;  // SQLite's file layer; empty: the system's
  FakeClock clock_;
  SeededIds ids_{7};
  desk::DeskOptions options_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<desk::Desk> desk_;
};

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_DESK_FIXTURE_H_
