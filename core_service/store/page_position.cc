#include "core_service/store/page_position.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"

namespace agentdesk::store {
namespace {

absl::Status BadToken() {
  return InvalidField("page_token", "is not a next_page_token of this list");
}

absl::Status CheckSize(const PageRequest& page) {
  return page.size >= 1 ? absl::OkStatus() : InvalidField("page_size", "must be at least 1");
}

// Reads what StrCat writes for a number that is not negative, and no other spelling of it.
bool ParseNumber(absl::string_view text, int64_t& value) {
  return absl::SimpleAtoi(text, &value) && value >= 0 && text == absl::StrCat(value);
}

}  // namespace

std::string KeyToken(int64_t key) { return absl::StrCat("k", key); }

absl::StatusOr<int64_t> KeyAfter(const PageRequest& page, int64_t start) {
  if (absl::Status status = CheckSize(page); !status.ok()) return status;
  absl::string_view token = page.after;
  if (token.empty()) return start;
  int64_t key = 0;
  if (!absl::ConsumePrefix(&token, "k") || !ParseNumber(token, key)) return BadToken();
  return key;
}

std::string DeadlineToken(const DeadlinePosition& position) {
  return absl::StrCat("q", position.expires_us, ".", position.key);
}

absl::StatusOr<DeadlinePosition> DeadlineAfter(const PageRequest& page) {
  if (absl::Status status = CheckSize(page); !status.ok()) return status;
  absl::string_view token = page.after;
  DeadlinePosition position;
  if (token.empty()) return position;
  if (!absl::ConsumePrefix(&token, "q")) return BadToken();
  const size_t dot = token.find('.');
  if (dot == absl::string_view::npos || !ParseNumber(token.substr(0, dot), position.expires_us) ||
      !ParseNumber(token.substr(dot + 1), position.key)) {
    return BadToken();
  }
  return position;
}

}  // namespace agentdesk::store
