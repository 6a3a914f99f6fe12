#include "core_service/rpc/call_limits.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"

namespace agentdesk::rpc {
namespace {

// When to try for another stream: none may end for hours, so this is only a guess.
constexpr absl::Duration kStreamsFullFor = absl::Seconds(5);

absl::Status Refusal(absl::string_view reason, absl::Duration wait, absl::string_view message) {
  return WithDetail(
      absl::ResourceExhaustedError(message),
      {.reason = std::string(reason), .field = {}, .retry_after = wait, .metadata = {}});
}

}  // namespace

CallLimits::Use& CallLimits::Find(const std::string& identity, absl::Duration now) {
  if (uses_.size() >= forget_at_) {
    // Each is looked at once for as many that came: a constant price for each.
    absl::erase_if(uses_, [now](const auto& entry) {
      return entry.second.streams == 0 && entry.second.calls.IsFull(now);
    });
    forget_at_ = std::max(kFewIdentities, 2 * uses_.size());
  }
  const TokenBucket full(static_cast<double>(options_.calls_per_second));
  return uses_.try_emplace(identity, Use{full}).first->second;
}

absl::Status CallLimits::Take(Use& use, absl::Duration now) {
  const absl::Duration wait = use.calls.Wait(now);
  if (wait > absl::ZeroDuration()) {
    return Refusal("rate_limited", wait,
                   absl::StrCat("too many calls: one identity may make ", options_.calls_per_second,
                                " a second; repeat in ", absl::FormatDuration(wait)));
  }
  use.calls.Spend(1);
  return absl::OkStatus();
}

absl::Status CallLimits::TakeCall(const std::string& identity) {
  if (options_.calls_per_second == 0) return absl::OkStatus();
  const absl::Duration now = clock_.Monotonic();
  MutexLock lock(mutex_);
  return Take(Find(identity, now), now);
}

absl::StatusOr<CallLimits::Place> CallLimits::EnterStream(const std::string& identity) {
  const absl::Duration now = clock_.Monotonic();
  MutexLock lock(mutex_);
  Use& use = Find(identity, now);
  if (absl::Status status = Take(use, now); !status.ok()) return status;
  if (options_.streams > 0 && use.streams >= options_.streams) {
    return Refusal("too_many_streams", kStreamsFullFor,
                   absl::StrCat("too many streams: one identity may have ", options_.streams,
                                " at a time; end one, or try again later"));
  }
  ++use.streams;
  return Place(*this, identity);
}

void CallLimits::Leave(const std::string& identity) {
  MutexLock lock(mutex_);
  // It is there: one that has streams is not forgotten.
  --uses_.find(identity)->second.streams;
}

size_t CallLimits::identities() {
  MutexLock lock(mutex_);
  return uses_.size();
}

}  // namespace agentdesk::rpc
