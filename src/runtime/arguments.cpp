// SPDX-License-Identifier: Apache-2.0
// Parses in two steps: first the global options, then the options of the verb. CLI11's subcommands are not used,
// because they would recognize verbs' names among a verb's arguments, and a container may be called "run".
#include "runtime/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "runtime/flags.h"
#include "runtime/verb_table.h"

namespace kata::runtime {
namespace {

constexpr char kHelpVerb[] = "help";
constexpr int kUnknownCommand = 3;

struct Failure {
  std::string message;
  std::string usage;
  int exit_status = 1;
};

// Shows our own usage line, which names the arguments of a verb.
class Formatter : public CLI::Formatter {
 public:
  explicit Formatter(std::string usage) : usage_(std::move(usage)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return usage_; }

 private:
  std::string usage_;
};

const Verb* FindVerb(const std::string& name) {
  const auto& verbs = Verbs();
  const auto found = std::find_if(verbs.begin(), verbs.end(), [&name](const Verb& verb) { return verb.name == name; });
  return found == verbs.end() ? nullptr : &*found;
}

std::string CommandList() {
  std::string text = "Commands:\n";
  for (const Verb& verb : Verbs()) text += fmt::format("  {:<28}{}\n", verb.name, verb.description);
  return text + fmt::format("  {:<28}{}\n", kHelpVerb, "show how to use a command");
}

void SetUp(CLI::App& app, const std::string& usage, bool& help) {
  app.option_defaults()->take_last();  // the last value of a repeated option counts; lists keep all values
  app.set_help_flag();
  app.add_flag("-h,--help", help, "show this");
  app.formatter(std::make_shared<Formatter>("Usage: kata-runtime " + usage + "\n"));
}

void SetUp(CLI::App& app, const Verb& verb, Parsed& parsed) {
  SetUp(app, fmt::format("{} [OPTION...] {}", verb.name, verb.arguments), parsed.help);
  verb.declare(app, parsed);
}

std::string HelpOf(const Verb& verb) {
  CLI::App app{std::string(verb.description)};
  Parsed parsed;
  SetUp(app, verb, parsed);
  return app.help();
}

tl::expected<VerbOptions, Failure> ParseVerb(const Verb& verb, const std::vector<std::string>& words) {
  CLI::App app{std::string(verb.description)};
  Parsed parsed;
  SetUp(app, verb, parsed);
  const auto fail = [&app](std::string message) { return tl::unexpected(Failure{std::move(message), app.help()}); };
  auto read = ReadFlags(app, words, verb.command_follows);
  if (!read) return fail(std::move(read).error());
  if (parsed.help) return HelpOptions{app.help()};
  const std::vector<std::string>& arguments = *read;
  if (arguments.size() < verb.least || arguments.size() > verb.most) {
    const bool few = arguments.size() < verb.least;
    const char* how = verb.least == verb.most ? "exactly" : few ? "a minimum of" : "a maximum of";
    return fail(
        fmt::format("kata-runtime: \"{}\" requires {} {} argument(s)", verb.name, how, few ? verb.least : verb.most));
  }
  if (parsed.preserve_fds > 0) {
    return fail("--preserve-fds is not supported: descriptors of the host mean nothing in a virtual machine");
  }
  auto options = verb.finish(parsed, arguments);
  if (!options) return fail(std::move(options).error());
  return *std::move(options);
}

tl::expected<VerbOptions, Failure> ParseAll(const std::vector<std::string>& arguments, Invocation& invocation) {
  Globals& globals = invocation.globals;
  std::string log_format = "text";
  std::string rootless = "auto";
  std::string ignored;
  bool help = false;
  bool version = false;
  bool show_config_paths = false;
  CLI::App app{"Runs OCI containers, each in a virtual machine of its own."};
  SetUp(app, "[GLOBAL OPTION...] COMMAND [OPTION...] [ARGUMENT...]", help);
  app.footer(CommandList());
  app.add_option("--root", globals.root, fmt::format("directory of the containers' state ({})", globals.root));
  app.add_option("--log", globals.log_path, "file to write the log to (standard error)");
  app.add_option("--log-format", log_format, "text or json");
  app.add_flag("--debug", globals.debug, "log more");
  app.add_flag("--systemd-cgroup", globals.systemd_cgroup, "cgroupsPath has the form slice:prefix:name");
  app.add_option("--rootless", rootless, "true, false or auto: whether the host may refuse cgroups (auto)");
  app.add_option("--criu", ignored, "accepted; there are no checkpoints");
  app.add_option("--config", globals.config_path, "configuration file");
  app.add_flag("--show-default-config-paths", show_config_paths, "print where the configuration is looked for");
  app.add_flag("-v,--version", version, "print the version");

  const auto fail = [&app](std::string message, int exit_status) {
    return tl::unexpected(Failure{std::move(message), app.help(), exit_status});
  };
  auto read = ReadFlags(app, arguments, /*command_follows=*/true);
  if (!read) return fail(std::move(read).error(), 1);
  if (help) return HelpOptions{app.help()};
  if (log_format != "text" && log_format != "json") return fail(fmt::format("invalid log-format: {}", log_format), 1);
  globals.log_format = log_format == "json" ? log::Format::kJson : log::Format::kText;
  if (rootless != "auto") {
    if (rootless != "true" && rootless != "false") {
      return fail(fmt::format("invalid value \"{}\" for --rootless", rootless), 1);
    }
    globals.rootless = rootless == "true";
  }
  if (version) return VersionOptions{};
  if (show_config_paths) return ConfigPathsOptions{};
  std::vector<std::string> rest = *std::move(read);
  if (rest.empty()) return HelpOptions{app.help()};

  const bool help_verb = rest[0] == kHelpVerb;
  if (help_verb && rest.size() == 1) return HelpOptions{app.help()};
  if (help_verb) rest.erase(rest.begin());
  const Verb* verb = FindVerb(rest[0]);
  if (verb == nullptr) return fail(fmt::format("unknown command \"{}\"", rest[0]), kUnknownCommand);
  if (help_verb) return HelpOptions{HelpOf(*verb)};
  invocation.verb = verb->name;
  rest.erase(rest.begin());
  return ParseVerb(*verb, rest);
}

}  // namespace

tl::expected<Invocation, UsageError> ParseArguments(const std::vector<std::string>& arguments) {
  Invocation invocation;
  auto options = ParseAll(arguments, invocation);
  if (!options) {
    return tl::unexpected(UsageError{.globals = invocation.globals,
                                     .message = std::move(options.error().message),
                                     .usage = std::move(options.error().usage),
                                     .exit_status = options.error().exit_status});
  }
  invocation.options = *std::move(options);
  return invocation;
}

}  // namespace kata::runtime
