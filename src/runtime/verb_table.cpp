// SPDX-License-Identifier: Apache-2.0
#include "runtime/verb_table.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace kata::runtime {
namespace {

using Arguments = std::vector<std::string>;
using Finished = tl::expected<VerbOptions, std::string>;

void DeclareCreate(CLI::App& verb, CreateOptions& options, Parsed& parsed) {
  verb.add_option("-b,--bundle", options.bundle, "directory of the bundle; the working directory when not given");
  verb.add_option("--console-socket", options.console_socket, "unix socket that gets the terminal's master");
  verb.add_option("--pid-file", options.pid_file, "file to write the container's pid to");
  verb.add_flag("--no-pivot", parsed.ignored_flag, "accepted; the guest always pivots");
  verb.add_flag("--no-new-keyring", parsed.ignored_flag, "accepted; the guest's keys are its own");
  verb.add_option("--preserve-fds", parsed.preserve_fds, "descriptors to pass on; only 0 is possible");
}

void DeclareExec(CLI::App& verb, Parsed& parsed) {
  ExecOptions& options = parsed.exec;
  verb.add_option("--console-socket", options.console_socket, "unix socket that gets the terminal's master");
  verb.add_option("--cwd", options.cwd, "working directory in the container");
  verb.add_option("-e,--env", options.env, "NAME=VALUE, once for each variable");
  verb.add_flag("-t,--tty", options.tty, "run it in a terminal");
  verb.add_option("-u,--user", options.user, "UID[:GID]");
  verb.add_option("-g,--additional-gids", options.additional_gids, "once for each further group");
  verb.add_option("-p,--process", options.process_file, "process.json that describes it");
  verb.add_flag("-d,--detach", options.detach, "do not wait for its end");
  verb.add_option("--pid-file", options.pid_file, "file to write its pid to");
  verb.add_option("--process-label", parsed.ignored_text, "accepted; SELinux labels mean nothing in the guest");
  verb.add_option("--apparmor", parsed.ignored_text, "accepted; AppArmor profiles mean nothing in the guest");
  verb.add_flag("--no-new-privs", options.no_new_privileges, "no privileges through set-user-id programs");
  verb.add_option("-c,--cap", options.capabilities, "add a capability; once for each");
  verb.add_option("--preserve-fds", parsed.preserve_fds, "descriptors to pass on; only 0 is possible");
  verb.add_option("--cgroup", parsed.ignored_text, "accepted; the process runs in the container's cgroup");
  verb.add_flag("--ignore-paused", options.ignore_paused, "in a paused container: wait until it is resumed");
}

void DeclareUpdate(CLI::App& verb, Parsed& parsed) {
  UpdateOptions& options = parsed.update;
  verb.add_option("-r,--resources", options.resources_file, "file with linux.resources, or - for standard input");
  verb.add_option("--blkio-weight", options.blkio_weight, "10 to 1000");
  verb.add_option("--cpu-period", options.cpu_period, "microseconds");
  verb.add_option("--cpu-quota", options.cpu_quota, "microseconds in each period");
  verb.add_option("--cpu-share", options.cpu_shares, "relative weight");
  verb.add_option("--cpu-rt-period", options.cpu_rt_period, "microseconds");
  verb.add_option("--cpu-rt-runtime", options.cpu_rt_runtime, "microseconds in each period");
  verb.add_option("--cpuset-cpus", options.cpuset_cpus, "list of processors");
  verb.add_option("--cpuset-mems", options.cpuset_mems, "list of memory nodes");
  verb.add_option("--memory", options.memory, "bytes, or with a unit: 512M");
  verb.add_option("--memory-reservation", options.memory_reservation, "bytes, or with a unit");
  verb.add_option("--memory-swap", options.memory_swap, "memory and swap, bytes or with a unit; -1: no limit");
  verb.add_option("--pids-limit", options.pids_limit, "processes and threads");
  verb.add_option("--l3-cache-schema", parsed.ignored_text, "accepted; not for virtual machines");
  verb.add_option("--mem-bw-schema", parsed.ignored_text, "accepted; not for virtual machines");
}

void DeclareRun(CLI::App& verb, Parsed& parsed) {
  DeclareCreate(verb, parsed.run.create, parsed);
  verb.add_flag("-d,--detach", parsed.run.detach, "do not wait for its end");
  verb.add_flag("--keep", parsed.run.keep, "do not delete it after its end");
  verb.add_flag("--no-subreaper", parsed.ignored_flag, "accepted; no process of the container is the caller's");
}

void DeclareNothing(CLI::App&, Parsed&) {}

template <typename Options>
Finished FinishId(Parsed&, const Arguments& arguments) {
  return Options{arguments[0]};
}

template <typename Options>
Finished FinishNothing(Parsed&, const Arguments&) {
  return Options{};
}

Finished FinishCreate(Parsed& parsed, const Arguments& arguments) {
  parsed.create.id = arguments[0];
  return parsed.create;
}

Finished FinishRun(Parsed& parsed, const Arguments& arguments) {
  parsed.run.create.id = arguments[0];
  return parsed.run;
}

Finished FinishKill(Parsed& parsed, const Arguments& arguments) {
  parsed.kill.id = arguments[0];
  if (arguments.size() > 1) parsed.kill.signal = arguments[1];
  return parsed.kill;
}

Finished FinishDelete(Parsed& parsed, const Arguments& arguments) {
  parsed.remove.id = arguments[0];
  return parsed.remove;
}

Finished FinishExec(Parsed& parsed, const Arguments& arguments) {
  parsed.exec.id = arguments[0];
  parsed.exec.args.assign(arguments.begin() + 1, arguments.end());
  return parsed.exec;
}

tl::expected<bool, std::string> IsJson(const std::string& format) {
  if (format == "json" || format == "table") return format == "json";
  return tl::unexpected(std::string("invalid format option"));
}

Finished FinishList(Parsed& parsed, const Arguments&) {
  const auto json = IsJson(parsed.format);
  if (!json) return tl::unexpected(json.error());
  parsed.list.json = *json;
  return parsed.list;
}

Finished FinishPs(Parsed& parsed, const Arguments& arguments) {
  const auto json = IsJson(parsed.format);
  if (!json) return tl::unexpected(json.error());
  return PsOptions{.id = arguments[0], .json = *json, .words = {arguments.begin() + 1, arguments.end()}};
}

Finished FinishBenchmark(Parsed& parsed, const Arguments&) {
  const auto json = IsJson(parsed.format);
  if (!json) return tl::unexpected(json.error());
  if (parsed.benchmark.rounds < 1 || parsed.benchmark.rounds > 1000) {
    return tl::unexpected(std::string("--rounds is between 1 and 1000"));
  }
  parsed.benchmark.json = *json;
  return parsed.benchmark;
}

Finished FinishSetup(Parsed& parsed, const Arguments& arguments) {
  parsed.setup.engine = arguments[0];
  if (parsed.setup.apply && parsed.setup.undo)
    return tl::unexpected(std::string("--apply and --undo exclude each other"));
  return parsed.setup;
}

Finished FinishEvents(Parsed& parsed, const Arguments& arguments) {
  parsed.events.id = arguments[0];
  return parsed.events;
}

Finished FinishUpdate(Parsed& parsed, const Arguments& arguments) {
  parsed.update.id = arguments[0];
  return parsed.update;
}

constexpr std::string_view kContainer = "CONTAINER";

}  // namespace

