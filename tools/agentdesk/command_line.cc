#include "tools/agentdesk/command_line.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace agentdesk::cli {
namespace {

struct GivenFlag {
  std::string name;
  std::string value;
};

absl::Status Usage(absl::string_view what, const CommandSpec* command) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, "; see `agentdesk ",
                   command == nullptr ? "" : absl::StrCat(command->words, " "), "--help`"));
}

const FlagSpec* Find(const std::vector<FlagSpec>& flags, absl::string_view name) {
  const auto it = std::find_if(flags.begin(), flags.end(),
                               [&](const FlagSpec& flag) { return flag.name == name; });
  return it == flags.end() ? nullptr : &*it;
}

// A flag of that name, of whichever command: the same name takes the same everywhere.
const FlagSpec* FindAnywhere(absl::string_view name) {
  if (const FlagSpec* flag = Find(ProgramFlags(), name)) return flag;
  for (const CommandSpec& command : Commands()) {
    if (const FlagSpec* flag = Find(command.flags, name)) return flag;
  }
  return nullptr;
}

// The command whose words the line begins with.
const CommandSpec* FindCommand(const std::vector<std::string>& words) {
  for (const CommandSpec& command : Commands()) {
    const std::vector<std::string> wanted = absl::StrSplit(command.words, ' ');
    if (words.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), words.begin())) {
      return &command;
    }
  }
  return nullptr;
}

absl::Status UnknownCommand(const std::vector<std::string>& words) {
  std::vector<std::string> begun;
  for (const CommandSpec& command : Commands()) {
    if (absl::StartsWith(command.words, words[0] + " ")) begun.push_back(command.words);
  }
  if (begun.empty()) return Usage(absl::StrCat("no command `", words[0], "`"), nullptr);
  return Usage(absl::StrCat("`", words[0], "` wants more: ", absl::StrJoin(begun, ", ")), nullptr);
}

absl::Status TakeFlag(const std::vector<std::string>& arguments, size_t& at, bool& help,
                      std::vector<GivenFlag>& flags) {
  absl::string_view text = arguments[at];
  text.remove_prefix(absl::StartsWith(text, "--") ? 2 : 1);
  const std::pair<std::string, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  const std::string name = absl::StrReplaceAll(parts.first, {{"-", "_"}});
  const bool has_value = absl::StrContains(text, "=");
  if (name == "help" || name == "h") {
    help = true;
    return absl::OkStatus();
  }
  const FlagSpec* flag = FindAnywhere(name);
  if (flag == nullptr) return Usage(absl::StrCat("no flag --", name), nullptr);
  std::string value = has_value ? std::string(parts.second) : "true";
  if (!has_value && !flag->value.empty()) {
    if (++at >= arguments.size()) {
      return Usage(absl::StrCat("--", name, " needs a value: --", name, "=", flag->value), nullptr);
    }
    value = arguments[at];
  }
  flags.push_back({name, std::move(value)});
  return absl::OkStatus();
}

// Puts the flags of one source in place, over what a weaker source said.
absl::Status Place(const std::vector<GivenFlag>& given, Invocation& invocation) {
  std::map<std::string, std::vector<std::string>> placed;
  for (const GivenFlag& flag : given) {
    const FlagSpec* spec = Find(invocation.command->flags, flag.name);
    if (spec == nullptr) {
      return Usage(absl::StrCat("--", flag.name, " is no flag of this command"),
                   invocation.command);
    }
    std::vector<std::string>& values = placed[flag.name];
    if (!spec->repeated) values.clear();
    if (spec->value.empty()) {
      if (flag.value == "false") continue;
      if (flag.value != "true") {
        return Usage(absl::StrCat("--", flag.name, " takes no value"), invocation.command);
      }
    }
    values.push_back(flag.value);
  }
  for (auto& [name, values] : placed) invocation.flags[name] = std::move(values);
  return absl::OkStatus();
}

// The flags of `command` that the environment holds.
std::vector<GivenFlag> FromEnvironment(const CommandSpec& command, Environment environment) {
  std::vector<GivenFlag> flags;
  for (const FlagSpec& flag : command.flags) {
    const std::string variable = absl::StrCat("AGENTDESK_", absl::AsciiStrToUpper(flag.name));
    if (const char* value = environment(variable.c_str()); value != nullptr) {
      flags.push_back({flag.name, value});
    }
  }
  return flags;
}

// The flags of `command` that the file holds: one a line, as abseil reads it for the program's own.
std::vector<GivenFlag> FromFile(const CommandSpec& command, const std::string& path) {
  std::vector<GivenFlag> flags;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    absl::string_view text = absl::StripAsciiWhitespace(line);
    if (!absl::ConsumePrefix(&text, "--")) continue;
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    if (Find(command.flags, parts.first) == nullptr) continue;
    flags.push_back({parts.first, absl::StrContains(text, '=') ? parts.second : "true"});
  }
  return flags;
}

