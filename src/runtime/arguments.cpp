// SPDX-License-Identifier: Apache-2.0
#include "runtime/arguments.h"

#include <CLI/CLI.hpp>
#include <map>

namespace kata::runtime {
namespace {

constexpr char kHelpNames[] = "-h,--help";

// What the options are written into while CLI11 parses; Finish turns the chosen verb's part into the Invocation.
struct Parsed {
  Globals globals;
  std::string log_format = "text";
  bool version = false;
  bool show_config_paths = false;
  uint64_t preserve_fds = 0;
  std::string list_format = "table";
  std::string ps_format = "table";
  std::string ignored_text;
  bool ignored_flag = false;

  CreateOptions create;
  RunOptions run;
  KillOptions kill;
  DeleteOptions remove;
  ExecOptions exec;
  ListOptions list;
  UpdateOptions update;
  SpecOptions spec;
};

void AddCreateOptions(CLI::App& verb, CreateOptions& options, Parsed& parsed) {
  verb.add_option("-b,--bundle", options.bundle, "folder of the bundle; the working directory when not given");
  verb.add_option("--console-socket", options.console_socket, "unix socket that gets the terminal's master");
  verb.add_option("--pid-file", options.pid_file, "file to write the container's pid to");
  verb.add_flag("--no-pivot", parsed.ignored_flag, "accepted; the guest always pivots");
  verb.add_flag("--no-new-keyring", parsed.ignored_flag, "accepted; the guest's keys are its own");
  verb.add_option("--preserve-fds", parsed.preserve_fds, "descriptors to pass on; only 0 is possible");
}

void AddExecOptions(CLI::App& verb, ExecOptions& options, Parsed& parsed) {
  verb.add_option("--console-socket", options.console_socket, "unix socket that gets the terminal's master");
  verb.add_option("--cwd", options.cwd, "working directory in the container");
  verb.add_option("-e,--env", options.env, "NAME=VALUE, once for each variable")->allow_extra_args(false);
  verb.add_flag("-t,--tty", options.tty, "run it in a terminal");
  verb.add_option("-u,--user", options.user, "UID[:GID]");
  verb.add_option("-g,--additional-gids", options.additional_gids, "once for each further group")
      ->allow_extra_args(false);
  verb.add_option("-p,--process", options.process_file, "process.json that describes it");
  verb.add_flag("-d,--detach", options.detach, "do not wait for its end");
  verb.add_option("--pid-file", options.pid_file, "file to write its pid to");
  verb.add_option("--process-label", parsed.ignored_text, "accepted; SELinux labels mean nothing in the guest");
  verb.add_option("--apparmor", parsed.ignored_text, "accepted; AppArmor profiles mean nothing in the guest");
  verb.add_flag("--no-new-privs", options.no_new_privileges, "no privileges through set-user-id programs");
  verb.add_option("-c,--cap", options.capabilities, "add a capability; once for each")->allow_extra_args(false);
  verb.add_option("--preserve-fds", parsed.preserve_fds, "descriptors to pass on; only 0 is possible");
  verb.add_option("--cgroup", parsed.ignored_text, "accepted; the process runs in the container's cgroup");
  verb.add_flag("--ignore-paused", options.ignore_paused, "also in a paused container");
}

void AddUpdateOptions(CLI::App& verb, UpdateOptions& options, Parsed& parsed) {
  verb.add_option("-r,--resources", options.resources_file, "file with linux.resources, or - for standard input");
  verb.add_option("--blkio-weight", options.blkio_weight, "10 to 1000");
  verb.add_option("--cpu-period", options.cpu_period, "microseconds");
  verb.add_option("--cpu-quota", options.cpu_quota, "microseconds in each period");
  verb.add_option("--cpu-share", options.cpu_shares, "relative weight");
  verb.add_option("--cpu-rt-period", options.cpu_rt_period, "microseconds");
  verb.add_option("--cpu-rt-runtime", options.cpu_rt_runtime, "microseconds in each period");
  verb.add_option("--cpuset-cpus", options.cpuset_cpus, "list of processors");
  verb.add_option("--cpuset-mems", options.cpuset_mems, "list of memory nodes");
  verb.add_option("--memory", options.memory, "bytes");
  verb.add_option("--memory-reservation", options.memory_reservation, "bytes");
  verb.add_option("--memory-swap", options.memory_swap, "bytes of memory and swap; -1: no limit");
  verb.add_option("--pids-limit", options.pids_limit, "processes and threads");
  verb.add_option("--l3-cache-schema", parsed.ignored_text, "accepted; not for virtual machines");
  verb.add_option("--mem-bw-schema", parsed.ignored_text, "accepted; not for virtual machines");
}

// How many arguments a verb takes, for the message and the usage line.
struct Arity {
  size_t least = 1;
  size_t most = 1;
  const char* synopsis = "CONTAINER";
  bool options_first = false;  // everything from the first argument on belongs to the command in the container
};

const std::map<std::string_view, Arity>& Arities() {
  static const auto* arities = new std::map<std::string_view, Arity>{
      {"kill", {.least = 1, .most = 2, .synopsis = "CONTAINER [SIGNAL]"}},
      {"exec", {.least = 1, .most = SIZE_MAX, .synopsis = "CONTAINER COMMAND [ARGUMENT...]", .options_first = true}},
      {"ps", {.least = 1, .most = SIZE_MAX, .synopsis = "CONTAINER [PS-OPTION...]", .options_first = true}},
      {"list", {.least = 0, .most = 0, .synopsis = ""}},
      {"spec", {.least = 0, .most = 0, .synopsis = ""}},
      {"features", {.least = 0, .most = 0, .synopsis = ""}},
      {"check", {.least = 0, .most = 0, .synopsis = ""}},
      {"help", {.least = 0, .most = 1, .synopsis = "[COMMAND]"}},
  };
  return *arities;
}

Arity ArityOf(const std::string& verb) {
  const auto found = Arities().find(verb);
  return found == Arities().end() ? Arity{} : found->second;
}

class UsageLine : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string) const override {
    if (app->get_parent() == nullptr)
      return "Usage: kata-runtime [GLOBAL OPTION...] COMMAND [OPTION...] [ARGUMENT...]\n";
    return fmt::format("Usage: kata-runtime {} [OPTION...] {}\n", app->get_name(), ArityOf(app->get_name()).synopsis);
  }
};

