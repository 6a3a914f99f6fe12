#include "core_service/client/channel.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core_service/grpc_settings.h"
#include "grpc/grpc.h"
#include "grpc/support/time.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "grpcpp/support/channel_arguments.h"

namespace agentdesk::client {
namespace {

// A page of 1,000 tickets with descriptions of 32 KiB fits.
constexpr int kMaxReceiveBytes = 64 << 20;
constexpr unsigned kReloadSeconds = 10;  // of files of certificates

// TLS 1.2 or 1.3 with a core whose certificate is for the host that was dialled.
std::shared_ptr<grpc::ChannelCredentials> CredentialsFor(const CoreTls& tls) {
  if (!tls.on()) return grpc::InsecureChannelCredentials();
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          tls.key, tls.chain, tls.authorities, kReloadSeconds));
  options.watch_root_certs();
  if (!tls.chain.empty()) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

// gRPC ends the program where a value holds anything else than printable ASCII. With `?` instead, a
// label can still be read, and what proves something proves nothing.
void AddLabel(const char* key, std::string value, grpc::ClientContext& context) {
  if (value.empty()) return;
  for (char& c : value) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  context.AddMetadata(key, value);
}

}  // namespace

absl::Status CheckTarget(absl::string_view target) {
  const size_t colon = target.rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(target.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", target, "` is not HOST:PORT with a port from 1 to 65535"));
  }
  return absl::OkStatus();
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target, ChannelUse use,
                                           const CoreTls& tls) {
  return MakeChannel(target, use, CredentialsFor(tls));
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, ChannelUse use,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  ApplyGrpcSettings();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Despite its name this bounds one attempt to connect; waits between attempts may be shorter.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  // The core is addressed, not browsed to: a proxy of the environment is not for it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  if (use == ChannelUse::kSubscription) {
    // The probe would grow the window to about 4 MB.
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  }
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

void PrepareCall(const CallLabels& labels, absl::Duration timeout, grpc::ClientContext& context) {
  AddLabel("agentdesk-actor", labels.actor, context);
  AddLabel("agentdesk-via", labels.via, context);
  AddLabel("traceparent", labels.traceparent, context);
  AddLabel("agentdesk-user", labels.user, context);
  AddLabel("agentdesk-client", labels.client_address, context);
  if (labels.token != nullptr) AddLabel("authorization", labels.token->Header(), context);
  if (timeout < absl::InfiniteDuration()) {
    context.set_deadline(
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                     gpr_time_from_micros(absl::ToInt64Microseconds(timeout), GPR_TIMESPAN)));
  }
}

}  // namespace agentdesk::client
