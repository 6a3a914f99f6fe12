#include "core_service/client/bearer_token.h"

#include <fstream>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace agentdesk::client {
namespace {

constexpr absl::Duration kReadAgainAfter = absl::Seconds(1);
constexpr size_t kMaxBytes = 16 * 1024;

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (!file.eof() && file.fail())) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  absl::StripAsciiWhitespace(&text);
  for (const char c : text) {
    // Anything else would break the call, not just be refused.
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": holds no token"));
    }
  }
  if (text.empty() || text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": holds no token"));
  }
  return text;
}

}  // namespace

BearerToken::BearerToken(std::string path, Clock& clock) : path_(std::move(path)), clock_(clock) {}

absl::Status BearerToken::Check() const { return ReadToken(path_).status(); }

std::string BearerToken::Header() {
  MutexLock lock(mutex_);
  const absl::Duration now = clock_.Monotonic();
  if (now - read_at_ >= kReadAgainAfter) {
    const absl::StatusOr<std::string> token = ReadToken(path_);
    // Whoever renews it may be about to write it.
    if (token.ok()) header_ = absl::StrCat("Bearer ", *token);
    read_at_ = now;
  }
  return header_;
}

}  // namespace agentdesk::client
