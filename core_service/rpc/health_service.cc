#include <atomic>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core_service/rpc/grpc_status.h"
#include "core_service/rpc/message_bytes.h"
#include "core_service/rpc/services.h"
#include "core_service/rpc/stream_call.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace agentdesk::rpc {
namespace {

// Of what everybody may have the core keep, also without a token.
constexpr size_t kMaxNameBytes = 256;

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using Bytes = grpc::ByteBuffer;
using Context = grpc::CallbackServerContext;

// Which services there are, and whether they serve. Thread-safe.
class ServingStatus {
 public:
  explicit ServingStatus(const std::vector<std::string>& names)
      : names_(names.begin(), names.end()) {}

  HealthCheckResponse::ServingStatus Of(const std::string& name) const {
    if (!name.empty() && !names_.contains(name)) return HealthCheckResponse::SERVICE_UNKNOWN;
    return serving_ ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  }
  void Stop() { serving_ = false; }

 private:
  const absl::flat_hash_set<std::string> names_;
  std::atomic<bool> serving_{true};
};

class HealthWatch final : public StreamCall {
 public:
  static grpc::ServerWriteReactor<Bytes>* Start(const ServingStatus& status, LiveCalls& calls,
                                                Context* context, const Bytes& request) {
    const auto watch = std::make_shared<HealthWatch>(status, calls, context);
    if (watch->Enter()) watch->Begin(request);
    return watch.get();
  }
  HealthWatch(const ServingStatus& status, LiveCalls& calls, Context* context)
      : StreamCall(calls, *HealthCheckRequest::descriptor(), context), status_(status) {}

 private:
  void Begin(const Bytes& bytes) {
    HealthCheckRequest request;
    const absl::Status parsed = Parse(bytes, request);
    MutexLock lock(mutex_);
    if (finished()) return;
    if (!parsed.ok()) return FinishLocked(parsed);
    // One that is longer than ours is unknown, and so is its beginning.
    name_ = request.service().substr(0, kMaxNameBytes);
    known_ = true;
    PumpIfIdleLocked();
  }

  void PumpLocked() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const HealthCheckResponse::ServingStatus status = status_.Of(name_);
    if (!known_ || status == told_) return;
    told_ = status;
    HealthCheckResponse response;
    response.set_status(status);
    WriteLocked(Encode(response));
  }
  void ProgressLocked(bool /*idle*/) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    PumpLocked();
  }
  std::string ResumeLocked() const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return "Watch again.";
  }

  const ServingStatus& status_;
  bool known_ ABSL_GUARDED_BY(mutex_) = false;  // the request has been read
  std::string name_ ABSL_GUARDED_BY(mutex_);
  HealthCheckResponse::ServingStatus told_ ABSL_GUARDED_BY(mutex_) = HealthCheckResponse::UNKNOWN;
};

using RawHealth =
    Health::WithRawCallbackMethod_Check<Health::WithRawCallbackMethod_Watch<Health::Service>>;

class Service final : public RawHealth, public HealthService {
 public:
  Service(const std::vector<std::string>& names, LiveCalls& calls)
      : status_(names), calls_(calls) {}

  grpc::Service& service() override { return *this; }
  void StopServing() override { status_.Stop(); }

  grpc::ServerUnaryReactor* Check(Context* context, const Bytes* bytes, Bytes* answer) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    HealthCheckRequest request;
    HealthCheckResponse response;
    absl::Status status = Parse(*bytes, request);
    if (status.ok()) response.set_status(status_.Of(request.service()));
    if (response.status() == HealthCheckResponse::SERVICE_UNKNOWN) {
      status = absl::NotFoundError(
          absl::StrCat("no service ", request.service().substr(0, kMaxNameBytes)));
    }
    *answer = Encode(response);
    reactor->Finish(ToGrpc(status));
    return reactor;
  }
  grpc::ServerWriteReactor<Bytes>* Watch(Context* context, const Bytes* bytes) override {
    return HealthWatch::Start(status_, calls_, context, *bytes);
  }

 private:
  ServingStatus status_;
  LiveCalls& calls_;
};

}  // namespace

std::unique_ptr<HealthService> MakeHealthService(const std::vector<std::string>& names,
                                                 LiveCalls& calls) {
  return std::make_unique<Service>(names, calls);
}

}  // namespace agentdesk::rpc