const std::vector<Verb>& Verbs() {
  static const auto* verbs = new std::vector<Verb>{
      {"create", "make a container, ready to be started", kContainer, 1, 1, /*command_follows=*/false,
       [](CLI::App& verb, Parsed& parsed) { DeclareCreate(verb, parsed.create, parsed); }, FinishCreate},
      {"run", "make a container, start it, and wait for its end", kContainer, 1, 1, /*command_follows=*/false,
       DeclareRun, FinishRun},
      {"start", "start the command of a created container", kContainer, 1, 1, /*command_follows=*/false, DeclareNothing,
       FinishId<StartOptions>},
      {"state", "print the state of a container", kContainer, 1, 1, /*command_follows=*/false, DeclareNothing,
       FinishId<StateOptions>},
      {"kill", "send a signal (SIGTERM) to a container's first process", "CONTAINER [SIGNAL]", 1, 2,
       /*command_follows=*/false,
       [](CLI::App& verb, Parsed& parsed) {
         verb.add_flag("-a,--all", parsed.kill.all, "to all processes in the container");
       },
       FinishKill},
      {"delete", "remove what is left of a container", kContainer, 1, 1, /*command_follows=*/false,
       [](CLI::App& verb, Parsed& parsed) {
         verb.add_flag("-f,--force", parsed.remove.force, "kill it first if it runs");
       },
       FinishDelete},
      {"exec", "run another command in a container", "CONTAINER COMMAND [ARGUMENT...]", 1, SIZE_MAX,
       /*command_follows=*/true, DeclareExec, FinishExec},
      {"events", "print a container's statistics and OOM kills until it ends", kContainer, 1, 1,
       /*command_follows=*/false,
       [](CLI::App& verb, Parsed& parsed) {
         verb.add_option("--interval", parsed.events.interval, "time between two statistics (5s)");
         verb.add_flag("--stats", parsed.events.stats, "print the statistics once, and end");
       },
       FinishEvents},
      {"list", "list the containers", "", 0, 0, /*command_follows=*/false,
       [](CLI::App& verb, Parsed& parsed) {
         verb.add_option("-f,--format", parsed.format, "table or json");
         verb.add_flag("-q,--quiet", parsed.list.quiet, "only their ids");
       },
       FinishList},
      {"ps", "list the processes in a container, in the columns that ps(1)'s options choose (-ef)",
       "CONTAINER [PS-OPTION...]", 1, SIZE_MAX, /*command_follows=*/true,
       [](CLI::App& verb, Parsed& parsed) { verb.add_option("-f,--format", parsed.format, "table or json"); },
       FinishPs},
      {"pause", "stop all processes in a container", kContainer, 1, 1, /*command_follows=*/false, DeclareNothing,
       FinishId<PauseOptions>},
      {"resume", "continue all processes of a paused container", kContainer, 1, 1, /*command_follows=*/false,
       DeclareNothing, FinishId<ResumeOptions>},
      {"update", "change a container's limits", kContainer, 1, 1, /*command_follows=*/false, DeclareUpdate,
       FinishUpdate},
      {"spec", "write a config.json to start from", "", 0, 0, /*command_follows=*/false,
       [](CLI::App& verb, Parsed& parsed) {
         verb.add_option("-b,--bundle", parsed.spec.bundle, "directory to write it to");
         verb.add_flag("--rootless", parsed.spec.rootless, "for a user without privileges");
       },
       [](Parsed& parsed, const Arguments&) -> Finished { return parsed.spec; }},
      {"features", "print what is supported, as JSON", "", 0, 0, /*command_follows=*/false, DeclareNothing,
       FinishNothing<FeaturesOptions>},
      {"check", "say whether and how this machine can run guests", "", 0, 0, /*command_follows=*/false, DeclareNothing,
       FinishNothing<CheckOptions>},
      {"setup", "show what an engine's configuration needs for this runtime, or put it in",
       "docker|podman|containerd|crio", 1, 1, /*command_follows=*/false,
       [](CLI::App& verb, Parsed& parsed) {
         verb.add_flag("--apply", parsed.setup.apply, "change the file; the former text is kept beside it");
         verb.add_flag("--undo", parsed.setup.undo, "take out what --apply has put in");
         verb.add_flag("--default", parsed.setup.make_default, "also make this the engine's default runtime");
         verb.add_option("--file", parsed.setup.file, "the file, if it is not the engine's usual one");
       },
       FinishSetup},
      {"benchmark", "measure the life of containers on this machine", "", 0, 0, /*command_follows=*/false,
       [](CLI::App& verb, Parsed& parsed) {
         verb.add_option("--rounds", parsed.benchmark.rounds, "how often each is measured (5)");
         verb.add_option("--rootfs", parsed.benchmark.rootfs,
                         "directory with true, echo and sleep, not the host's /usr");
         verb.add_option("--beside", parsed.benchmark.beside, "another runtime, such as runc; once for each");
         verb.add_option("-f,--format", parsed.format, "table or json");
       },
       FinishBenchmark},
  };
  return *verbs;
}

}  // namespace kata::runtime
