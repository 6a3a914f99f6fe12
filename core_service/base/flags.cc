#include "core_service/base/flags.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace agentdesk {
namespace {

// abseil's own flags are defined in its library's files, whose names all hold this.
bool IsOurs(const absl::CommandLineFlag& flag) {
  return !absl::StrContains(flag.Filename(), "absl/");
}

// What a value of the flag looks like.
absl::string_view FormOf(const absl::CommandLineFlag& flag) {
  if (flag.IsOfType<absl::Duration>()) return "must be a time with its unit, such as 10s or 5m";
  if (flag.IsOfType<bool>()) return "must be true or false";
  if (flag.IsOfType<int32_t>()) return "must be a whole number of 32 bits";
  if (flag.IsOfType<int64_t>()) return "must be a whole number of 64 bits";
  return "cannot be read";
}

// Ends the program where a flag of ours cannot have the value; abseil's words for that tell neither
// where the value is from nor what one looks like.
void CheckValue(absl::string_view program, absl::CommandLineFlag& flag, absl::string_view source,
                absl::string_view value) {
  std::string ignored;
  if (!IsOurs(flag) || flag.ParseFrom(value, &ignored)) return;
  std::fprintf(
      stderr, "%s: %s=%s: %s\n", std::string(program.substr(program.rfind('/') + 1)).c_str(),
      std::string(source).c_str(), std::string(value).c_str(), std::string(FormOf(flag)).c_str());
  std::exit(1);
}

// The same for `--name=value`, which stands in `place`. What else an argument can be is abseil's.
void CheckArgument(absl::string_view program, absl::string_view place, absl::string_view argument) {
  if (!absl::StartsWith(argument, "--")) return;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(argument, absl::MaxSplits('=', 1));
  if (parts.first.size() == argument.size()) return;
  absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(parts.first.substr(2));
  if (flag != nullptr) CheckValue(program, *flag, absl::StrCat(place, parts.first), parts.second);
}

// Of a file that --flagfile names; one that cannot be read is left to abseil.
void CheckFile(absl::string_view program, absl::string_view flagfile) {
  const std::string path(flagfile.substr(flagfile.find('=') + 1));
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    CheckArgument(program, absl::StrCat(path, ": "), absl::StripAsciiWhitespace(line));
  }
}

// abseil prints the help and ends the program with 1, as if something were wrong.
void EndWithZeroAfterHelp() {
  std::atexit([] {
    std::cout.flush();
    std::_Exit(0);
  });
}

}  // namespace

std::vector<std::string> ReadFlags(absl::string_view usage, int argc, char** argv) {
  absl::SetProgramUsageMessage(usage);
  absl::FlagsUsageConfig config;
  config.contains_helpshort_flags = [](absl::string_view file) {
    return !absl::StrContains(file, "absl/");
  };
  config.contains_help_flags = config.contains_helpshort_flags;
  config.contains_helppackage_flags = config.contains_helpshort_flags;
  // As the file is called in the project, wherever it was built.
  config.normalize_filename = [](absl::string_view file) {
    for (const absl::string_view root : {"/core_service/", "/ws_gateway/", "/tools/"}) {
      if (const size_t at = file.rfind(root); at != file.npos)
        return std::string(file.substr(at + 1));
    }
    return std::string(file);
  };
  config.version_string = [] { return absl::StrCat(AGENTDESK_VERSION, "\n"); };
  absl::SetFlagsUsageConfig(config);

  // A later argument overrides an earlier one, so the weakest source comes first.
  std::vector<std::string> from_file;
  std::vector<std::string> from_environment;
  std::vector<std::string> from_line;
  bool help = false;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--") {
      from_line.insert(from_line.end(), argv + i, argv + argc);
      break;
    }
    if (absl::StartsWith(argument, "--flagfile=") || absl::StartsWith(argument, "-flagfile=")) {
      from_file.emplace_back(argument);
    } else if ((argument == "--flagfile" || argument == "-flagfile") && i + 1 < argc) {
      from_file.push_back(absl::StrCat("--flagfile=", argv[++i]));
    } else {
      help = help || argument == "--help" || argument == "-help";
      CheckArgument(argv[0], "", argument);
      from_line.emplace_back(argument);
    }
  }
  if (const char* file = std::getenv("AGENTDESK_FLAGFILE"); file != nullptr && from_file.empty()) {
    from_file.push_back(absl::StrCat("--flagfile=", file));
  }
  for (const std::string& file : from_file) CheckFile(argv[0], file);
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!IsOurs(*flag)) continue;
    const std::string variable = absl::StrCat("AGENTDESK_", absl::AsciiStrToUpper(name));
    if (const char* value = std::getenv(variable.c_str()); value != nullptr) {
      CheckValue(argv[0], *flag, variable, value);
      from_environment.push_back(absl::StrCat("--", name, "=", value));
    }
  }
  if (help) {
    from_file.clear();
    from_environment.clear();
    from_line = {"--help"};
    EndWithZeroAfterHelp();
  }
  std::vector<std::string> all = {argv[0]};
  for (const auto* source : {&from_file, &from_environment, &from_line}) {
    all.insert(all.end(), source->begin(), source->end());
  }
  std::vector<char*> pointers;
  pointers.reserve(all.size());
  for (std::string& argument : all) pointers.push_back(argument.data());
  const std::vector<char*> rest =
      absl::ParseCommandLine(static_cast<int>(pointers.size()), pointers.data());
  return std::vector<std::string>(rest.begin() + 1, rest.end());
}

std::vector<std::string> EffectiveFlags() {
  std::vector<std::string> lines;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!IsOurs(*flag)) continue;
    const bool secret = absl::EndsWith(name, "_token") || absl::EndsWith(name, "_secret");
    lines.push_back(absl::StrCat("--", name, "=", secret ? "(hidden)" : flag->CurrentValue()));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace agentdesk
