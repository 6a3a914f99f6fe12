#include "core_service/grpc_settings.h"

#include <string>

#include "absl/synchronization/mutex.h"
#include "core_service/base/log.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"

namespace agentdesk {
namespace {

bool Apply() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    const LogFields fields = {{"text", line->message}};
    line->severity == GPR_LOG_SEVERITY_ERROR ? LogWarning("grpc", fields)
                                             : LogDebug("grpc", fields);
  });
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int, const std::string& text) {
        // Mostly about text of others that is not UTF-8, which they are told.
        LogDebug("protobuf", {{"text", text}});
      });
  // Debian builds abseil without NDEBUG, and then each of its mutexes, which gRPC takes tens of
  // times for a call, also keeps that graph, under a lock of its own.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return true;
}

}  // namespace

void ApplyGrpcSettings() {
  static const bool applied = Apply();
  static_cast<void>(applied);
}

}  // namespace agentdesk
