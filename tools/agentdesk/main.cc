#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/clock.h"
#include "core_service/base/error.h"
#include "core_service/base/flags.h"
#include "core_service/base/log.h"
#include "core_service/base/openssl_exit.h"
#include "core_service/client/advice.h"
#include "core_service/client/channel.h"
#include "tools/agentdesk/command_line.h"
#include "tools/agentdesk/commands.h"
#include "tools/json_line.h"

constexpr char kDefaultCore[] = "127.0.0.1:50051";

ABSL_FLAG(std::string, core, kDefaultCore, "HOST:PORT of the core");
ABSL_FLAG(bool, json, false, "print JSON, one object a line");
ABSL_FLAG(std::string, color, "auto", "auto (on a terminal), always or never");
ABSL_FLAG(bool, check_config, false, "check the flags, print them and stop");
ABSL_FLAG(std::string, actor, "", "who acts, as a label; empty: $USER");
ABSL_FLAG(std::string, token_file, "", "file with the bearer token that the core wants");

namespace agentdesk::cli {
namespace {

constexpr int kError = 1;
constexpr int kWrongUse = 2;

int WrongUse(absl::string_view message) {
  std::fprintf(stderr, "agentdesk: %s\n", std::string(message).c_str());
  return kWrongUse;
}

// What is wrong, and what to do.
std::string Advice(const absl::Status& status, const std::string& core,
                   const client::CoreTls& tls) {
  std::string text(status.message());
  const std::string flag = client::Advice(status, tls, "token_file");
  const ErrorDetail detail = DetailOf(status);
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
    text = absl::StrCat(
        "no answer from the core at ", core, " (", text, ")",
        flag.empty() ? "; does agentdesk-core run there? --core=HOST:PORT names another" : flag);
    std::string repeat;
    for (const auto& [name, value] : detail.metadata) {
      if (name == "request_id" || name == "run_after") {
        absl::StrAppend(&repeat, " --", name, "=", value);
      }
    }
    if (repeat.empty()) return text;
    return absl::StrCat(text, ". Whether it was done is not known:", repeat,
                        " repeats it without doing it twice");
  }
  absl::StrAppend(&text, flag);
  if (detail.retry_after.has_value()) {
    absl::StrAppend(&text, "; try again in ", absl::FormatDuration(*detail.retry_after));
  }
  if (detail.reason == "other_desk" || detail.reason == "ahead" || detail.reason == "compacted") {
    absl::StrAppend(&text, "; `agentdesk desk` shows what there is, --snapshot begins with it");
  }
  return text;
}

int Fail(const absl::Status& status, const std::string& core, const client::CoreTls& tls,
         bool json) {
  const ErrorDetail detail = DetailOf(status);
  if (detail.reason == kUsage) return WrongUse(status.message());
  if (detail.reason == kSaid) return kError;
  const std::string text = Advice(status, core, tls);
  if (json) {
    tools::JsonLine error;
    error.Add("code", detail.reason).Add("message", text);
    if (!detail.field.empty()) error.Add("field", detail.field);
    std::fprintf(stderr, "%s\n", tools::JsonLine().AddJson("error", error.Text()).Text().c_str());
  } else {
    std::fprintf(stderr, "agentdesk: %s\n", text.c_str());
  }
  return kError;
}

absl::Status RunCommand(const Invocation& invocation, DeskConnection& desk, Output output) {
  const std::string& words = invocation.command->words;
  if (words == "watch") return RunWatch(invocation, desk, output);
  if (words == "questions") return RunQuestions(invocation, desk, output);
  if (words == "answer") return RunAnswer(invocation, desk, output);
  if (words == "message") return RunMessage(invocation, desk, output);
  if (words == "desk") return RunDesk(desk, output);
  if (absl::StartsWith(words, "token ")) return RunTokenCommand(invocation, output);
  if (absl::StartsWith(words, "audit ")) return RunAuditCommand(invocation, output);
  if (absl::StartsWith(words, "admin ")) return RunAdminCommand(invocation, desk, output);
  return RunTicketCommand(invocation, desk, output);
}

// ReadFlags ends a program with 1 where it cannot read a flag. Here that is wrong use, wherever the
// flag stands.
bool reading_flags = false;

void EndReadingAsWrongUse(int status, void* /*unused*/) {
  if (reading_flags && status == kError) _exit(kWrongUse);
}

void ReadProgramFlags(const char* program, std::vector<std::string> flags) {
  // A flag file may hold the flags of commands too, which ReadCommandLine has taken.
  std::string of_commands = "--undefok=";
  for (const CommandSpec& command : Commands()) {
    for (const FlagSpec& flag : command.flags) absl::StrAppend(&of_commands, flag.name, ",");
  }
  flags.insert(flags.begin(), {program, of_commands});
  std::vector<char*> pointers;
  pointers.reserve(flags.size());
  for (std::string& flag : flags) pointers.push_back(flag.data());
  on_exit(EndReadingAsWrongUse, nullptr);
  reading_flags = true;
  ReadFlags("agentdesk", static_cast<int>(pointers.size()), pointers.data());
  reading_flags = false;
}

int Main(int argc, char** argv) {
  KeepOpenSslAtExit();
  const absl::StatusOr<Invocation> invocation =
      ReadCommandLine(std::vector<std::string>(argv + 1, argv + argc),
                      [](const char* name) -> const char* { return std::getenv(name); });
  if (!invocation.ok()) return WrongUse(invocation.status().message());
  if (invocation->help) {
    std::fputs((invocation->command != nullptr ? Help(*invocation->command) : Help()).c_str(),
               stdout);
    return 0;
  }
  ReadProgramFlags(argv[0], invocation->program_flags);
  const std::string core = absl::GetFlag(FLAGS_core);
  if (const absl::Status status = client::CheckTarget(core); !status.ok()) {
    return WrongUse(absl::StrCat("--core: ", status.message()));
  }
  const std::string color = absl::GetFlag(FLAGS_color);
  if (color != "auto" && color != "always" && color != "never") {
    return WrongUse("--color: must be auto, always or never");
  }
  absl::StatusOr<client::CoreTls> tls = client::CoreTlsFlags();
  if (!tls.ok()) return WrongUse(tls.status().message());
  // What gRPC warns of is part of the error that is printed.
  if (const absl::Status status = StartLog("agentdesk", "error"); !status.ok()) {
    return WrongUse(status.message());
  }
  if (absl::GetFlag(FLAGS_check_config)) {
    for (const std::string& line : EffectiveFlags()) std::puts(line.c_str());
    return 0;
  }
  if (invocation->command == nullptr) {
    return WrongUse("a command is missing; see `agentdesk --help`");
  }
  Output output;
  output.json = absl::GetFlag(FLAGS_json);
  output.colour = color == "always" || (color == "auto" && isatty(STDOUT_FILENO) == 1 &&
                                        std::getenv("NO_COLOR") == nullptr);
  std::string program = ShellWord(argv[0]);
  if (core != kDefaultCore) absl::StrAppend(&program, " --core=", ShellWord(core));
  output.program = program;
  std::string actor = absl::GetFlag(FLAGS_actor);
  if (const char* user = std::getenv("USER"); actor.empty() && user != nullptr) actor = user;
  std::shared_ptr<client::BearerToken> token;
  if (const std::string path = absl::GetFlag(FLAGS_token_file); !path.empty()) {
    token = std::make_shared<client::BearerToken>(path, Clock::Real());
    if (const absl::Status status = token->Check(); !status.ok()) {
      return WrongUse(absl::StrCat("--token_file: ", status.message()));
    }
  }
  DeskConnection desk(core, actor, std::move(token), *tls);
  absl::Status status = RunCommand(*invocation, desk, output);
  if (std::fflush(stdout) != 0 && status.ok()) status = CannotPrint();
  return status.ok() ? 0 : Fail(status, core, *tls, output.json);
}

}  // namespace
}  // namespace agentdesk::cli

int main(int argc, char** argv) { return agentdesk::cli::Main(argc, argv); }
