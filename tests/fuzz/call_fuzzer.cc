// Requests to each method, as bytes, against a real desk: one after the other, each a byte that
// picks the method, two bytes of length and the request. A text of a request that names a thing of
// the desk (`t1`, `q1` ...) stands for its id, `n` for the token of the next page, and lease token
// 1 for a live lease, so that what lies behind them can be reached.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "agentdesk/v1/admin.pb.h"
#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/base/openssl_exit.h"
#include "core_service/desk/agent_input.h"
#include "core_service/desk/desk.h"
#include "core_service/events/subscription.h"
#include "core_service/store/sqlite_store.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/stubs/logging.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace agentdesk {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr int kCallsOfAnInput = 16;
// The desk grows; a new one now and then keeps calls fast.
constexpr int kInputsOfADesk = 500;

void Fail(absl::string_view what, const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", std::string(what).c_str(), status.ToString().c_str());
  std::abort();
}

// Nothing that a stranger sends is a fault of the desk.
void CheckAnswer(absl::string_view method, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
      return;
    default:
      Fail(method, status);
  }
}

class Nobody final : public events::Waiter {
 public:
  void OnEvents() override {}
};

class Target {
 public:
  Target() {
    store::SqliteOptions options;
    options.data_dir = dir_.path();
    store_ = *store::OpenSqliteStore(options, clock_, IdSource::Real());
    desk_ = *desk::Desk::Start({}, *store_, clock_, IdSource::Real());
    Fill();
  }

  // Parses and makes one call.
  void Call(uint8_t method, absl::string_view bytes) {
    const auto& methods = Methods();
    const auto& [name, run] = methods[method % methods.size()];
    CheckAnswer(name, (this->*run)(bytes));
  }

  // The desk must know what to do with each method that there is.
  static void CheckMethods() {
    size_t count = 0;
    for (const auto* file :
         {v1::Ticket::descriptor()->file(), v1::ClaimJobRequest::descriptor()->file(),
          v1::Session::descriptor()->file(), v1::Event::descriptor()->file(),
          v1::BackupRequest::descriptor()->file()}) {
      for (int i = 0; i < file->service_count(); ++i) {
        count += static_cast<size_t>(file->service(i)->method_count());
      }
    }
    if (count != Methods().size() + 1) {  // Backup's request has no field
      Fail("a method is missing in call_fuzzer.cc", absl::OkStatus());
    }
  }

 private:
  using Run = absl::Status (Target::*)(absl::string_view);

  static const std::vector<std::pair<absl::string_view, Run>>& Methods() {
    static const auto* const methods = new std::vector<std::pair<absl::string_view, Run>>{
        {"CreateTicket", &Target::Execute<v1::CreateTicketRequest, v1::CreateTicketResponse>},
        {"GetTicket", &Target::Read<v1::GetTicketRequest, v1::GetTicketResponse>},
        {"ListTickets", &Target::Read<v1::ListTicketsRequest, v1::ListTicketsResponse>},
        {"CancelTicket", &Target::Execute<v1::CancelTicketRequest, v1::CancelTicketResponse>},
        {"RetryTicket", &Target::Execute<v1::RetryTicketRequest, v1::RetryTicketResponse>},
        {"GetJob", &Target::Read<v1::GetJobRequest, v1::GetJobResponse>},
        {"ListJobs", &Target::Read<v1::ListJobsRequest, v1::ListJobsResponse>},
        {"ClaimJob", &Target::Claim},
        {"RenewLease", &Target::Execute<v1::RenewLeaseRequest, v1::RenewLeaseResponse>},
        {"ReportActivity", &Target::Execute<v1::ReportActivityRequest, v1::ReportActivityResponse>},
        {"AskQuestion", &Target::Execute<v1::AskQuestionRequest, v1::AskQuestionResponse>},
        {"WithdrawQuestion",
         &Target::Execute<v1::WithdrawQuestionRequest, v1::WithdrawQuestionResponse>},
        {"ReceiveInput", &Target::ReceiveInput},
        {"ReleaseJob", &Target::Execute<v1::ReleaseJobRequest, v1::ReleaseJobResponse>},
        {"CompleteJob", &Target::Execute<v1::CompleteJobRequest, v1::CompleteJobResponse>},
        {"FailJob", &Target::Execute<v1::FailJobRequest, v1::FailJobResponse>},
        {"GetSession", &Target::Read<v1::GetSessionRequest, v1::GetSessionResponse>},
        {"ListSessions", &Target::Read<v1::ListSessionsRequest, v1::ListSessionsResponse>},
        {"ListQuestions", &Target::Read<v1::ListQuestionsRequest, v1::ListQuestionsResponse>},
        {"GetQuestion", &Target::Read<v1::GetQuestionRequest, v1::GetQuestionResponse>},
        {"SubmitResponse", &Target::Execute<v1::SubmitResponseRequest, v1::SubmitResponseResponse>},
        {"SendMessage", &Target::Execute<v1::SendMessageRequest, v1::SendMessageResponse>},
        {"Subscribe", &Target::Subscribe},
        {"ListEvents", &Target::Read<v1::ListEventsRequest, v1::ListEventsResponse>},
        {"GetDesk", &Target::GetDesk},
        {"Compact", &Target::Execute<v1::CompactRequest, v1::CompactResponse>},
    };
    return *methods;
  }

