#include "tools/agentdesk-bench/setting.h"

#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/tls_client.h"

namespace agentdesk::bench {
CoreSetting::CoreSetting(const Options& options) : directory_(options.dir) { Start(); }

void CoreSetting::Start() {
  core_ = std::make_unique<Program>(
      "agentdesk-core",
      std::vector<std::string>{"--admin_listen=127.0.0.1:0", "--max_open_tickets_per_tenant=0",
                               absl::StrCat("--data_dir=", directory(), "/data")},
      absl::StrCat(directory(), "/core.log"));
}

double CoreSetting::Restart(bool in_order) {
  in_order ? core_->Stop() : core_->Kill();
  core_.reset();
  Start();
  return core_->start_seconds();
}

DeskSetting::DeskSetting(const Options& options, Limits limits, bool tls) : core_(options) {
  std::vector<std::string> flags = {absl::StrCat("--core=127.0.0.1:", core().port()),
                                    absl::StrCat("--threads=", options.gateway_threads)};
  if (limits == Limits::kNone) {
    for (const char* limit : {"--max_handshakes_per_second=0", "--max_messages_per_second=0",
                              "--max_message_bytes_per_second=0"}) {
      flags.emplace_back(limit);
    }
  }
  if (tls) {
    const std::string cert = absl::StrCat(directory(), "/gateway.pem");
    const std::string key = absl::StrCat(directory(), "/gateway.key");
    WriteCertificate(cert, key);
    flags.push_back(absl::StrCat("--tls_cert=", cert));
    flags.push_back(absl::StrCat("--tls_key=", key));
  }
  gateway_ = std::make_unique<Program>("agentdesk-gateway", flags,
                                       absl::StrCat(directory(), "/gateway.log"));
}

FloorSetting::FloorSetting(const Options& options, const std::string& name,
                           std::vector<std::string> flags)
    : directory_(options.dir) {
  flags.push_back(absl::StrCat("--data_dir=", directory_.path()));
  program_ = std::make_unique<Program>(name, flags, absl::StrCat(directory_.path(), "/floor.log"));
}

BothFloorsSetting::BothFloorsSetting(const Options& options)
    : tables_(options, "agentdesk-rpc-floor", {"--storage=tables"}),
      frames_(options, "agentdesk-frame-floor",
              {absl::StrCat("--core=127.0.0.1:", tables_.program().port())}) {}

}  // namespace agentdesk::bench
