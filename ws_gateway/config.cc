#include "ws_gateway/config.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/address.h"
#include "core_service/base/clock.h"
#include "core_service/base/server_tls_flags.h"
#include "core_service/base/span_exporter.h"
#include "core_service/client/bearer_token.h"
#include "core_service/client/channel.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:8000",
          "ADDRESS:PORT for HTTP and WebSocket; port 0 picks a free one and logs it");
ABSL_FLAG(std::string, core, "127.0.0.1:50051", "HOST:PORT of agentdesk-core");
ABSL_FLAG(std::string, auth_config, "",
          "file that says whose tokens are believed (docs/SECURITY.md); then nobody gets anything "
          "without one. Empty: there is no authentication");
ABSL_FLAG(std::string, core_token_file, "",
          "file with the gateway's own token for the core, which must know its subject as a "
          "gateway; read again as it changes. Goes with --auth_config");
ABSL_FLAG(int32_t, threads, 0,
          "threads that serve browsers, 1 to 64; 0: half the machine's cores, at most 4");
ABSL_FLAG(
    bool, share_port, false,
    "let other gateways of the same user that have this flag listen on the same port, so that "
    "one replaces another without a pause: the one that drains takes nothing new");
ABSL_FLAG(
    std::vector<std::string>, allowed_origins,
    std::vector<std::string>({"http://localhost:*", "http://127.0.0.1:*"}),
    "web pages that may connect, by origin, separated by commas, such as https://desk.example; "
    "`:*` stands for any port, `*` alone for any page. The gateway's own origin is always "
    "allowed where it is reached by address");
ABSL_FLAG(
    std::string, web_root, "",
    "folder of the web page to serve at `/`; default: the one that was built or installed with "
    "this program, else a plain page that is built in");
ABSL_FLAG(int32_t, max_connections, 20000, "browsers and HTTP connections at a time, in all");
ABSL_FLAG(int32_t, max_connections_per_user, 100,
          "sockets and streams of one user at a time, where authentication is on; 0: any number");
ABSL_FLAG(int32_t, max_connections_per_address, 0,
          "connections of any kind from one address at a time, also those that say nothing; 0: any "
          "number, as behind a proxy, where everybody has the proxy's");
ABSL_FLAG(absl::Duration, http_request_timeout, absl::Seconds(10),
          "how long an HTTP request may take from its first byte to its last, 1s to 10m");
ABSL_FLAG(int32_t, max_http_header_bytes, 16384,
          "bytes of an HTTP request before its body, 4096 to 65536");
ABSL_FLAG(int32_t, max_http_body_bytes, 1048576,
          "bytes of an HTTP request's body, 1024 to 1048576");
ABSL_FLAG(int32_t, max_handshakes_per_second, 2000,
          "new sockets a second, in all; after a pause four times as many at once; 0: any number");
ABSL_FLAG(int32_t, max_messages_per_second, 500,
          "messages a second that one socket may send; after a pause four times as many at once; "
          "0: any number");
ABSL_FLAG(int32_t, max_message_bytes_per_second, 2097152,
          "the same for the bytes of its messages; 0: any number");
ABSL_FLAG(
    int32_t, max_messages_per_second_per_user, 2000,
    "the same for the messages of all sockets of one user, where authentication is on; 0: any "
    "number");
ABSL_FLAG(int32_t, max_message_bytes_per_second_per_user, 8388608,
          "the same for their bytes; 0: any number");
ABSL_FLAG(
    int64_t, max_outbox_bytes, 1073741824,
    "bytes that wait to be written to all browsers and other clients together; where there are "
    "more, those to whom most waits are closed first and come back; 0: any number");
ABSL_FLAG(std::string, notion_secret_file, "",
          "file with the secret that signs what comes to /webhook/notion: a request without its "
          "signature (X-Notion-Signature) is refused, and one with it needs no token");
ABSL_FLAG(absl::Duration, notion_max_age, absl::Hours(24),
          "how old the `timestamp` in what is signed may be, where there is one");
ABSL_FLAG(absl::Duration, drain_timeout, absl::Seconds(3),
          "after SIGTERM, how long browsers have to leave");
ABSL_FLAG(std::string, otlp_endpoint, "",
          "where spans go by OTLP over HTTP with JSON, such as http://127.0.0.1:4318/v1/traces; "
          "empty: nowhere");
ABSL_FLAG(std::string, log_level, "info", "least level to log: debug, info, warning or error");
ABSL_FLAG(bool, check_config, false, "check the configuration, print it and exit");