  // Everyone may do everything, as without authentication.
  static desk::Caller Caller() {
    desk::Caller caller;
    caller.actor.set_id("anonymous");
    caller.actor.set_via("grpc");
    return caller;
  }

  template <typename Request, typename Response>
  absl::StatusOr<Response> Give(Request request) {
    std::promise<absl::StatusOr<Response>> answer;
    desk_->Execute(Caller(), std::move(request),
                   [&](absl::StatusOr<Response> r) { answer.set_value(std::move(r)); });
    return answer.get_future().get();
  }

  template <typename Request, typename Response>
  absl::Status Execute(absl::string_view bytes) {
    Request request;
    if (!Parse(bytes, request)) return absl::OkStatus();
    return Give<Request, Response>(std::move(request)).status();
  }

  template <typename Request, typename Response>
  absl::Status Read(absl::string_view bytes) {
    Request request;
    if (!Parse(bytes, request)) return absl::OkStatus();
    std::promise<absl::StatusOr<Response>> answer;
    desk_->Read(Caller(), request,
                [&](absl::StatusOr<Response> r) { answer.set_value(std::move(r)); });
    const absl::StatusOr<Response> response = answer.get_future().get();
    if constexpr (requires { response->next_page_token(); }) {
      if (response.ok()) names_["n"] = response->next_page_token();
    }
    return response.status();
  }

  absl::StatusOr<v1::ClaimJobResponse> GiveClaim(v1::ClaimJobRequest request) {
    std::promise<absl::StatusOr<v1::ClaimJobResponse>> answer;
    const bool waits = request.has_wait();
    const std::unique_ptr<desk::WaitingClaim> waiting = desk_->Claim(
        Caller(), std::move(request),
        [&](absl::StatusOr<v1::ClaimJobResponse> r) { answer.set_value(std::move(r)); });
    if (waits) waiting->Cancel();
    return answer.get_future().get();
  }
  absl::Status Claim(absl::string_view bytes) {
    v1::ClaimJobRequest request;
    return Parse(bytes, request) ? GiveClaim(std::move(request)).status() : absl::OkStatus();
  }

  absl::Status ReceiveInput(absl::string_view bytes) {
    v1::ReceiveInputRequest request;
    if (!Parse(bytes, request)) return absl::OkStatus();
    const auto waiter = std::make_shared<Nobody>();
    auto input = desk::AgentInput::Open(*desk_, Caller(), request, *store_);
    if (!input.ok()) return input.status();
    const absl::Status status =
        (*input)->Skip(waiter) ? absl::OkStatus() : (*input)->Next(waiter, *store_).status();
    (*input)->Forget(waiter);
    return status;
  }

  absl::Status Subscribe(absl::string_view bytes) {
    v1::SubscribeRequest request;
    if (!Parse(bytes, request)) return absl::OkStatus();
    absl::StatusOr<events::Filter> filter = events::Filter::Create(request.filter());
    if (!filter.ok()) return filter.status();
    if (request.has_snapshot()) {
      using Parts = std::shared_ptr<const desk::SnapshotParts>;
      std::promise<absl::Status> answer;
      desk_->TakeSnapshot(Caller(), filter->proto(), [&](const absl::StatusOr<Parts>& parts) {
        answer.set_value(parts.status());
      });
      return answer.get_future().get();
    }
    if (request.after_sequence() < 0) return absl::OkStatus();
    absl::Status status = desk_->CheckPosition(request.desk_id(), request.after_sequence());
    if (!status.ok()) return status;
    events::Subscription cursor =
        desk_->Subscribe(Caller(), *std::move(filter), request.after_sequence());
    const auto waiter = std::make_shared<Nobody>();
    const events::Subscription::Batch batch = cursor.Next(waiter);
    if (batch.found == events::EventLog::Found::kInStore) {
      status = cursor.ReadStore(*store_).status();
    }
    cursor.Forget(waiter);
    return status;
  }