CLI::App* AddVerb(CLI::App& app, const std::string& name, const std::string& description) {
  CLI::App* verb = app.add_subcommand(name, description);
  const Arity arity = ArityOf(name);
  verb->set_help_flag(kHelpNames, "show this");
  // Arguments are not declared, so that exec's command keeps options of its own; Finish counts them.
  if (arity.options_first) {
    verb->prefix_command();
  } else {
    verb->allow_extras();
  }
  return verb;
}

void Declare(CLI::App& app, Parsed& parsed) {
  app.set_help_flag(kHelpNames, "show this");
  app.prefix_command();                          // an unknown command, with all that follows it, is left for Finish
  app.formatter(std::make_shared<UsageLine>());  // subcommands inherit it
  app.add_option("--root", parsed.globals.root, "folder of the containers' state (/run/kata)");
  app.add_option("--log", parsed.globals.log_path, "file to write the log to (standard error)");
  app.add_option("--log-format", parsed.log_format, "text or json");
  app.add_flag("--debug", parsed.globals.debug, "log more");
  app.add_flag("--systemd-cgroup", parsed.globals.systemd_cgroup, "cgroupsPath has the form slice:prefix:name");
  app.add_option("--rootless", parsed.ignored_text, "accepted; true, false or auto");
  app.add_option("--criu", parsed.ignored_text, "accepted; there are no checkpoints");
  app.add_option("--config", parsed.globals.config_path, "configuration file");
  app.add_flag("--show-default-config-paths", parsed.show_config_paths, "print where the configuration is looked for");
  app.add_flag("-v,--version", parsed.version, "print the version");

  CLI::App* create = AddVerb(app, "create", "make a container, ready to be started");
  AddCreateOptions(*create, parsed.create, parsed);
  CLI::App* run = AddVerb(app, "run", "make a container, start it, and wait for its end");
  AddCreateOptions(*run, parsed.run.create, parsed);
  run->add_flag("-d,--detach", parsed.run.detach, "do not wait for its end");
  run->add_flag("--keep", parsed.run.keep, "do not delete it after its end");
  run->add_flag("--no-subreaper", parsed.ignored_flag, "accepted; no process of the container is the caller's");
  AddVerb(app, "start", "start the command of a created container");
  AddVerb(app, "state", "print the state of a container");
  CLI::App* kill = AddVerb(app, "kill", "send a signal (SIGTERM) to a container's first process");
  kill->add_flag("-a,--all", parsed.kill.all, "to all processes in the container");
  CLI::App* remove = AddVerb(app, "delete", "remove what is left of a container");
  remove->add_flag("-f,--force", parsed.remove.force, "kill it first if it runs");
  AddExecOptions(*AddVerb(app, "exec", "run another command in a container"), parsed.exec, parsed);
  CLI::App* list = AddVerb(app, "list", "list the containers");
  list->add_option("-f,--format", parsed.list_format, "table or json");
  list->add_flag("-q,--quiet", parsed.list.quiet, "only their ids");
  CLI::App* ps = AddVerb(app, "ps", "list the processes in a container");
  ps->add_option("-f,--format", parsed.ps_format, "table or json");
  AddVerb(app, "pause", "stop all processes in a container");
  AddVerb(app, "resume", "let them go on");
  AddUpdateOptions(*AddVerb(app, "update", "change a container's limits"), parsed.update, parsed);
  CLI::App* spec = AddVerb(app, "spec", "write a config.json to start from");
  spec->add_option("-b,--bundle", parsed.spec.bundle, "folder to write it to");
  spec->add_flag("--rootless", parsed.spec.rootless, "for a user without privileges");
  AddVerb(app, "features", "print what is supported, as JSON");
  AddVerb(app, "check", "say whether and how this machine can run guests");
  AddVerb(app, "help", "show how to use a command");
}

struct Failure {
  std::string message;
  int exit_status = 1;
};

