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
#include "core_service/base/log.h"
#include "core_service/base/mutex.h"
#include "core_service/rpc/grpc_status.h"
#include "core_service/rpc/services.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace agentdesk::proto {

// The bytes of a google.protobuf.FileDescriptorSet, embedded by the build.
absl::string_view DescriptorSet();

}  // namespace agentdesk::proto

namespace agentdesk::rpc {
namespace {

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

// One stream of questions about the services; the two versions of the protocol differ by name
// alone.
template <typename Request, typename Response>
class ReflectionCall final : public grpc::ServerBidiReactor<Request, Response>, public LiveCall {
 public:
  static ReflectionCall* Start(LiveCalls& calls) {
    const auto call = std::make_shared<ReflectionCall>(calls);
    call->self_ = call;
    if (calls.Add(call)) {
      call->StartRead(&call->request_);
    } else {
      call->Drain();
    }
    return call.get();
  }
  explicit ReflectionCall(LiveCalls& calls) : calls_(calls) {}

  // Reads and writes take turns, so request_ and response_ need no lock.
  void OnReadDone(bool ok) override {
    if (!ok) return FinishOnce(grpc::Status::OK);
    response_.Clear();
    response_.set_valid_host(request_.host());
    *response_.mutable_original_request() = request_;
    Answer();
    MutexLock lock(mutex_);
    if (!finished_) this->StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    if (finished_) return;
    if (ok) return this->StartRead(&request_);
    FinishOnceLocked(grpc::Status::CANCELLED);
  }
  void OnCancel() override { FinishOnce(grpc::Status::CANCELLED); }
  void OnDone() override {
    // May destroy this.
    const std::shared_ptr<ReflectionCall> last = std::move(self_);
  }
  void OnTick(absl::Duration /*now*/) override {}
  void Drain() override { FinishOnce(ToGrpc(Draining("Ask again."))); }

 private:
  void FinishOnce(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    FinishOnceLocked(status);
  }
  void FinishOnceLocked(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    finished_ = true;
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
  std::shared_ptr<ReflectionCall> self_;  // gRPC's hold, dropped by OnDone
  Request request_;
  Response response_;
  std::set<std::string> sent_;
  Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

template <typename Reflection, typename Request, typename Response>
class ReflectionService final : public Reflection::template WithCallbackMethod_ServerReflectionInfo<
                                    typename Reflection::Service> {
 public:
  explicit ReflectionService(LiveCalls& calls) : calls_(calls) {}

  grpc::ServerBidiReactor<Request, Response>* ServerReflectionInfo(
      grpc::CallbackServerContext* /*context*/) override {
    return ReflectionCall<Request, Response>::Start(calls_);
  }

 private:
  LiveCalls& calls_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeReflectionServices(LiveCalls& calls) {
  namespace v1 = grpc::reflection::v1;
  namespace v1alpha = grpc::reflection::v1alpha;
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(
      std::make_unique<ReflectionService<v1::ServerReflection, v1::ServerReflectionRequest,
                                         v1::ServerReflectionResponse>>(calls));
  services.push_back(std::make_unique<
                     ReflectionService<v1alpha::ServerReflection, v1alpha::ServerReflectionRequest,
                                       v1alpha::ServerReflectionResponse>>(calls));
  return services;
}

std::vector<std::string> DescribedServices() { return Descriptors::Get().services(); }

}  // namespace agentdesk::rpc
