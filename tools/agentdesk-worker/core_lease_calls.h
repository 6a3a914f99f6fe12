#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_CORE_LEASE_CALLS_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_CORE_LEASE_CALLS_H_

#include <memory>

#include "agentdesk/v1/agent.grpc.pb.h"
#include "agentdesk/v1/event.grpc.pb.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/steady_timer.hpp"
#include "grpcpp/channel.h"
#include "tools/agentdesk-worker/core_calls.h"
#include "tools/agentdesk-worker/lease_calls.h"

namespace agentdesk::worker {

// The core's services, and as whom they are called.
struct CoreStubs {
  explicit CoreStubs(const std::shared_ptr<grpc::Channel>& channel)
      : agents(v1::AgentService::NewStub(channel)), events(v1::EventService::NewStub(channel)) {}

  const std::unique_ptr<v1::AgentService::Stub> agents;
  const std::unique_ptr<v1::EventService::Stub> events;
};

// LeaseCalls over gRPC.
class CoreLeaseCalls final : public LeaseCalls {
 public:
  CoreLeaseCalls(boost::asio::io_context& io, std::shared_ptr<const CoreStubs> stubs,
                 client::CallLabels labels, const v1::ClaimJobResponse& claim);
  ~CoreLeaseCalls() override;

  void Renew(Done<v1::RenewLeaseResponse> done) override;
  void Call(v1::ReportActivityRequest request, Done<v1::ReportActivityResponse> done) override;
  void Call(v1::AskQuestionRequest request, Done<v1::AskQuestionResponse> done) override;
  void Call(v1::WithdrawQuestionRequest request, Done<v1::WithdrawQuestionResponse> done) override;
  void Call(v1::ReleaseJobRequest request, Done<v1::ReleaseJobResponse> done) override;
  void Call(v1::CompleteJobRequest request, Done<v1::CompleteJobResponse> done) override;
  void Call(v1::FailJobRequest request, Done<v1::FailJobResponse> done) override;
  void Call(v1::ListEventsRequest request, Done<v1::ListEventsResponse> done) override;
  void ReceiveInput(int64_t after_sequence,
                    absl::AnyInvocable<void(v1::ReceiveInputResponse)> on_input) override;
  void NextInput() override;

 private:
  class InputStream;

  using Agents = class v1::AgentService::Stub::async;

  // With the job and the lease.
  template <typename Request>
  Request Signed(Request request) const;
  template <typename Request, typename Response>
  void Write(CoreCalls::Method<Agents, Request, Response> method, Request request,
             Done<Response> done);
  void OpenStream();
  void OnInput(v1::ReceiveInputResponse input);
  void OnStreamEnd(const absl::Status& status);

  boost::asio::io_context& io_;
  const std::shared_ptr<const CoreStubs> stubs_;
  const client::CallLabels labels_;
  const std::string job_id_;
  const int64_t lease_token_;
  CoreCalls calls_;

  std::shared_ptr<InputStream> stream_;
  absl::AnyInvocable<void(v1::ReceiveInputResponse)> on_input_;
  int64_t after_sequence_ = 0;
  Backoff backoff_;
  boost::asio::steady_timer reopen_;
  // Handlers hold it weakly, to know whether this lives.
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_CORE_LEASE_CALLS_H_
