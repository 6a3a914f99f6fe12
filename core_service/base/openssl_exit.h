#ifndef AGENTDESK_CORE_SERVICE_BASE_OPENSSL_EXIT_H_
#define AGENTDESK_CORE_SERVICE_BASE_OPENSSL_EXIT_H_

namespace agentdesk {

// Has OpenSSL keep what it has until the process is gone. gRPC's own threads go on while main
// returns and may be within OpenSSL, whose cleanup at exit would take its state from under them.
// Call in main before anything uses OpenSSL.
void KeepOpenSslAtExit();

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_OPENSSL_EXIT_H_
