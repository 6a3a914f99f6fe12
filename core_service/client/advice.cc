#include "core_service/client/advice.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"

namespace agentdesk::client {
namespace {

// gRPC says only in words why there is no connection: these are its own and those of OpenSSL.
std::string AboutConnection(absl::string_view text, const CoreTls& tls) {
  if (!absl::StrContains(text, "failed to connect")) return std::string();
  const bool closed = absl::StrContains(text, "Socket closed");
  if (!tls.on()) return closed ? "; if the core speaks TLS, give --core_ca=FILE" : "";
  if (absl::StrContains(text, "certificate verify failed")) {
    return "; --core_ca does not cover the core's certificate, or that has expired";
  }
  if (absl::StrContains(text, "Hostname Verification")) {
    return "; the core's certificate is not for the host that --core names";
  }
  if (absl::StrContains(text, "wrong version number")) {
    return "; if the core speaks no TLS, leave --core_ca away";
  }
  if (closed && !tls.chain.empty()) {
    return "; the core may not know who signed --core_cert, or that has expired";
  }
  return std::string();
}

}  // namespace

std::string Advice(const absl::Status& status, const CoreTls& tls, absl::string_view token_flag) {
  if (absl::IsUnavailable(status)) return AboutConnection(status.message(), tls);
  const std::string reason = DetailOf(status).reason;
  if (reason == "token_missing") return absl::StrCat("; --", token_flag, "=FILE gives one");
  if (reason == "certificate_missing") return "; --core_cert=FILE and --core_key=FILE give one";
  if (absl::StartsWith(reason, "certificate_")) return "; the certificate is that of --core_cert";
  if (absl::StartsWith(reason, "token_")) {
    return absl::StrCat("; the token is that of --", token_flag);
  }
  if (reason == "missing_scope" && tls.chain.empty()) {
    return absl::StrCat("; the token of --", token_flag, " is without it");
  }
  return std::string();
}

}  // namespace agentdesk::client
