#include "core_service/config.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core_service/base/server_tls_flags.h"
#include "core_service/base/span_exporter.h"
#include "core_service/domain/limits.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:50051",
          "Address and port for gRPC; port 0 takes a free one, which the log tells.");
ABSL_FLAG(
    std::string, admin_listen, "127.0.0.1:50052",
    "Address and port for /metrics, /livez and /readyz over HTTP, for whoever operates the "
    "core; port 0 takes a free one, which the log tells; empty: none. One that other machines "
    "can reach only with --allow_insecure_remote.");
ABSL_FLAG(std::string, tls_client_ca, "",
          "File with authorities in PEM: a client may show a certificate of theirs, which stands "
          "for whom `certificates` in --auth_config says; without --auth_config every client must "
          "show one. Read again as it changes.");
ABSL_FLAG(std::string, auth_config, "",
          "File that says whose tokens are believed (docs/SECURITY.md); then every call needs one. "
          "Empty: there is no authentication.");
ABSL_FLAG(std::string, data_dir, "agentdesk-data",
          "Directory that holds the desk; made when it is missing. One core at a time uses it.");
ABSL_FLAG(int32_t, max_connections, 10000,
          "How many gRPC connections are open at a time at most; more are closed at once.");
ABSL_FLAG(
    int32_t, max_calls_per_second_per_identity, 1000,
    "How many calls a second one identity may make; after a pause four times as many at once. "
    "Without --auth_config everyone is one identity, and may make a hundred times as many. 0: "
    "any number.");
ABSL_FLAG(int32_t, max_streams_per_identity, 1000,
          "The same for streams at a time: Subscribe, ReceiveInput, Backup.");
ABSL_FLAG(int64_t, max_open_tickets_per_tenant, 1'000'000,
          "How many tickets that have not ended one tenant may have; then none is created or "
          "retried. Without --auth_config all are of one tenant. 0: any number.");
ABSL_FLAG(
    int32_t, max_open_questions_per_session, agentdesk::domain::kMaxOpenQuestions,
    "How many questions may be open in one session, 1 to 100; then its agent cannot ask more.");
ABSL_FLAG(absl::Duration, drain_timeout, absl::Seconds(10),
          "After SIGTERM or SIGINT, how long calls under way may take to finish.");
ABSL_FLAG(absl::Duration, expiry_hold, absl::Seconds(30),
          "After a start, for how long no question expires.");
ABSL_FLAG(
    int64_t, retain_events, 0,
    "How many of the latest events can be subscribed to; 0: all. No stored event is deleted.");
ABSL_FLAG(std::string, otlp_endpoint, "",
          "Where spans go by OTLP over HTTP with JSON, such as http://127.0.0.1:4318/v1/traces; "
          "empty: nowhere.");
ABSL_FLAG(std::string, log_level, "info",
          "Least level that is logged: debug, info, warning, error.");
ABSL_FLAG(bool, check_config, false, "Check the flags, print the values in effect, and exit.");

namespace agentdesk {
namespace {

// Descriptors that are no connections: the store's, gRPC's own, listeners, standard streams.
constexpr int kOtherDescriptors = 42;
// Of the descriptors that are left for connections, the share of the admin port, and its most.
constexpr int kAdminShare = 16;
constexpr int kMaxAdminConnections = 64;

absl::Status BadFlag(absl::string_view name, absl::string_view value, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("--", name, "=", value, ": ", rule));
}

absl::Status CheckDuration(absl::string_view name, absl::Duration value) {
  if (value >= absl::ZeroDuration() && value <= absl::Hours(1)) return absl::OkStatus();
  return BadFlag(name, absl::FormatDuration(value), "must be 0 to 1h");
}

absl::StatusOr<Address> ReadAddress(absl::string_view flag, const std::string& text) {
  absl::StatusOr<Address> address = Address::Parse(text);
  if (!address.ok()) return BadFlag(flag, text, address.status().message());
  return address;
}

// How many connections the limit of open files leaves room for.
int ConnectionsPossible() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t open_files = std::min<rlim_t>(limit.rlim_cur, 1 << 30);
  return static_cast<int>(open_files) - kOtherDescriptors;
}

absl::Status ReadTls(CoreConfig& config) {
  const std::string authorities = absl::GetFlag(FLAGS_tls_client_ca);
  absl::StatusOr<std::optional<Certificates>> tls = ServerTlsFlags(authorities);
  if (!tls.ok()) return tls.status();
  config.tls = *std::move(tls);
  if (authorities.empty() && config.auth.has_value() && !config.auth->certificates.empty()) {
    return absl::InvalidArgumentError(
        "--tls_client_ca: is required where --auth_config names `certificates`");
  }
  return absl::OkStatus();
}

