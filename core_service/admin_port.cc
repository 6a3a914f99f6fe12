#include "core_service/admin_port.h"

#include <sys/statvfs.h>

#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core_service/client/channel.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace agentdesk {
namespace {

constexpr absl::Duration kProbeTimeout = absl::Seconds(1);

AdminHttp::Answer Probe(const std::string& wrong) {
  AdminHttp::Answer answer;
  answer.status = wrong.empty() ? 200 : 503;
  answer.body = absl::StrCat(wrong.empty() ? "ok" : wrong, "\n");
  return answer;
}

// What is wrong with the server as a client sees it that comes anew; empty: nothing. A flag in this
// process would not notice a port that takes no more connections.
std::string TryCall(const rpc::Server& server) {
  const auto health = grpc::health::v1::Health::NewStub(
      client::MakeChannel(server.address(), client::ChannelUse::kCalls, server.ToSelf()));
  grpc::ClientContext context;
  client::PrepareCall({}, kProbeTimeout, context);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = health->Check(&context, {}, &response);
  return status.ok() ? "" : absl::StrCat("a new call fails: ", status.error_message());
}

// What is wrong with the desk as its writers see it; empty: nothing.
std::string TryWrite(desk::Desk& desk) {
  // Kept by the callback too, which may come late.
  const auto written = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> result = written->get_future();
  desk.Probe([written](absl::Status status) { written->set_value(std::move(status)); });
  if (result.wait_for(absl::ToChronoMilliseconds(kProbeTimeout)) != std::future_status::ready) {
    return absl::StrCat("the desk takes no write within ", absl::FormatDuration(kProbeTimeout));
  }
  const absl::Status status = result.get();
  return status.ok() ? "" : absl::StrCat("the desk takes no write: ", status.message());
}

double FreeBytes(const std::string& directory) {
  struct statvfs about {};
  if (statvfs(directory.c_str(), &about) != 0) return 0;
  return static_cast<double>(about.f_bavail) * static_cast<double>(about.f_frsize);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AdminPort>> AdminPort::Start(const CoreConfig& config,
                                                            Metrics& metrics, desk::Desk& desk,
                                                            const rpc::Server& server) {
  std::unique_ptr<AdminPort> port(new AdminPort);
  AddProcessMetrics(metrics, "core");
  metrics.ReadGauge("agentdesk_data_dir_free_bytes", "Space left on the disk of the desk.", {},
                    [directory = config.data_dir] { return FreeBytes(directory); });
  if (!config.admin_listen.has_value()) return port;
  std::vector<AdminHttp::Page> pages;
  pages.push_back({"/metrics",
                   [&metrics] {
                     AdminHttp::Answer answer;
                     answer.content_type = kMetricsContentType;
                     answer.body = metrics.Text();
                     return answer;
                   },
                   /*blocks=*/false});
  pages.push_back({"/livez", [&server] { return Probe(TryCall(server)); },
                   /*blocks=*/true});
  pages.push_back({"/readyz",
                   [raw = port.get(), &desk] {
                     return Probe(raw->draining_ ? "the core drains" : TryWrite(desk));
                   },
                   /*blocks=*/true});
  AdminHttp::Limits limits;
  limits.max_connections = static_cast<size_t>(config.admin_connections);
  absl::StatusOr<std::unique_ptr<AdminHttp>> http =
      AdminHttp::Start(*config.admin_listen, std::move(pages), limits);
  if (!http.ok()) return http.status();
  port->http_ = *std::move(http);
  return port;
}

}  // namespace agentdesk
