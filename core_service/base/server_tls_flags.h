#ifndef AGENTDESK_CORE_SERVICE_BASE_SERVER_TLS_FLAGS_H_
#define AGENTDESK_CORE_SERVICE_BASE_SERVER_TLS_FLAGS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core_service/base/address.h"
#include "core_service/base/certificate_files.h"

// The flags --tls_cert, --tls_key and --allow_insecure_remote, which both servers have.
namespace agentdesk {

// What a server shows its clients; nothing: it speaks no TLS. `client_authorities` is the value of
// --tls_client_ca where the server has that flag. InvalidArgument names the flags and the file.
absl::StatusOr<std::optional<Certificates>> ServerTlsFlags(
    const std::string& client_authorities = "");

// Other machines reach nothing by an oversight: InvalidArgument with what is missing where `listen`
// is no loopback address, and there is not both authentication and TLS or --allow_insecure_remote.
absl::Status CheckReach(const Address& listen, bool authentication, bool tls);

bool InsecureRemoteAllowed();

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_SERVER_TLS_FLAGS_H_