absl::Status ReadLimits(CoreConfig& config) {
  const struct {
    absl::string_view flag;
    int64_t value;
    int64_t& limit;
  } flags[] = {
      {"max_calls_per_second_per_identity", absl::GetFlag(FLAGS_max_calls_per_second_per_identity),
       config.limits.calls_per_second},
      {"max_streams_per_identity", absl::GetFlag(FLAGS_max_streams_per_identity),
       config.limits.streams},
      {"max_open_tickets_per_tenant", absl::GetFlag(FLAGS_max_open_tickets_per_tenant),
       config.max_open_tickets}};
  for (const auto& flag : flags) {
    if (flag.value < 0) return BadFlag(flag.flag, absl::StrCat(flag.value), "must be 0 or more");
    flag.limit = flag.value;
  }
  config.max_open_questions = absl::GetFlag(FLAGS_max_open_questions_per_session);
  if (config.max_open_questions < 1 || config.max_open_questions > domain::kMaxOpenQuestions) {
    return BadFlag("max_open_questions_per_session", absl::StrCat(config.max_open_questions),
                   absl::StrCat("must be 1 to ", domain::kMaxOpenQuestions));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CoreConfig> ReadCoreConfig(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", arguments[0], "` is not a flag, and agentdesk-core takes nothing else"));
  }
  CoreConfig config;
  const absl::StatusOr<Address> listen = ReadAddress("listen", absl::GetFlag(FLAGS_listen));
  if (!listen.ok()) return listen.status();
  config.listen = *listen;
  if (const std::string text = absl::GetFlag(FLAGS_admin_listen); !text.empty()) {
    const absl::StatusOr<Address> admin = ReadAddress("admin_listen", text);
    if (!admin.ok()) return admin.status();
    if (!admin->is_loopback() && !InsecureRemoteAllowed()) {
      return BadFlag("admin_listen", text,
                     "other machines can reach this address, and whoever can reads the figures: "
                     "listen on 127.0.0.1, or give --allow_insecure_remote as well");
    }
    config.admin_listen = *admin;
  }
  if (const std::string path = absl::GetFlag(FLAGS_auth_config); !path.empty()) {
    absl::StatusOr<AuthConfig> auth = ReadAuthConfig(path);
    if (!auth.ok()) {  // its words begin with the file
      return absl::InvalidArgumentError(absl::StrCat("--auth_config: ", auth.status().message()));
    }
    config.auth = *std::move(auth);
  }
  absl::Status status = ReadTls(config);
  if (status.ok()) {
    status = CheckReach(config.listen, config.auth.has_value(), config.tls.has_value());
  }
  if (status.ok()) status = ReadLimits(config);
  if (!status.ok()) return status;
  config.data_dir = absl::GetFlag(FLAGS_data_dir);
  if (config.data_dir.empty()) return BadFlag("data_dir", "", "must name a directory");
  config.wanted_connections = absl::GetFlag(FLAGS_max_connections);
  if (config.wanted_connections < 1) {
    return BadFlag("max_connections", absl::StrCat(config.wanted_connections), "must be 1 or more");
  }
  const int possible = ConnectionsPossible();
  if (possible < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the limit of open files (ulimit -n) must be more than ", kOtherDescriptors));
  }
  config.admin_connections = std::clamp(possible / kAdminShare, 1, kMaxAdminConnections);
  config.max_connections =
      std::max(1, std::min(config.wanted_connections, possible - config.admin_connections));
  absl::SetFlag(&FLAGS_max_connections, config.max_connections);
  config.drain_timeout = absl::GetFlag(FLAGS_drain_timeout);
  config.expiry_hold = absl::GetFlag(FLAGS_expiry_hold);
  status = CheckDuration("drain_timeout", config.drain_timeout);
  if (status.ok()) status = CheckDuration("expiry_hold", config.expiry_hold);
  if (!status.ok()) return status;
  config.retain_events = absl::GetFlag(FLAGS_retain_events);
  if (config.retain_events < 0) {
    return BadFlag("retain_events", absl::StrCat(config.retain_events), "must be 0 or more");
  }
  config.otlp_endpoint = absl::GetFlag(FLAGS_otlp_endpoint);
  if (!config.otlp_endpoint.empty()) {
    status = SpanExporter::CheckEndpoint(config.otlp_endpoint);
    if (!status.ok()) return BadFlag("otlp_endpoint", config.otlp_endpoint, status.message());
  }
  config.log_level = absl::GetFlag(FLAGS_log_level);
  config.check_only = absl::GetFlag(FLAGS_check_config);
  return config;
}

}  // namespace agentdesk
