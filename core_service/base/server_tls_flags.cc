#include "core_service/base/server_tls_flags.h"

#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"

ABSL_FLAG(std::string, tls_cert, "",
          "file with the certificate in PEM that clients are shown, and those that lead from it to "
          "an authority; then TLS is spoken on the port of --listen and nothing else. Read again "
          "as it changes");
ABSL_FLAG(std::string, tls_key, "", "file with the key of --tls_cert in PEM");
ABSL_FLAG(bool, allow_insecure_remote, false,
          "listen on an address that other machines can reach without --auth_config, so that "
          "whoever can connect can do everything, or without --tls_cert, so that who listens on "
          "the way has every token");

namespace agentdesk {

absl::StatusOr<std::optional<Certificates>> ServerTlsFlags(const std::string& client_authorities) {
  const CertificatePaths paths{absl::GetFlag(FLAGS_tls_cert), absl::GetFlag(FLAGS_tls_key),
                               client_authorities};
  const bool on = !paths.chain.empty();
  if (on == paths.key.empty()) {
    return absl::InvalidArgumentError("--tls_cert and --tls_key go together: one is missing");
  }
  if (!on && !client_authorities.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls_client_ca=", client_authorities, ": is of use only with --tls_cert"));
  }
  if (!on) return std::nullopt;
  absl::StatusOr<Certificates> first = ReadCertificates(paths);
  if (first.ok()) return *std::move(first);
  return absl::InvalidArgumentError(absl::StrCat(
      "--tls_cert", client_authorities.empty() ? " or --tls_key" : ", --tls_key or --tls_client_ca",
      ": ", first.status().message()));
}

absl::Status CheckReach(const Address& listen, bool authentication, bool tls) {
  if ((authentication && tls) || listen.is_loopback() || InsecureRemoteAllowed()) {
    return absl::OkStatus();
  }
  const absl::string_view missing = authentication ? "--tls_cert and --tls_key"
                                    : tls          ? "--auth_config"
                                                   : "--auth_config, --tls_cert and --tls_key";
  return absl::InvalidArgumentError(absl::StrCat(
      "--listen=", listen.ToString(), ": other machines can reach this address: give ", missing,
      " as well, listen on 127.0.0.1, or say with --allow_insecure_remote ", "that you mean it"));
}

bool InsecureRemoteAllowed() { return absl::GetFlag(FLAGS_allow_insecure_remote); }

}  // namespace agentdesk
