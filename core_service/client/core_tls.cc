#include "core_service/client/core_tls.h"

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/certificate_files.h"

ABSL_FLAG(std::string, core_ca, "",
          "file with the authorities in PEM, one of which must have signed the core's certificate; "
          "empty: what is sent to the core is not encrypted");
ABSL_FLAG(std::string, core_cert, "",
          "file with this program's own certificate in PEM, where the core wants one");
ABSL_FLAG(std::string, core_key, "", "file with the key of --core_cert");

namespace agentdesk::client {
namespace {

absl::Status Wrong(absl::string_view flag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", what));
}

}  // namespace

absl::StatusOr<CoreTls> CoreTlsFlags() {
  CoreTls tls{absl::GetFlag(FLAGS_core_ca), absl::GetFlag(FLAGS_core_cert),
              absl::GetFlag(FLAGS_core_key)};
  if (tls.chain.empty() != tls.key.empty()) {
    return Wrong(tls.chain.empty() ? "core_cert" : "core_key", "go together: one is missing");
  }
  if (!tls.chain.empty() && !tls.on()) return Wrong("core_ca", "is required with --core_cert");
  const auto authorities =
      ReadCertificates({.chain = "", .key = "", .authorities = tls.authorities});
  if (!authorities.ok()) return Wrong("core_ca", authorities.status().message());
  const auto own = ReadCertificates({.chain = tls.chain, .key = tls.key, .authorities = ""});
  if (!own.ok()) return Wrong("core_cert", own.status().message());
  return tls;
}

}  // namespace agentdesk::client