namespace agentdesk::gateway {
namespace {

constexpr int kMaxThreads = 64;
constexpr size_t kMinSecretBytes = 16;
constexpr size_t kMaxSecretBytes = 4096;
// An ordinary request with a token; each connection may hold so much.
constexpr int kMinHeaderBytes = 4096;
constexpr int kMaxHeaderBytes = 65536;
constexpr int kMinBodyBytes = 1024;
constexpr int kMaxBodyBytes = 1048576;  // what the protocol promises at most

int DefaultThreads() {
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / 2, 1, 4);
}

// For a rule whose words begin with the value, or where there is none.
absl::Status Wrong(absl::string_view flag, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", rule));
}

absl::Status WrongValue(absl::string_view flag, absl::string_view rule) {
  const std::string value = absl::FindCommandLineFlag(flag)->CurrentValue();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", value, ": ", rule));
}

// Where a build (build/release/bin, build/web/console) or a package (bin, share) has the web page.
absl::StatusOr<WebFiles> InstalledWebFiles() {
  std::error_code error;
  const std::filesystem::path bin =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* root : {"../../web/console", "../share/agentdesk/console"}) {
    const std::filesystem::path folder = (bin / root).lexically_normal();
    if (std::filesystem::exists(folder / "index.html", error)) {
      return WebFiles::Read(folder.string());
    }
  }
  return WebFiles();
}

// Both or neither: without its own token or certificate the gateway could ask the core nothing for
// the users that it knows, and with it alone everybody would be the gateway.
absl::Status ReadAuthentication(Config& config) {
  const std::string path = absl::GetFlag(FLAGS_auth_config);
  config.core_token_file = absl::GetFlag(FLAGS_core_token_file);
  const bool by_certificate = !config.core_tls.chain.empty();
  if (path.empty()) {
    if (config.core_token_file.empty() && !by_certificate) return absl::OkStatus();
    return Wrong("auth_config", "is required with --core_token_file and with --core_cert");
  }
  absl::StatusOr<AuthConfig> auth = ReadAuthConfig(path);
  if (!auth.ok()) return Wrong("auth_config", auth.status().message());
  config.auth = *std::move(auth);
  if (config.core_token_file.empty() && !by_certificate) {
    return absl::InvalidArgumentError(
        "--auth_config: needs --core_token_file or --core_cert as well");
  }
  if (config.core_token_file.empty()) return absl::OkStatus();
  const absl::Status token = client::BearerToken(config.core_token_file, Clock::Real()).Check();
  return token.ok() ? token : Wrong("core_token_file", token.message());
}

absl::Status ReadLimits(LoadLimitOptions& limits) {
  const struct {
    absl::string_view flag;
    int64_t value;
    int64_t& limit;
  } flags[] = {
      {"max_connections_per_user", absl::GetFlag(FLAGS_max_connections_per_user),
       limits.connections_per_user},
      {"max_connections_per_address", absl::GetFlag(FLAGS_max_connections_per_address),
       limits.connections_per_address},
      {"max_handshakes_per_second", absl::GetFlag(FLAGS_max_handshakes_per_second),
       limits.handshakes_per_second},
      {"max_messages_per_second", absl::GetFlag(FLAGS_max_messages_per_second),
       limits.messages_per_second},
      {"max_message_bytes_per_second", absl::GetFlag(FLAGS_max_message_bytes_per_second),
       limits.bytes_per_second},
      {"max_messages_per_second_per_user", absl::GetFlag(FLAGS_max_messages_per_second_per_user),
       limits.user_messages_per_second},
      {"max_message_bytes_per_second_per_user",
       absl::GetFlag(FLAGS_max_message_bytes_per_second_per_user), limits.user_bytes_per_second},
      {"max_outbox_bytes", absl::GetFlag(FLAGS_max_outbox_bytes), limits.outbox_bytes},
  };
  for (const auto& flag : flags) {
    if (flag.value < 0) return WrongValue(flag.flag, "must not be negative");
    flag.limit = flag.value;
  }
  return absl::OkStatus();
}

absl::Status ReadRequestLimits(Config& config) {
  config.http_request_timeout = absl::GetFlag(FLAGS_http_request_timeout);
  if (config.http_request_timeout < absl::Seconds(1) ||
      config.http_request_timeout > absl::Minutes(10)) {
    return WrongValue("http_request_timeout", "must be 1s to 10m");
  }
  const int32_t header = absl::GetFlag(FLAGS_max_http_header_bytes);
  if (header < kMinHeaderBytes || header > kMaxHeaderBytes) {
    return WrongValue("max_http_header_bytes",
                      absl::StrCat("must be ", kMinHeaderBytes, " to ", kMaxHeaderBytes));
  }
  config.max_http_header_bytes = static_cast<size_t>(header);
  const int32_t body = absl::GetFlag(FLAGS_max_http_body_bytes);
  if (body < kMinBodyBytes || body > kMaxBodyBytes) {
    return WrongValue("max_http_body_bytes",
                      absl::StrCat("must be ", kMinBodyBytes, " to ", kMaxBodyBytes));
  }
  config.limits.http_body_bytes = body;
  return absl::OkStatus();
}

