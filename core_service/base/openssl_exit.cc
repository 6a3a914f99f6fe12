#include "core_service/base/openssl_exit.h"

#include <openssl/crypto.h>

namespace agentdesk {

void KeepOpenSslAtExit() { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr); }

}  // namespace agentdesk
