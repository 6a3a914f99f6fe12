#include "core_service/base/log.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/json_text.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace agentdesk {
namespace {

struct Sink {
  std::shared_ptr<spdlog::logger> logger;
  std::string service = "agentdesk";
  bool readable = isatty(STDERR_FILENO) == 1;

  Sink()
      : logger(std::make_shared<spdlog::logger>(
            "agentdesk", std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
    SetPattern();
    logger->flush_on(spdlog::level::trace);
  }
  void SetPattern() {
    logger->set_pattern(
        readable ? "%H:%M:%S.%e %L %v" : R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%v})",
        readable ? spdlog::pattern_time_type::local : spdlog::pattern_time_type::utc);
  }
};

Sink& TheSink() {
  static Sink* const sink = new Sink;
  return *sink;
}

void Write(spdlog::level::level_enum level, absl::string_view message, LogFields fields) {
  Sink& sink = TheSink();
  if (!sink.logger->should_log(level)) return;
  std::string line;
  if (sink.readable) {
    line = std::string(message);
    for (const LogField& field : fields) {
      absl::StrAppend(&line, " ", field.name, "=",
                      field.quoted ? JsonText(field.value) : field.value);
    }
  } else {
    line = absl::StrCat("\"service\":", JsonText(sink.service), ",\"message\":", JsonText(message));
    for (const LogField& field : fields) {
      absl::StrAppend(&line, ",", JsonText(field.name), ":",
                      field.quoted ? JsonText(field.value) : field.value);
    }
  }
  sink.logger->log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

LogField::LogField(absl::string_view name_in, absl::string_view text)
    : name(name_in), value(text) {}

LogField::LogField(absl::string_view name_in, const absl::Status& status)
    : name(name_in), value(status.ToString()) {}

bool IsDebugLogged() { return TheSink().logger->should_log(spdlog::level::debug); }

void LogDebug(absl::string_view message, LogFields fields) {
  Write(spdlog::level::debug, message, fields);
}
void LogInfo(absl::string_view message, LogFields fields) {
  Write(spdlog::level::info, message, fields);
}
void LogWarning(absl::string_view message, LogFields fields) {
  Write(spdlog::level::warn, message, fields);
}
void LogError(absl::string_view message, LogFields fields) {
  Write(spdlog::level::err, message, fields);
}

absl::Status StartLog(absl::string_view service, absl::string_view level) {
  Sink& sink = TheSink();
  sink.service = std::string(service);
  if (level == "debug") {
    sink.logger->set_level(spdlog::level::debug);
  } else if (level == "info") {
    sink.logger->set_level(spdlog::level::info);
  } else if (level == "warning") {
    sink.logger->set_level(spdlog::level::warn);
  } else if (level == "error") {
    sink.logger->set_level(spdlog::level::err);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("--log_level=", level, ": must be debug, info, warning or error"));
  }
  return absl::OkStatus();
}

}  // namespace agentdesk
