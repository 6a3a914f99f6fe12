#ifndef AGENTDESK_CORE_SERVICE_BASE_LOG_H_
#define AGENTDESK_CORE_SERVICE_BASE_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace agentdesk {

// One line on standard error for each call: a JSON object, or readable text where that is a
// terminal. Never put a token, a secret or the text of an answer into a field. Thread-safe.
//
//   LogInfo("listening", {{"address", address}, {"port", port}});
struct LogField {
  LogField(absl::string_view name_in, absl::string_view text);
  LogField(absl::string_view name_in, const std::string& text)
      : LogField(name_in, absl::string_view(text)) {}
  LogField(absl::string_view name_in, const char* text)
      : LogField(name_in, absl::string_view(text)) {}
  LogField(absl::string_view name_in, const absl::Status& status);
  template <typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>>
  LogField(absl::string_view name_in, Number number)
      : name(name_in), value(std::to_string(number)), quoted(false) {}

  std::string name;
  std::string value;
  bool quoted = true;
};

using LogFields = std::initializer_list<LogField>;

// Whether debug lines are written: where there are many, asked before their fields are made.
bool IsDebugLogged();
void LogDebug(absl::string_view message, LogFields fields = {});
void LogInfo(absl::string_view message, LogFields fields = {});
void LogWarning(absl::string_view message, LogFields fields = {});
void LogError(absl::string_view message, LogFields fields = {});

// Sets the least level that is written: debug, info, warning or error (InvalidArgument for any
// other), and the name of the process that every line carries. Call once, before any thread starts.
absl::Status StartLog(absl::string_view service, absl::string_view level);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_LOG_H_
