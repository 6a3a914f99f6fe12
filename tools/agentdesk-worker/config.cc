#include "tools/agentdesk-worker/config.h"

#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/clock.h"
#include "core_service/client/channel.h"
#include "tools/utf8.h"

namespace agentdesk::worker {
namespace {

constexpr size_t kMaxNameCharacters = 200;
constexpr size_t kMaxQueueCharacters = 64;
constexpr size_t kMaxQueues = 100;
constexpr int kMaxConcurrency = 1000;
// Open files: an agent's three pipes, its process and its transcript; and what there is besides.
constexpr rlim_t kDescriptorsOfAgent = 5;
constexpr rlim_t kOtherDescriptors = 40;

// For a rule whose words begin with the value, or where there is none.
absl::Status Wrong(absl::string_view flag, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", rule));
}

absl::Status WrongValue(absl::string_view flag, absl::string_view value, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", value, ": ", rule));
}

bool IsQueueName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxQueueCharacters &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '_' ||
                  c == '-';
         });
}

absl::Status CheckConcurrency(int agents) {
  if (agents < 1 || agents > kMaxConcurrency) {
    return WrongValue("concurrency", absl::StrCat(agents),
                      absl::StrCat("must be from 1 to ", kMaxConcurrency));
  }
  const rlim_t needed = static_cast<rlim_t>(agents) * kDescriptorsOfAgent + kOtherDescriptors;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < needed) {
    return WrongValue("concurrency", absl::StrCat(agents),
                      absl::StrCat("so many agents need ", needed, " open files, and the limit is ",
                                   limit.rlim_max, " (`ulimit -Hn`)"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Check(const Config& config) {
  if (const absl::Status target = client::CheckTarget(config.core); !target.ok()) {
    return Wrong("core", target.message());
  }
  if (config.agent.empty()) {
    return Wrong("agent",
                 "is required: the command that runs an agent, such as 'python3 agent.py'");
  }
  if (config.queues.size() > kMaxQueues) return Wrong("queue", "at most 100 queues");
  for (const std::string& queue : config.queues) {
    if (!IsQueueName(queue)) {
      return Wrong("queue", absl::StrCat("`", queue, "` is not 1 to 64 of a-z 0-9 . _ -"));
    }
  }
  if (config.name.empty() ||
      tools::FirstCharacters(config.name, kMaxNameCharacters) != config.name ||
      tools::Repair(config.name) != config.name) {
    return WrongValue("name", config.name, "must have 1 to 200 characters");
  }
  if (!config.token_file.empty()) {
    const absl::Status token = client::BearerToken(config.token_file, Clock::Real()).Check();
    if (!token.ok()) return Wrong("token_file", token.message());
  }
  if (absl::Status status = CheckConcurrency(config.concurrency); !status.ok()) {
    return status;
  }
  if (config.cancel_grace < absl::ZeroDuration() || config.cancel_grace > absl::Hours(1)) {
    return WrongValue("cancel_grace", absl::FormatDuration(config.cancel_grace),
                      "must be from 0s to 1h");
  }
  if (config.core_loss_grace < absl::ZeroDuration() ||
      config.core_loss_grace == absl::InfiniteDuration()) {
    return WrongValue("core_loss_grace", absl::FormatDuration(config.core_loss_grace),
                      "must not be negative or infinite");
  }
  if (config.lease < absl::Seconds(1) || config.lease > absl::Minutes(10)) {
    return WrongValue("lease", absl::FormatDuration(config.lease), "must be from 1s to 10m");
  }
  if (access(config.transcript_directory.c_str(), W_OK | X_OK) != 0) {
    return Wrong("transcript_dir",
                 absl::StrCat("cannot make files in `", config.transcript_directory, "`"));
  }
  return absl::OkStatus();
}

std::string DefaultName() {
  char host[HOST_NAME_MAX + 1] = {};
  if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') return absl::StrCat(getpid());
  return absl::StrCat(tools::Repair(host), "-", getpid());
}

}  // namespace agentdesk::worker
