#include "tools/agentdesk-bench/filler.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "tools/agentdesk-bench/creator.h"
#include "tools/agentdesk-bench/failure.h"
#include "tools/agentdesk-bench/ledger.h"

namespace agentdesk::bench {
namespace {

constexpr char kCreate[] = "/agentdesk.v1.TicketService/CreateTicket";
constexpr char kClaim[] = "/agentdesk.v1.AgentService/ClaimJob";
constexpr char kReport[] = "/agentdesk.v1.AgentService/ReportActivity";
constexpr char kComplete[] = "/agentdesk.v1.AgentService/CompleteJob";

// Tickets that are worked on at a time while a log is filled, and messages of each.
constexpr int kWorkers = 32;
constexpr int64_t kMessages = 100;

v1::ReportActivityRequest Messages(int64_t count, const std::string& job_id, int64_t lease_token) {
  v1::ReportActivityRequest request;
  request.set_job_id(job_id);
  request.set_lease_token(lease_token);
  for (int64_t i = 0; i < count; ++i) {
    request.add_activities()->mutable_message()->set_content(std::string(60, 'x'));
  }
  return request;
}

v1::ClaimJobRequest ClaimRequest() {
  v1::ClaimJobRequest request;
  request.set_worker("bench");
  request.mutable_lease_duration()->set_seconds(600);
  return request;
}

template <typename Response>
Response Parsed(absl::string_view message) {
  Response response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    Fail("a response cannot be read");
  }
  return response;
}

void CheckEnd(const char* path, int status) {
  if (status != 0) Fail(path, " ended with status ", status);
}

}  // namespace

Filler::Filler(EventLoop& loop, uint16_t core_port) : loop_(loop), connection_(loop, core_port) {}

int64_t Filler::Head() {
  v1::GetDeskResponse desk;
  connection_.Call("/agentdesk.v1.EventService/GetDesk", v1::GetDeskRequest(), desk);
  return desk.head_sequence();
}

int64_t Filler::FillTo(int64_t head) {
  head_ = Head();
  goal_ = head;
  for (int i = 0; i < kWorkers; ++i) {
    const auto work = std::make_shared<Work>();
    work->creates = true;
    Create(work);
  }
  connection_.Flush();
  loop_.RunUntil([this] { return busy_ == 0; }, "filling of the log", 1200);
  return head_;
}

void Filler::Serve(int jobs) {
  for (int i = 0; i < jobs; ++i) {
    ++busy_;
    Claim(std::make_shared<Work>());
  }
  connection_.Flush();
}

void Filler::Create(const WorkPtr& work) {
  if (head_ >= goal_) return;
  ++busy_;
  v1::CreateTicketRequest request;
  request.set_ticket_name(TicketName(NextTicketNumber()));
  connection_.Start(kCreate, request, nullptr, [this, work](int status) {
    CheckEnd(kCreate, status);
    Claim(work);
  });
}

void Filler::Claim(const WorkPtr& work) {
  connection_.Start(
      kClaim, ClaimRequest(),
      [work](absl::string_view message) {
        const auto response = Parsed<v1::ClaimJobResponse>(message);
        work->job_id = response.job().job_id();
        work->lease_token = response.lease_token();
      },
      [this, work](int status) {
        CheckEnd(kClaim, status);
        if (!work->job_id.empty()) return Report(work);
        if (work->creates) Fail("there was no job for a ticket that was created");
        --busy_;
      });
}

void Filler::Report(const WorkPtr& work) {
  const int64_t count = work->creates ? kMessages : 1;
  connection_.Start(kReport, Messages(count, work->job_id, work->lease_token), nullptr,
                    [this, work](int status) {
                      CheckEnd(kReport, status);
                      Complete(work);
                    });
}

void Filler::Complete(const WorkPtr& work) {
  v1::CompleteJobRequest request;
  request.set_job_id(work->job_id);
  request.set_lease_token(work->lease_token);
  connection_.Start(
      kComplete, request,
      [this](absl::string_view message) {
        head_ = std::max(head_, Parsed<v1::CompleteJobResponse>(message).sequence());
      },
      [this, work](int status) {
        CheckEnd(kComplete, status);
        --busy_;
        if (work->creates) Create(work);
      });
}

void Filler::Append(int64_t messages) {
  if (open_job_.empty()) {
    v1::CreateTicketRequest create;
    create.set_ticket_name(TicketName(NextTicketNumber()));
    create.set_queue("bench");
    v1::CreateTicketResponse created;
    connection_.Call(kCreate, create, created);
    v1::ClaimJobRequest claim = ClaimRequest();
    claim.add_queues("bench");
    v1::ClaimJobResponse claimed;
    connection_.Call(kClaim, claim, claimed);
    open_job_ = claimed.job().job_id();
    open_lease_ = claimed.lease_token();
  }
  for (int64_t left = messages; left > 0; left -= kMessages) {
    v1::ReportActivityResponse response;
    connection_.Call(kReport, Messages(std::min(left, kMessages), open_job_, open_lease_),
                     response);
  }
}

}  // namespace agentdesk::bench
