#ifndef AGENTDESK_CORE_SERVICE_BASE_ADDRESS_H_
#define AGENTDESK_CORE_SERVICE_BASE_ADDRESS_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentdesk {

// Where to listen: an IP address and a port.
struct Address {
  sockaddr_storage socket{};
  socklen_t size = 0;

  // Reads `127.0.0.1:50051`, `[::1]:0` or `localhost:50051` (127.0.0.1). InvalidArgument with the
  // rule that `text` breaks. Other names are not resolved: what is listened on shall not depend on
  // a name server.
  static absl::StatusOr<Address> Parse(absl::string_view text);
  // The address that a listening socket has.
  static Address OfSocket(int fd);

  bool is_loopback() const;
  // As Parse reads it.
  std::string ToString() const;
};

// A non-blocking socket that listens on `address`, for the caller to close. Errors say what the
// address is and what the system said: a port in use is FailedPrecondition, since a port is never
// shared.
absl::StatusOr<int> Listen(const Address& address, int backlog);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_ADDRESS_H_
