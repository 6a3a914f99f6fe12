#include "core_service/base/flags.h"

#include <algorithm>
#include <cstdlib>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace agentdesk {
namespace {

// abseil's own flags are defined in its library's files, whose names all hold this.
bool IsOurs(const absl::CommandLineFlag& flag) {
  return !absl::StrContains(flag.Filename(), "absl/");
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
      from_line.emplace_back(argument);
    }
  }
  if (const char* file = std::getenv("AGENTDESK_FLAGFILE"); file != nullptr && from_file.empty()) {
    from_file.push_back(absl::StrCat("--flagfile=", file));
  }
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!IsOurs(*flag)) continue;
    const std::string variable = absl::StrCat("AGENTDESK_", absl::AsciiStrToUpper(name));
    if (const char* value = std::getenv(variable.c_str()); value != nullptr) {
      from_environment.push_back(absl::StrCat("--", name, "=", value));
    }
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