  absl::Status GetDesk(absl::string_view bytes) {
    v1::GetDeskRequest request;
    if (Parse(bytes, request)) (void)desk_->GetDesk();
    return absl::OkStatus();
  }

  // False: gRPC would not let it through to the desk.
  bool Parse(absl::string_view bytes, Message& message) const {
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
    PutIds(message);
    return true;
  }

  void PutIds(Message& message) const {
    const google::protobuf::Reflection& access = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    access.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      // No id is in one; and reflection on a map crashes where this is built with the thread
      // sanitizer, for which protobuf's headers lay it out otherwise than Debian's library does.
      if (field->is_map()) continue;
      const bool many = field->is_repeated();
      const int count = many ? access.FieldSize(message, field) : 1;
      for (int i = 0; i < count; ++i) {
        if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
          PutIds(*(many ? access.MutableRepeatedMessage(&message, field, i)
                        : access.MutableMessage(&message, field)));
        } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
          const auto id = names_.find(many ? access.GetRepeatedString(message, field, i)
                                           : access.GetString(message, field));
          if (id == names_.end()) continue;
          if (many) {
            access.SetRepeatedString(&message, field, i, id->second);
          } else {
            access.SetString(&message, field, id->second);
          }
        } else if (field->name() == "lease_token" && access.GetInt64(message, field) == 1) {
          access.SetInt64(&message, field, lease_token_);
        }
      }
    }
  }

  // A ticket that is queued (t0), one that runs and asks (t1), one that was cancelled (t2).
  void Fill() {
    names_["d"] = desk_->desk_id();
    for (const char* number : {"1", "2", "0"}) {
      v1::CreateTicketRequest create;
      create.set_ticket_name("T");
      create.set_queue(absl::StrCat("queue", number));
      const auto created = *Give<v1::CreateTicketRequest, v1::CreateTicketResponse>(create);
      names_[absl::StrCat("t", number)] = created.ticket_id();
      names_[absl::StrCat("j", number)] = created.job_id();
      names_[absl::StrCat("s", number)] = created.ticket().session_id();
    }
    v1::CancelTicketRequest cancel;
    cancel.set_ticket_id(names_["t2"]);
    (void)Give<v1::CancelTicketRequest, v1::CancelTicketResponse>(cancel);
    v1::ClaimJobRequest claim;
    claim.set_worker("w");
    claim.add_queues("queue1");
    const auto claimed = *GiveClaim(claim);
    lease_token_ = claimed.lease_token();
    v1::AskQuestionRequest ask;
    ask.set_job_id(claimed.job().job_id());
    ask.set_lease_token(lease_token_);
    ask.set_key("k");
    ask.set_content("?");
    names_["q1"] =
        Give<v1::AskQuestionRequest, v1::AskQuestionResponse>(ask)->question().question_id();
  }

  const testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<desk::Desk> desk_;
  std::map<std::string, std::string> names_;
  int64_t lease_token_ = 0;
};

}  // namespace
}  // namespace agentdesk

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<agentdesk::Target> target;
  static int inputs = 0;
  if (inputs == 0) {
    agentdesk::KeepOpenSslAtExit();  // the last desk goes after main
    agentdesk::Target::CheckMethods();
    google::protobuf::SetLogHandler(nullptr);  // of text that is no UTF-8 there is much
  }
  if (inputs++ % agentdesk::kInputsOfADesk == 0) {
    target.reset();
    target = std::make_unique<agentdesk::Target>();
  }
  absl::string_view rest(reinterpret_cast<const char*>(data), size);
  for (int calls = 0; rest.size() >= 3 && calls < agentdesk::kCallsOfAnInput; ++calls) {
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(rest[at]); };
    const size_t length = static_cast<size_t>(byte(1)) << 8 | byte(2);
    target->Call(byte(0), rest.substr(3, length));
    rest.remove_prefix(std::min(rest.size(), 3 + length));
  }
  return 0;
}
