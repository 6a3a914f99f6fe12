// The floor under the core: what gRPC itself costs. CreateTicket answers with a message of the
// usual size and does nothing; Subscribe writes the same event again and again, one typed message
// each, the way that comes first to mind. The number of events is what `after_sequence` says.
//
// With --storage=file or --storage=tables, CreateTicket answers when its ticket has reached the
// disk, below --data_dir: what durability costs whatever else is done. It takes the core's other
// flags and heeds none of them.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agentdesk/v1/event.grpc.pb.h"
#include "agentdesk/v1/ticket.grpc.pb.h"
#include "core_service/base/mutex.h"
#include "tools/bench/storage.h"

namespace {

namespace v1 = agentdesk::v1;
using agentdesk::Condition;
using agentdesk::Mutex;
using agentdesk::MutexLock;
using agentdesk::bench::Storage;

constexpr char kId[] = "00000000-0000-7000-8000-000000000000";
constexpr char kJobId[] = "job-00000000-0000-7000-8000-000000000000";

// Answers calls once their tickets are kept: a thread takes all that wait, keeps them at once, and
// answers them.
class GroupCommit {
 public:
  explicit GroupCommit(Storage& storage) : storage_(storage), thread_([this] { Run(); }) {}
  ~GroupCommit() {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
    }
    waiting_.NotifyOne();
    thread_.join();
  }

  void Add(grpc::ServerUnaryReactor* call, std::string ticket) {
    {
      const MutexLock lock(mutex_);
      calls_.push_back(call);
      tickets_.push_back(std::move(ticket));
    }
    waiting_.NotifyOne();
  }

 private:
  bool Take(std::vector<grpc::ServerUnaryReactor*>& calls, std::vector<std::string>& tickets) {
    const MutexLock lock(mutex_);
    while (calls_.empty() && !stopping_) waiting_.Wait(mutex_);
    calls.swap(calls_);
    tickets.swap(tickets_);
    return !calls.empty();
  }
  void Run() {
    std::vector<grpc::ServerUnaryReactor*> calls;
    std::vector<std::string> tickets;
    while (Take(calls, tickets)) {
      storage_.Keep(tickets);
      for (grpc::ServerUnaryReactor* call : calls) call->Finish(grpc::Status::OK);
      calls.clear();
      tickets.clear();
    }
  }

  Storage& storage_;  // the thread's alone
  Mutex mutex_;
  Condition waiting_;
  std::vector<grpc::ServerUnaryReactor*> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> tickets_ ABSL_GUARDED_BY(mutex_);  // of these calls
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

class TicketFloor final : public v1::TicketService::CallbackService {
 public:
  // Without a commit it answers at once.
  explicit TicketFloor(GroupCommit* commit) : commit_(commit) {}

  grpc::ServerUnaryReactor* CreateTicket(grpc::CallbackServerContext* context,
                                         const v1::CreateTicketRequest* request,
                                         v1::CreateTicketResponse* response) override {
    response->set_ticket_id(kId);
    response->set_job_id(kJobId);
    response->set_status(v1::JOB_STATUS_QUEUED);
    response->set_sequence(1);
    v1::Ticket& ticket = *response->mutable_ticket();
    ticket.set_ticket_id(kId);
    ticket.set_ticket_name(request->ticket_name());
    ticket.set_description(request->description());
    ticket.set_job_id(kJobId);
    ticket.set_session_id(kId);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    if (commit_ == nullptr) {
      reactor->Finish(grpc::Status::OK);
    } else {
      commit_->Add(reactor, response->SerializeAsString());
    }
    return reactor;
  }

 private:
  GroupCommit* const commit_;
};

class EventStream final : public grpc::ServerWriteReactor<v1::SubscribeResponse> {
 public:
  explicit EventStream(int64_t events) : events_(events) {
    event_ = response_.add_events();
    event_->set_ticket_id(kId);
    event_->set_session_id(kId);
    event_->set_job_id(kJobId);
    event_->set_attempt(1);
    event_->mutable_time()->set_seconds(1'764'466'501);
    event_->mutable_time()->set_nanos(946'551'000);
    event_->mutable_actor()->set_id("bench");
    event_->mutable_actor()->set_via("worker");
    event_->mutable_agent_message()->set_content(std::string(60, 'x'));
    Next();
  }
  void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (written_ == events_) return Finish(grpc::Status::OK);
    event_->set_sequence(++written_);
    StartWrite(&response_);
  }

  const int64_t events_;
  int64_t written_ = 0;
  v1::SubscribeResponse response_;
  v1::Event* event_ = nullptr;
};

class EventFloor final : public v1::EventService::CallbackService {
 public:
  grpc::ServerWriteReactor<v1::SubscribeResponse>* Subscribe(
      grpc::CallbackServerContext* /*context*/, const v1::SubscribeRequest* request) override {
    return new EventStream(request->after_sequence());
  }
};

}  // namespace

int main(int argc, char** argv) {
  // As the core does: the floor is what gRPC costs, not what it costs when it is built for
  // debugging.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const std::unique_ptr<Storage> storage = agentdesk::bench::MakeStorage(argc, argv);
  const auto commit = storage == nullptr ? nullptr : std::make_unique<GroupCommit>(*storage);
  TicketFloor tickets(commit.get());
  EventFloor events;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  builder.RegisterService(&tickets);
  builder.RegisterService(&events);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::fprintf(stderr, "{\"message\":\"listening\",\"address\":\"127.0.0.1:%d\"}\n", port);
  server->Wait();
}