// Checks the arguments of the verb, and makes its options whole.
tl::expected<VerbOptions, Failure> Finish(CLI::App& app, CLI::App& verb, Parsed& parsed) {
  const std::string name = verb.get_name();
  const Arity arity = ArityOf(name);
  std::vector<std::string> args = verb.remaining();
  const auto fail = [](std::string message) { return tl::unexpected(Failure{std::move(message)}); };
  // kill's signal may be a negative number, which is a wrong signal and no option.
  for (const std::string& arg : args) {
    if (arg.size() > 1 && arg[0] == '-' && std::isdigit(static_cast<unsigned char>(arg[1])) == 0) {
      return fail(fmt::format("flag provided but not defined: {}", arg));
    }
    if (arity.options_first) break;
  }
  if (args.size() < arity.least || args.size() > arity.most) {
    return fail(fmt::format("kata-runtime: \"{}\" requires {} {} argument(s)", name,
                            arity.least == arity.most ? "exactly" : "a minimum of", arity.least));
  }
  const auto json = [](const std::string& format) -> std::optional<bool> {
    if (format == "json" || format == "table") return format == "json";
    return std::nullopt;
  };
  if (parsed.preserve_fds > 0) {
    return fail("--preserve-fds is not supported: descriptors of the host mean nothing in a virtual machine");
  }
  const std::string id = args.empty() ? "" : args[0];
  if (name == "create") {
    parsed.create.id = id;
    return parsed.create;
  }
  if (name == "run") {
    parsed.run.create.id = id;
    return parsed.run;
  }
  if (name == "start") return StartOptions{id};
  if (name == "state") return StateOptions{id};
  if (name == "kill") {
    parsed.kill.id = id;
    if (args.size() > 1) parsed.kill.signal = args[1];
    return parsed.kill;
  }
  if (name == "delete") {
    parsed.remove.id = id;
    return parsed.remove;
  }
  if (name == "exec") {
    parsed.exec.id = id;
    parsed.exec.args.assign(args.begin() + 1, args.end());
    return parsed.exec;
  }
  if (name == "list") {
    const auto is_json = json(parsed.list_format);
    if (!is_json) return fail("invalid format option");
    parsed.list.json = *is_json;
    return parsed.list;
  }
  if (name == "ps") {
    const auto is_json = json(parsed.ps_format);
    if (!is_json) return fail("invalid format option");
    return PsOptions{.id = id, .json = *is_json};
  }
  if (name == "pause") return PauseOptions{id};
  if (name == "resume") return ResumeOptions{id};
  if (name == "update") {
    parsed.update.id = id;
    return parsed.update;
  }
  if (name == "spec") return parsed.spec;
  if (name == "features") return FeaturesOptions{};
  if (name == "check") return CheckOptions{};
  if (id.empty()) return HelpOptions{app.help()};
  for (const CLI::App* topic : app.get_subcommands([&id](CLI::App* sub) { return sub->get_name() == id; })) {
    return HelpOptions{topic->help()};
  }
  return tl::unexpected(Failure{fmt::format("unknown command \"{}\"", id), 3});
}

CLI::App* ChosenVerb(CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? nullptr : chosen.front();
}

tl::expected<VerbOptions, Failure> ParseWith(CLI::App& app, const std::vector<std::string>& arguments, Parsed& parsed) {
  try {
    // CLI11 takes them from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    CLI::App* verb = ChosenVerb(app);
    return HelpOptions{verb != nullptr ? verb->help() : app.help()};
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(Failure{error.what()});
  }
  if (parsed.log_format == "json") {
    parsed.globals.log_format = log::Format::kJson;
  } else if (parsed.log_format != "text") {
    return tl::unexpected(Failure{fmt::format("invalid log-format: {}", parsed.log_format)});
  }
  if (parsed.version) return VersionOptions{};
  if (parsed.show_config_paths) return ConfigPathsOptions{};
  if (CLI::App* verb = ChosenVerb(app); verb != nullptr) return Finish(app, *verb, parsed);
  const std::vector<std::string> rest = app.remaining();
  if (rest.empty()) return HelpOptions{app.help()};
  if (rest[0].starts_with('-'))
    return tl::unexpected(Failure{fmt::format("flag provided but not defined: {}", rest[0])});
  return tl::unexpected(Failure{fmt::format("unknown command \"{}\"", rest[0]), 3});
}

}  // namespace

tl::expected<Invocation, UsageError> ParseArguments(const std::vector<std::string>& arguments) {
  CLI::App app{"Runs OCI containers, each in a virtual machine of its own.", "kata-runtime"};
  Parsed parsed;
  Declare(app, parsed);
  auto options = ParseWith(app, arguments, parsed);
  CLI::App* verb = ChosenVerb(app);
  if (!options) {
    return tl::unexpected(UsageError{.globals = parsed.globals,
                                     .message = options.error().message,
                                     .usage = verb != nullptr ? verb->help() : app.help(),
                                     .exit_status = options.error().exit_status});
  }
  return Invocation{
      .globals = parsed.globals, .verb = verb != nullptr ? verb->get_name() : "", .options = std::move(*options)};
}

}  // namespace kata::runtime