std::string FlagLine(const FlagSpec& flag) {
  const std::string left = flag.value.empty() ? absl::StrCat("--", flag.name)
                                              : absl::StrCat("--", flag.name, "=", flag.value);
  return absl::StrFormat("  %-24s %s\n", left, flag.help);
}

}  // namespace

bool Invocation::Has(const std::string& name) const { return !All(name).empty(); }

std::string Invocation::Get(const std::string& name, absl::string_view otherwise) const {
  const auto it = flags.find(name);
  return it == flags.end() || it->second.empty() ? std::string(otherwise) : it->second.back();
}

std::vector<std::string> Invocation::All(const std::string& name) const {
  const auto it = flags.find(name);
  return it == flags.end() ? std::vector<std::string>() : it->second;
}

absl::StatusOr<Invocation> ReadCommandLine(const std::vector<std::string>& arguments,
                                           Environment environment) {
  Invocation invocation;
  std::vector<std::string> words;
  std::vector<GivenFlag> flags;
  for (size_t at = 0; at < arguments.size(); ++at) {
    const std::string& argument = arguments[at];
    if (argument == "--") {
      words.insert(words.end(), arguments.begin() + static_cast<ptrdiff_t>(at) + 1,
                   arguments.end());
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      words.push_back(argument);
    } else if (const absl::Status status = TakeFlag(arguments, at, invocation.help, flags);
               !status.ok()) {
      return status;
    }
  }
  if (!words.empty() && words[0] == "help") {
    invocation.help = true;
    words.erase(words.begin());
  }
  invocation.command = FindCommand(words);
  if (invocation.help) return invocation;
  std::string file;
  if (const char* value = environment("AGENTDESK_FLAGFILE"); value != nullptr) file = value;
  std::vector<GivenFlag> of_command;
  for (GivenFlag& flag : flags) {
    if (flag.name == "flagfile") file = flag.value;
    if (Find(ProgramFlags(), flag.name) == nullptr) {
      of_command.push_back(std::move(flag));
    } else {
      invocation.program_flags.push_back(absl::StrCat("--", flag.name, "=", flag.value));
    }
  }
  if (invocation.command == nullptr) {
    if (!of_command.empty()) {
      return Usage(absl::StrCat("--", of_command[0].name, " is a flag of single commands"),
                   nullptr);
    }
    // `agentdesk --version` is answered by the flags.
    if (words.empty() && !invocation.program_flags.empty()) return invocation;
    if (words.empty()) return Usage("a command is missing", nullptr);
    return UnknownCommand(words);
  }
  for (const std::vector<GivenFlag>& source :
       {FromFile(*invocation.command, file), FromEnvironment(*invocation.command, environment),
        of_command}) {
    if (const absl::Status status = Place(source, invocation); !status.ok()) return status;
  }
  const size_t own =
      std::vector<std::string>(absl::StrSplit(invocation.command->words, ' ')).size();
  invocation.arguments.assign(words.begin() + static_cast<ptrdiff_t>(own), words.end());
  if (invocation.arguments.size() < invocation.command->min_arguments) {
    return Usage(
        absl::StrCat("`", invocation.command->words, "` needs ", invocation.command->arguments),
        invocation.command);
  }
  if (invocation.arguments.size() > invocation.command->max_arguments) {
    return Usage(
        absl::StrCat("`", invocation.arguments[invocation.command->max_arguments], "` is too much"),
        invocation.command);
  }
  return invocation;
}

std::string Help(const CommandSpec& command) {
  std::string text = absl::StrCat("agentdesk ", command.words, command.arguments.empty() ? "" : " ",
                                  command.arguments, command.flags.empty() ? "" : " [FLAGS]", ": ",
                                  command.summary, "\n");
  if (!command.details.empty()) absl::StrAppend(&text, "\n", command.details, "\n");
  if (!command.flags.empty()) {
    absl::StrAppend(&text, "\nFlags:\n");
    for (const FlagSpec& flag : command.flags) absl::StrAppend(&text, FlagLine(flag));
  }
  absl::StrAppend(&text, "\nFlags of every command:\n");
  for (const FlagSpec& flag : ProgramFlags()) absl::StrAppend(&text, FlagLine(flag));
  return text;
}

std::string Help() {
  std::string text =
      "agentdesk: bring work to an AgentDesk core, follow it, and answer its questions.\n\n"
      "Commands:\n";
  for (const CommandSpec& command : Commands()) {
    absl::StrAppendFormat(
        &text, "  %-36s %s\n",
        absl::StrCat(command.words, command.arguments.empty() ? "" : " ", command.arguments),
        command.summary);
  }
  absl::StrAppend(&text, "\nFlags of every command:\n");
  for (const FlagSpec& flag : ProgramFlags()) absl::StrAppend(&text, FlagLine(flag));
  absl::StrAppend(
      &text,
      "\n`agentdesk COMMAND --help` tells more. Every flag can also come from the environment,\n"
      "as AGENTDESK_CORE and so on, and from --flagfile. Exit codes: 0 done, 1 error,\n"
      "2 wrong use.\n");
  return text;
}

}  // namespace agentdesk::cli
