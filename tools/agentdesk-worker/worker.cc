#include "tools/agentdesk-worker/worker.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/post.hpp"
#include "core_service/base/log.h"
#include "core_service/base/timestamp.h"
#include "core_service/client/advice.h"
#include "tools/agentdesk-worker/agent_process.h"

namespace agentdesk::worker {
namespace {

constexpr absl::Duration kClaimWait = absl::Seconds(20);
// A core that is alive answers a claim soon after its wait.
constexpr absl::Duration kClaimSlack = absl::Seconds(10);
// The last claim waits for no job, only for an answer.
constexpr absl::Duration kLastClaim = absl::Seconds(5);
// After a refusal that is not of the worker's making, or where this machine can start no agent.
constexpr absl::Duration kPause = absl::Seconds(5);
// Jobs that could not be given back by then are offered again when their leases run out.
constexpr absl::Duration kGiveUp = absl::Seconds(15);

}  // namespace

Worker::Worker(Config config, boost::asio::io_context& io)
    : config_(std::move(config)),
      io_(io),
      labels_({.actor = config_.name,
               .via = "worker",
               .traceparent = "",
               .token = config_.token_file.empty() ? nullptr
                                                   : std::make_shared<client::BearerToken>(
                                                         config_.token_file, Clock::Real())}),
      stubs_(std::make_shared<CoreStubs>(
          client::MakeChannel(config_.core, client::ChannelUse::kCalls, config_.core_tls))),
      alarms_(io),
      claim_calls_(std::make_unique<CoreCalls>(io, labels_)) {}

Worker::~Worker() = default;

void Worker::Start() { ClaimNext(); }

void Worker::ClaimNext() {
  if (stopping_ || claiming_ || pause_ != nullptr ||
      attempts_.size() >= static_cast<size_t>(config_.concurrency)) {
    return;
  }
  claim_ = v1::ClaimJobRequest();
  for (const std::string& queue : config_.queues) claim_.add_queues(queue);
  claim_.set_worker(config_.name);
  *claim_.mutable_wait() = ToProto(kClaimWait);
  *claim_.mutable_lease_duration() = ToProto(config_.lease);
  claim_.set_request_id(NewRequestId());
  Claim(false);
}

void Worker::Claim(bool last) {
  claiming_ = true;
  using Agents = class v1::AgentService::Stub::async;
  Done<v1::ClaimJobResponse> done = [this](absl::StatusOr<v1::ClaimJobResponse> response) {
    OnClaimed(std::move(response));
  };
  if (last) {
    claim_calls_->Once<v1::ClaimJobRequest, v1::ClaimJobResponse>(
        stubs_->agents->async(), &Agents::ClaimJob, claim_, kLastClaim, std::move(done));
  } else {
    claim_calls_->UntilAnswered<v1::ClaimJobRequest, v1::ClaimJobResponse>(
        stubs_->agents->async(), &Agents::ClaimJob, claim_, kClaimWait + kClaimSlack,
        std::move(done), [this](const absl::Status& why) { SayCannotClaim(why); });
  }
}

void Worker::SayCannotClaim(const absl::Status& why) {
  // How the core is away changes from try to try, and is told by the first.
  const bool refused = absl::IsUnauthenticated(why) || !IsTransient(why);
  std::string kind = refused ? std::string(why.message()) : "away";
  if (claims_fail_ == kind) return;
  claims_fail_ = std::move(kind);
  LogWarning("cannot claim; trying again",
             {{"error",
               absl::StrCat(why.ToString(), client::Advice(why, config_.core_tls, "token_file"))}});
}

void Worker::OnClaimed(absl::StatusOr<v1::ClaimJobResponse> response) {
  claiming_ = false;
  if (response.ok()) {
    if (!std::exchange(claims_fail_, "").empty()) LogInfo("the core is back");
    if (response->has_job()) Run(*std::move(response), stopping_);
  } else if (absl::IsInvalidArgument(response.status()) && !stopping_) {
    LogError("the core refuses this worker's claims", {{"error", response.status()}});
    ok_ = false;
    return Stop();
  } else if (!stopping_) {
    SayCannotClaim(response.status());
    return Pause();
  }
  ClaimNext();
  CheckEnd();
}

void Worker::Run(v1::ClaimJobResponse claim, bool release) {
  const int64_t token = claim.lease_token();
  if (attempts_.contains(token)) return;
  auto calls = std::make_unique<CoreLeaseCalls>(io_, stubs_, labels_, claim);
  const std::string name = claim.job().job_id();
  Attempt::Options options;
  options.cancel_grace = config_.cancel_grace;
  options.core_loss_grace = config_.core_loss_grace;
  options.transcript_directory = config_.transcript_directory;
  auto attempt = std::make_unique<Attempt>(
      options, std::move(claim), std::move(calls),
      [this, name](Agent::Listener& listener) {
        return AgentProcess::Start(io_, {config_.agent, config_.agent_descriptors}, name, listener);
      },
      [this](const absl::Status& status) { OnStarted(status); }, alarms_,
      [this, token] { boost::asio::post(io_, [this, token] { OnOver(token); }); });
  Attempt* const started = attempt.get();
  attempts_[token] = std::move(attempt);
  if (release) {
    started->Stop();
  } else {
    started->Start();
  }
}

void Worker::OnStarted(const absl::Status& status) {
  if (status.ok()) {
    if (std::exchange(starts_fail_, false)) LogInfo("agents can be started again");
    return;
  }
  if (!std::exchange(starts_fail_, true)) {
    LogError("cannot start an agent; its job goes back, and claims pause", {{"error", status}});
  }
  Pause();
}

void Worker::Pause() {
  if (stopping_) return;
  pause_ = alarms_.Set(kPause, [this] {
    pause_.reset();
    ClaimNext();
  });
}

void Worker::OnOver(int64_t attempt) {
  attempts_.erase(attempt);
  ClaimNext();
  CheckEnd();
}

void Worker::Stop() {
  if (stopping_) return;
  stopping_ = true;
  pause_.reset();
  if (claiming_) {
    // The core may have given a job that this worker has not heard of yet. Asked again under the
    // same request id it says so, and the job goes back at once. It must not wait for another one:
    // that might be given when nobody listens any more.
    claim_calls_ = std::make_unique<CoreCalls>(io_, labels_);
    claim_.clear_wait();
    Claim(true);
  }
  give_up_ = alarms_.Set(kGiveUp, [this] {
    LogWarning("could not give back every job", {{"attempts", attempts_.size()}});
    ok_ = false;
    End();
  });
  for (auto& [token, attempt] : attempts_) attempt->Stop();
  CheckEnd();
}

void Worker::CheckEnd() {
  if (stopping_ && !claiming_ && attempts_.empty()) End();
}

void Worker::End() {
  give_up_.reset();
  claim_calls_.reset();
  claiming_ = false;
  attempts_.clear();
  if (on_end_) std::exchange(on_end_, nullptr)();
}

}  // namespace agentdesk::worker
