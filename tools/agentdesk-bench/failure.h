#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_FAILURE_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_FAILURE_H_

#include <stdexcept>
#include <string>

#include "absl/strings/str_cat.h"

namespace agentdesk::bench {

// A run that measured nothing: something was lost, out of order, refused or too late. Thrown from
// anywhere in the bench and caught in main alone, since there is nothing to go on with.
class Failure final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <typename... Parts>
[[noreturn]] void Fail(const Parts&... parts) {
  throw Failure(absl::StrCat(parts...));
}

// The same with what errno says.
[[noreturn]] void FailErrno(absl::string_view what);

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_FAILURE_H_
