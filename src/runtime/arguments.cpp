// SPDX-License-Identifier: Apache-2.0
// In two steps, the global options and then those of the verb, and not as CLI11's subcommands: with those the names of
// all verbs mean something in a verb's arguments, and a container may well be called "run".
#include "runtime/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "runtime/verb_table.h"

namespace kata::runtime {
namespace {

constexpr char kHelpFlag[] = "-h,--help";
constexpr char kHelpVerb[] = "help";
constexpr int kUnknownCommand = 3;

struct Failure {
  std::string message;
  std::string usage;
  int exit_status = 1;
};

// The usage line says what an option parser cannot know: which arguments a verb takes.
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

void SetUp(CLI::App& app, const std::string& usage) {
  app.option_defaults()->take_last();  // of an option that is given twice; lists keep all
  app.set_help_flag(kHelpFlag, "show this");
  app.formatter(std::make_shared<Formatter>("Usage: kata-runtime " + usage + "\n"));
}

void SetUp(CLI::App& app, const Verb& verb, Parsed& parsed) {
  SetUp(app, fmt::format("{} [OPTION...] {}", verb.name, verb.arguments));
  // The arguments are not declared, so that exec's command keeps options of its own.
  if (verb.command_follows) {
    app.prefix_command();
  } else {
    app.allow_extras();
  }
  verb.declare(app, parsed);
}

std::string HelpOf(const Verb& verb) {
  CLI::App app{std::string(verb.description)};
  Parsed parsed;
  SetUp(app, verb, parsed);
  return app.help();
}

// nullopt: understood; otherwise help was asked for.
tl::expected<std::optional<HelpOptions>, Failure> ParseWith(CLI::App& app, const std::vector<std::string>& arguments) {
  try {
    // CLI11 takes them from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    return HelpOptions{app.help()};
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(Failure{error.what(), app.help()});
  }
  return std::nullopt;
}

// kill's signal may be a negative number, which is a wrong signal and no option.
bool LooksLikeOption(const std::string& argument) {
  return argument.size() > 1 && argument[0] == '-' && std::isdigit(static_cast<unsigned char>(argument[1])) == 0;
}

tl::expected<VerbOptions, Failure> ParseVerb(const Verb& verb, const std::vector<std::string>& arguments) {
  CLI::App app{std::string(verb.description)};
  Parsed parsed;
  SetUp(app, verb, parsed);
  auto help = ParseWith(app, arguments);
  if (!help) return tl::unexpected(std::move(help).error());
  if (*help) return **std::move(help);

  const auto fail = [&app](std::string message) { return tl::unexpected(Failure{std::move(message), app.help()}); };
  const std::vector<std::string> rest = app.remaining();
  // Of a verb whose command follows, only what stands where the container should.
  const auto end = verb.command_follows && !rest.empty() ? rest.begin() + 1 : rest.end();
  if (const auto option = std::find_if(rest.begin(), end, LooksLikeOption); option != end) {
    return fail(fmt::format("flag provided but not defined: {}", *option));
  }
  if (rest.size() < verb.least || rest.size() > verb.most) {
    const bool few = rest.size() < verb.least;
    const char* how = verb.least == verb.most ? "exactly" : few ? "a minimum of" : "a maximum of";
    return fail(
        fmt::format("kata-runtime: \"{}\" requires {} {} argument(s)", verb.name, how, few ? verb.least : verb.most));
  }
  if (parsed.preserve_fds > 0) {
    return fail("--preserve-fds is not supported: descriptors of the host mean nothing in a virtual machine");
  }
  auto options = verb.finish(parsed, rest);
  if (!options) return fail(std::move(options).error());
  return *std::move(options);
}

tl::expected<VerbOptions, Failure> ParseAll(const std::vector<std::string>& arguments, Invocation& invocation) {
  Globals& globals = invocation.globals;
  std::string log_format = "text";
  std::string ignored;
  bool version = false;
  bool show_config_paths = false;
  CLI::App app{"Runs OCI containers, each in a virtual machine of its own."};
  SetUp(app, "[GLOBAL OPTION...] COMMAND [OPTION...] [ARGUMENT...]");
  app.prefix_command();
  app.footer(CommandList());
  app.add_option("--root", globals.root, "folder of the containers' state (/run/kata)");
  app.add_option("--log", globals.log_path, "file to write the log to (standard error)");
  app.add_option("--log-format", log_format, "text or json");
  app.add_flag("--debug", globals.debug, "log more");
  app.add_flag("--systemd-cgroup", globals.systemd_cgroup, "cgroupsPath has the form slice:prefix:name");
  app.add_option("--rootless", ignored, "accepted; true, false or auto");
  app.add_option("--criu", ignored, "accepted; there are no checkpoints");
  app.add_option("--config", globals.config_path, "configuration file");
  app.add_flag("--show-default-config-paths", show_config_paths, "print where the configuration is looked for");
  app.add_flag("-v,--version", version, "print the version");

  auto help = ParseWith(app, arguments);
  if (!help) return tl::unexpected(std::move(help).error());
  if (*help) return **std::move(help);
  const auto fail = [&app](std::string message, int exit_status) {
    return tl::unexpected(Failure{std::move(message), app.help(), exit_status});
  };
  if (log_format != "text" && log_format != "json") return fail(fmt::format("invalid log-format: {}", log_format), 1);
  globals.log_format = log_format == "json" ? log::Format::kJson : log::Format::kText;
  if (version) return VersionOptions{};
  if (show_config_paths) return ConfigPathsOptions{};
  std::vector<std::string> rest = app.remaining();
  if (rest.empty()) return HelpOptions{app.help()};
  if (LooksLikeOption(rest[0])) return fail(fmt::format("flag provided but not defined: {}", rest[0]), 1);

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
