#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/error.h"
#include "core_service/base/log.h"
#include "core_service/base/mutex.h"
#include "core_service/rpc/grpc_status.h"
#include "core_service/rpc/services.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpc/grpc.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace agentdesk::proto {

// The bytes of a google.protobuf.FileDescriptorSet, embedded by the build.
absl::string_view DescriptorSet();

}  // namespace agentdesk::proto

namespace agentdesk::rpc {
namespace {

// Everybody may ask, also without a token, so what they can make the core hold is little.
constexpr int kMaxStreams = 64;  // of both versions together
constexpr size_t kMaxQuestionBytes = 4096;
// A stream ends when for so long there was no question, or an answer was not taken.
constexpr absl::Duration kMaxSilence = absl::Seconds(60);

using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;

// What is described: every file of the descriptor set, encoded as it is sent. Constant after
// construction.
class Descriptors {
 public:
  static const Descriptors& Get() {
    static const Descriptors* const descriptors = new Descriptors;
    return *descriptors;
  }

  const google::protobuf::DescriptorPool& pool() const { return pool_; }
  const std::vector<std::string>& services() const { return services_; }
  // With the comments, which the pool does not keep.
  const std::string& Encoded(const FileDescriptor& file) const { return encoded_.at(file.name()); }

 private:
  Descriptors() {
    google::protobuf::FileDescriptorSet set;
    const absl::string_view bytes = proto::DescriptorSet();
    if (!set.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      LogError("the embedded descriptor set is broken");
    }
    // protoc writes every file after those that it imports.
    for (const FileDescriptorProto& file : set.file()) {
      pool_.BuildFile(file);
      encoded_.emplace(file.name(), file.SerializeAsString());
      for (const auto& service : file.service()) {
        services_.push_back(absl::StrCat(file.package(), ".", service.name()));
      }
    }
  }

  google::protobuf::DescriptorPool pool_;
  std::map<std::string, std::string> encoded_;  // by file name
  std::vector<std::string> services_;
};

// How many streams are open.
class OpenStreams {
 public:
  [[nodiscard]] bool Enter() {
    if (++count_ <= kMaxStreams) return true;
    Leave();
    return false;
  }
  void Leave() { --count_; }

 private:
  std::atomic<int> count_{0};
};

// One stream of questions about the services; the two versions of the protocol differ by name
// alone.
template <typename Request, typename Response>
class ReflectionCall final : public grpc::ServerBidiReactor<Request, Response>, public LiveCall {
 public:
  static ReflectionCall* Start(LiveCalls& calls, std::shared_ptr<OpenStreams> streams,
                               grpc::CallbackServerContext* context) {
    const auto call = std::make_shared<ReflectionCall>(calls, std::move(streams), context);
    call->self_ = call;
    call->Begin(call);
    return call.get();
  }
  ReflectionCall(LiveCalls& calls, std::shared_ptr<OpenStreams> streams,
                 grpc::CallbackServerContext* context)
      : calls_(calls), streams_(std::move(streams)), context_(context), since_(calls.Now()) {}

  // Reads and writes take turns, so request_ and response_ need no lock.
  void OnReadDone(bool ok) override {
    if (!ok) return FinishOnce(grpc::Status::OK);
    if (request_.ByteSizeLong() > kMaxQuestionBytes) {
      return FinishOnce(ToGrpc(InvalidField(
          "message_request", absl::StrCat("must have at most ", kMaxQuestionBytes, " bytes"))));
    }
    response_.Clear();
    response_.set_valid_host(request_.host());
    *response_.mutable_original_request() = request_;
    Answer();
    MutexLock lock(mutex_);
    if (finished_) return;
    since_ = calls_.Now();
    writing_ = true;
    this->StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    writing_ = false;
    if (finished_) return;
    if (!ok) return FinishOnceLocked(grpc::Status::CANCELLED);
    since_ = calls_.Now();
    this->StartRead(&request_);
  }
  void OnCancel() override { FinishOnce(grpc::Status::CANCELLED); }
  void OnDone() override {
    // May destroy this.
    const std::shared_ptr<ReflectionCall> last = std::move(self_);
  }
  void OnTick(absl::Duration now) override {
    MutexLock lock(mutex_);
    if (finished_ || now - since_ < kMaxSilence) return;
    const grpc::Status status = ToGrpc(ErrorWithReason(
        absl::StatusCode::kUnavailable, "slow_reader",
        absl::StrCat("for ", absl::ToInt64Seconds(kMaxSilence),
                     " s nothing was asked, or an answer was not taken. Ask again.")));
    // The status of Finish would wait behind a write that is stuck; this overtakes it.
    if (writing_) {
      grpc_call_cancel_with_status(context_->c_call(),
                                   static_cast<grpc_status_code>(status.error_code()),
                                   status.error_message().c_str(), nullptr);
    }
    FinishOnceLocked(status);
  }
  void Drain() override { FinishOnce(ToGrpc(Draining("Ask again."))); }

