#include "tests/support/desk_fixture.h"

#include "core_service/base/timestamp.h"

namespace agentdesk::testing {
namespace {

// Lets a thread wait for the log to grow.
class Grown final : public events::Waiter {
 public:
  void OnEvents() override { grown_.set_value(); }
  void Wait() { grown_.get_future().wait(); }

 private:
  std::promise<void> grown_;
};

}  // namespace

void DeskFixture::Open() {
  OpenStore();
  StartDesk(clock_);
}

void DeskFixture::OpenStore() {
  store::SqliteOptions options;
  options.data_dir = dir_.path();
  options.readers = options_.max_views();
  options.vfs = vfs_;
  auto store = store::OpenSqliteStore(options, clock_, ids_);
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
}

void DeskFixture::StartDesk(Clock& clock) {
  desk::DeskOptions desk_options;
  desk_options.retain_events = options_.retain_events;
  desk_options.expiry_hold = options_.expiry_hold;
  desk_options.max_commands = options_.max_commands;
  desk_options.max_command_bytes = options_.max_command_bytes;
  desk_options.max_batch = options_.max_batch;
  desk_options.max_batch_bytes = options_.max_batch_bytes;
  desk_options.max_waiting_claims = options_.max_waiting_claims;
  desk_options.max_snapshot_bytes = options_.max_snapshot_bytes;
  desk_options.max_open_tickets = options_.max_open_tickets;
  desk_options.max_open_questions = options_.max_open_questions;
  auto desk = desk::Desk::Start(std::move(desk_options), *store_, clock, ids_);
  ASSERT_TRUE(desk.ok()) << desk.status();
  desk_ = *std::move(desk);
}

void DeskFixture::Close() {
  desk_.reset();
  store_.reset();
}

v1::CreateTicketResponse DeskFixture::Create(const std::string& name,
                                             const std::string& request_id) {
  v1::CreateTicketRequest request;
  request.set_ticket_name(name);
  request.set_request_id(request_id);
  auto response = Call<v1::CreateTicketResponse>(request);
  EXPECT_TRUE(response.ok()) << response.status();
  return response.value_or(v1::CreateTicketResponse());
}

absl::StatusOr<v1::ClaimJobResponse> DeskFixture::Claim(const std::string& worker,
                                                        absl::Duration wait,
                                                        const std::string& request_id) {
  v1::ClaimJobRequest request;
  request.set_worker(worker);
  request.set_request_id(request_id);
  *request.mutable_wait() = ToProto(wait);
  std::promise<absl::StatusOr<v1::ClaimJobResponse>> answer;
  auto claim = desk_->Claim(
      {}, request, [&](absl::StatusOr<v1::ClaimJobResponse> r) { answer.set_value(std::move(r)); });
  return answer.get_future().get();
}

v1::Question DeskFixture::AskQuestion(const v1::ClaimJobResponse& claim, const std::string& key,
                                      absl::Duration expires_in) {
  v1::AskQuestionRequest request;
  request.set_job_id(claim.job().job_id());
  request.set_lease_token(claim.lease_token());
  request.set_key(key);
  request.set_content("May I?");
  if (expires_in > absl::ZeroDuration()) *request.mutable_expires_in() = ToProto(expires_in);
  auto response = Call<v1::AskQuestionResponse>(request);
  EXPECT_TRUE(response.ok()) << response.status();
  return response.value_or(v1::AskQuestionResponse()).question();
}

v1::SubmitResponseResponse DeskFixture::Answer(const v1::Question& question,
                                               const std::string& text, const std::string& who) {
  v1::SubmitResponseRequest request;
  request.set_session_id(question.session_id());
  request.set_question_id(question.question_id());
  request.set_response(text);
  desk::Caller caller;
  caller.actor.set_id(who);
  auto response = CallAs<v1::SubmitResponseResponse>(caller, request);
  EXPECT_TRUE(response.ok()) << response.status();
  return response.value_or(v1::SubmitResponseResponse());
}

v1::Ticket DeskFixture::Ticket(const std::string& ticket_id) {
  v1::GetTicketRequest request;
  request.set_ticket_id(ticket_id);
  auto response = Ask<v1::GetTicketResponse>(request);
  EXPECT_TRUE(response.ok()) << response.status();
  return response.value_or(v1::GetTicketResponse()).ticket();
}

std::vector<v1::Event> DeskFixture::Log() {
  std::vector<v1::Event> events;
  v1::ListEventsRequest request;
  request.set_page_size(1000);
  while (true) {
    auto page = Ask<v1::ListEventsResponse>(request);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return events;
    events.insert(events.end(), page->events().begin(), page->events().end());
    if (page->next_page_token().empty()) return events;
    request.set_page_token(page->next_page_token());
  }
}

std::promise<void> DeskFixture::OccupyReaders() {
  std::promise<void> free;
  const std::shared_future<void> freed = free.get_future().share();
  std::vector<std::promise<void>> busy(static_cast<size_t>(options_.read_threads));
  for (std::promise<void>& thread : busy) {
    EXPECT_TRUE(desk_
                    ->PostRead([&thread, freed](store::Store&) {
                      thread.set_value();
                      freed.wait();
                    })
                    .ok());
  }
  for (std::promise<void>& thread : busy) thread.get_future().wait();
  return free;
}

v1::Event DeskFixture::WaitFor(v1::EventType type, int64_t after) {
  events::Subscription subscription = desk_->Subscribe(desk::Caller{}, {}, after);
  while (true) {
    auto grown = std::make_shared<Grown>();
    auto batch = subscription.Next(grown);
    if (batch.found == events::EventLog::Found::kWaiting) {
      grown->Wait();
      continue;
    }
    if (batch.found == events::EventLog::Found::kInStore) batch = *subscription.ReadStore(*store_);
    v1::SubscribeResponse decoded;
    for (const events::Piece& piece : batch.pieces) {
      decoded.MergeFromString(std::string(piece.bytes));
    }
    for (const v1::Event& event : decoded.events()) {
      if (store::TypeOf(event) == type) return event;
    }
  }
}

}  // namespace agentdesk::testing
