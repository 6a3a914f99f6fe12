#ifndef AGENTDESK_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define AGENTDESK_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <cstdlib>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace agentdesk::testing {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// EXPECT_THAT(status_or_statusor, IsOk()) and the like.
MATCHER(IsOk, negation ? "is an error" : "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}
MATCHER_P(HasCode, code, absl::StatusCodeToString(code)) {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code;
}
MATCHER_P2(HasError, code, text, absl::StatusCodeToString(code)) {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         ::testing::Matches(::testing::HasSubstr(text))(std::string(StatusOf(arg).message()));
}

// What a StatusOr holds; the test fails and the program ends where it holds an error.
template <typename T>
T Value(absl::StatusOr<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    std::abort();
  }
  return *std::move(result);
}

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_STATUS_MATCHERS_H_
