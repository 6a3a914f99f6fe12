#ifndef AGENTDESK_CORE_SERVICE_CLIENT_ADVICE_H_
#define AGENTDESK_CORE_SERVICE_CLIENT_ADVICE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core_service/client/core_tls.h"

namespace agentdesk::client {

// Which flag of a program helps where a call of the core failed as `status` says: `tls` is what the
// program uses, `token_flag` the name of its flag for the file of its token. To be put behind the
// text of the error, so it begins with `; `. Empty where there is nothing to say.
std::string Advice(const absl::Status& status, const CoreTls& tls, absl::string_view token_flag);

}  // namespace agentdesk::client

#endif  // AGENTDESK_CORE_SERVICE_CLIENT_ADVICE_H_
