#include "agentdesk/v1/admin.grpc.pb.h"
#include "core_service/rpc/backup_reactor.h"
#include "core_service/rpc/services.h"
#include "core_service/rpc/unary_call.h"

namespace agentdesk::rpc {
namespace {

using Context = grpc::CallbackServerContext;
using Bytes = grpc::ByteBuffer;

using RawService = v1::AdminService::WithRawCallbackMethod_Backup<
    v1::AdminService::WithRawCallbackMethod_Compact<v1::AdminService::Service>>;

class AdminService final : public RawService {
 public:
  explicit AdminService(const Backend& backend) : backend_(backend) {}

  grpc::ServerWriteReactor<Bytes>* Backup(Context* context, const Bytes* request) override {
    return BackupReactor::Start(backend_, context, *request);
  }
  grpc::ServerUnaryReactor* Compact(Context* context, const Bytes* request,
                                    Bytes* response) override {
    return Execute<v1::CompactRequest, v1::CompactResponse>(backend_, context, request, response);
  }

 private:
  const Backend backend_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(const Backend& backend) {
  return std::make_unique<AdminService>(backend);
}

}  // namespace agentdesk::rpc