absl::Status ReadNotionSecret(Config& config) {
  config.notion_max_age = absl::GetFlag(FLAGS_notion_max_age);
  if (config.notion_max_age <= absl::ZeroDuration()) {
    return WrongValue("notion_max_age", "must be positive");
  }
  const std::string path = absl::GetFlag(FLAGS_notion_secret_file);
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::string secret(kMaxSecretBytes + 1, '\0');
  file.read(secret.data(), static_cast<std::streamsize>(secret.size()));
  secret.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  absl::StripTrailingAsciiWhitespace(&secret);
  if (secret.size() < kMinSecretBytes || secret.size() > kMaxSecretBytes) {
    return Wrong("notion_secret_file",
                 absl::StrCat(path, ": must be a file that holds ", kMinSecretBytes, " to ",
                              kMaxSecretBytes, " bytes"));
  }
  config.notion_secret = std::move(secret);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Config> ReadConfig() {
  Config config;
  config.listen = absl::GetFlag(FLAGS_listen);
  const absl::StatusOr<Address> listen = Address::Parse(config.listen);
  if (!listen.ok()) return WrongValue("listen", listen.status().message());
  config.core = absl::GetFlag(FLAGS_core);
  if (const absl::Status status = client::CheckTarget(config.core); !status.ok()) {
    return Wrong("core", status.message());
  }
  absl::StatusOr<client::CoreTls> core_tls = client::CoreTlsFlags();
  if (!core_tls.ok()) return core_tls.status();
  config.core_tls = *std::move(core_tls);
  if (absl::Status status = ReadAuthentication(config); !status.ok()) return status;
  absl::StatusOr<std::optional<Certificates>> tls = ServerTlsFlags();
  if (!tls.ok()) return tls.status();
  config.tls = *std::move(tls);
  if (absl::Status reach = CheckReach(*listen, config.auth.has_value(), config.tls.has_value());
      !reach.ok()) {
    return reach;
  }
  config.share_port = absl::GetFlag(FLAGS_share_port);
  config.threads = absl::GetFlag(FLAGS_threads);
  if (config.threads < 0 || config.threads > kMaxThreads) {
    return WrongValue("threads", absl::StrCat("must be 0 to ", kMaxThreads));
  }
  if (config.threads == 0) config.threads = DefaultThreads();
  absl::StatusOr<OriginList> origins = OriginList::Parse(absl::GetFlag(FLAGS_allowed_origins));
  if (!origins.ok()) return WrongValue("allowed_origins", origins.status().message());
  config.origins = *std::move(origins);
  const std::string web_root = absl::GetFlag(FLAGS_web_root);
  absl::StatusOr<WebFiles> web = web_root.empty() ? InstalledWebFiles() : WebFiles::Read(web_root);
  if (!web.ok()) return Wrong("web_root", web.status().message());
  config.web = *std::move(web);
  if (absl::GetFlag(FLAGS_max_connections) < 1)
    return WrongValue("max_connections", "must be positive");
  config.max_connections = static_cast<size_t>(absl::GetFlag(FLAGS_max_connections));
  if (absl::Status status = ReadLimits(config.limits); !status.ok()) return status;
  if (absl::Status status = ReadRequestLimits(config); !status.ok()) return status;
  if (absl::Status status = ReadNotionSecret(config); !status.ok()) return status;
  config.drain_timeout = absl::GetFlag(FLAGS_drain_timeout);
  if (config.drain_timeout < absl::ZeroDuration() || config.drain_timeout > absl::Hours(1)) {
    return WrongValue("drain_timeout", "must be 0 to 1h");
  }
  config.otlp_endpoint = absl::GetFlag(FLAGS_otlp_endpoint);
  if (!config.otlp_endpoint.empty()) {
    const absl::Status status = SpanExporter::CheckEndpoint(config.otlp_endpoint);
    if (!status.ok()) return WrongValue("otlp_endpoint", status.message());
  }
  config.log_level = absl::GetFlag(FLAGS_log_level);
  config.check_only = absl::GetFlag(FLAGS_check_config);
  return config;
}

}  // namespace agentdesk::gateway
