#include "core_service/base/log.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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

std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
  return out;
}

void Write(spdlog::level::level_enum level, absl::string_view message, LogFields fields) {
  Sink& sink = TheSink();
  if (!sink.logger->should_log(level)) return;
  std::string line;
  if (sink.readable) {
    line = std::string(message);
    for (const LogField& field : fields) {
      absl::StrAppend(&line, " ", field.name, "=", field.quoted ? Quote(field.value) : field.value);
    }
  } else {
    line = absl::StrCat("\"service\":", Quote(sink.service), ",\"message\":", Quote(message));
    for (const LogField& field : fields) {
      absl::StrAppend(&line, ",", Quote(field.name), ":",
                      field.quoted ? Quote(field.value) : field.value);
    }
  }
  sink.logger->log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

LogField::LogField(absl::string_view name_in, absl::string_view text)
    : name(name_in), value(text) {}

LogField::LogField(absl::string_view name_in, const absl::Status& status)
    : name(name_in), value(status.ToString()) {}

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