 private:
  void Begin(const std::shared_ptr<ReflectionCall>& self) {
    if (!calls_.Add(self)) return Drain();
    MutexLock lock(mutex_);
    if (finished_) return;
    entered_ = streams_->Enter();
    if (!entered_) {
      return FinishOnceLocked(ToGrpc(Overloaded(absl::StrCat(
          "there are ", kMaxStreams, " streams of reflection, as many as may be; repeat later"))));
    }
    this->StartRead(&request_);
  }
  void FinishOnce(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    FinishOnceLocked(status);
  }
  void FinishOnceLocked(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    finished_ = true;
    if (entered_) streams_->Leave();
    calls_.Remove(this);
    this->Finish(status);
  }

  void Answer() {
    const auto& pool = Descriptors::Get().pool();
    switch (request_.message_request_case()) {
      case Request::kFileByFilename:
        return AnswerFile(pool.FindFileByName(request_.file_by_filename()));
      case Request::kFileContainingSymbol:
        return AnswerFile(pool.FindFileContainingSymbol(request_.file_containing_symbol()));
      case Request::kFileContainingExtension:
        return AnswerFile(nullptr);  // none of our files has extensions
      case Request::kAllExtensionNumbersOfType: {
        const std::string& type = request_.all_extension_numbers_of_type();
        if (pool.FindMessageTypeByName(type) == nullptr) return AnswerFile(nullptr);
        response_.mutable_all_extension_numbers_response()->set_base_type_name(type);
        return;
      }
      case Request::kListServices:
        for (const std::string& name : Descriptors::Get().services()) {
          response_.mutable_list_services_response()->add_service()->set_name(name);
        }
        return;
      case Request::MESSAGE_REQUEST_NOT_SET:
        break;
    }
    return AnswerError(absl::InvalidArgumentError("the request asks for nothing that is known"));
  }

  // The file, and of those that it imports the ones that this stream has not sent yet.
  void AnswerFile(const FileDescriptor* file) {
    if (file == nullptr) return AnswerError(absl::NotFoundError("not found"));
    auto& files = *response_.mutable_file_descriptor_response();
    std::deque<const FileDescriptor*> wanted = {file};
    sent_.erase(file->name());
    while (!wanted.empty()) {
      const FileDescriptor* next = wanted.front();
      wanted.pop_front();
      if (!sent_.insert(next->name()).second) continue;
      files.add_file_descriptor_proto(Descriptors::Get().Encoded(*next));
      for (int i = 0; i < next->dependency_count(); ++i) wanted.push_back(next->dependency(i));
    }
  }

  void AnswerError(const absl::Status& status) {
    auto& error = *response_.mutable_error_response();
    error.set_error_code(status.raw_code());
    error.set_error_message(std::string(status.message()));
  }

  LiveCalls& calls_;
  const std::shared_ptr<OpenStreams> streams_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<ReflectionCall> self_;  // gRPC's hold, dropped by OnDone
  Request request_;
  Response response_;
  std::set<std::string> sent_;
  Mutex mutex_;
  bool entered_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration since_ ABSL_GUARDED_BY(mutex_);  // when the last question or answer was over
};

template <typename Reflection, typename Request, typename Response>
class ReflectionService final : public Reflection::template WithCallbackMethod_ServerReflectionInfo<
                                    typename Reflection::Service> {
 public:
  ReflectionService(LiveCalls& calls, std::shared_ptr<OpenStreams> streams)
      : calls_(calls), streams_(std::move(streams)) {}

  grpc::ServerBidiReactor<Request, Response>* ServerReflectionInfo(
      grpc::CallbackServerContext* context) override {
    return ReflectionCall<Request, Response>::Start(calls_, streams_, context);
  }

 private:
  LiveCalls& calls_;
  const std::shared_ptr<OpenStreams> streams_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeReflectionServices(LiveCalls& calls) {
  namespace v1 = grpc::reflection::v1;
  namespace v1alpha = grpc::reflection::v1alpha;
  const auto streams = std::make_shared<OpenStreams>();
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(
      std::make_unique<ReflectionService<v1::ServerReflection, v1::ServerReflectionRequest,
                                         v1::ServerReflectionResponse>>(calls, streams));
  services.push_back(std::make_unique<
                     ReflectionService<v1alpha::ServerReflection, v1alpha::ServerReflectionRequest,
                                       v1alpha::ServerReflectionResponse>>(calls, streams));
  return services;
}

std::vector<std::string> DescribedServices() { return Descriptors::Get().services(); }

}  // namespace agentdesk::rpc
