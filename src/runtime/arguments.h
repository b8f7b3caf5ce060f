// SPDX-License-Identifier: Apache-2.0
// The contents of a command line as plain values, so that the verbs do not depend on its syntax.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "runtime/rootless.h"

namespace kata::runtime {

// The global options, which are runc's.
struct Globals {
  std::string root = DefaultRoot();
  std::string log_path;  // empty: standard error
  log::Format log_format = log::Format::kText;
  bool debug = false;
  bool systemd_cgroup = false;
  std::optional<bool> rootless;  // whether the host may refuse cgroups; unset: it may if this is not the host's root
  std::string config_path;
};

struct CreateOptions {
  std::string id;
  std::string bundle = ".";
  std::string console_socket;
  std::string pid_file;
};

struct RunOptions {
  CreateOptions create;
  bool detach = false;
  bool keep = false;
};

struct StartOptions {
  std::string id;
};

struct StateOptions {
  std::string id;
};

struct KillOptions {
  std::string id;
  std::string signal = "SIGTERM";
  bool all = false;
};

struct DeleteOptions {
  std::string id;
  bool force = false;
};

struct ExecOptions {
  std::string id;
  std::vector<std::string> args;
  std::string process_file;  // --process; if set, args and the options from cwd to tty are ignored
  std::string cwd;
  std::string user;
  std::vector<std::string> env;
  std::vector<uint32_t> additional_gids;
  std::vector<std::string> capabilities;
  bool no_new_privileges = false;
  bool tty = false;
  bool detach = false;
  bool ignore_paused = false;
  std::string pid_file;
  std::string console_socket;
};

struct EventsOptions {
  std::string id;
  std::string interval = "5s";
  bool stats = false;
};

struct ListOptions {
  bool json = false;
  bool quiet = false;
};

struct PsOptions {
  std::string id;
  bool json = false;
  std::vector<std::string> words;  // options for ps(1)
};

struct PauseOptions {
  std::string id;
};

struct ResumeOptions {
  std::string id;
};

// The limits to change. Unset ones keep their values.
struct UpdateOptions {
  std::string id;
  std::string resources_file;  // "-": standard input; if set, the options below are ignored
  std::optional<uint64_t> blkio_weight;
  std::optional<uint64_t> cpu_period;
  std::optional<int64_t> cpu_quota;
  std::optional<uint64_t> cpu_shares;
  std::optional<uint64_t> cpu_rt_period;
  std::optional<int64_t> cpu_rt_runtime;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::string memory;  // bytes, or a number with a unit ("512M"); the same for the next two
  std::string memory_reservation;
  std::string memory_swap;
  std::optional<int64_t> pids_limit;
};

struct SpecOptions {
  std::string bundle;
  bool rootless = false;
};

struct FeaturesOptions {};
struct CheckOptions {};

struct BenchmarkOptions {
  int rounds = 5;
  std::string rootfs;               // empty: one of the host's own programs
  std::vector<std::string> beside;  // other runtimes to measure: names in PATH, or paths
  bool json = false;
};

struct SetupOptions {
  std::string engine;
  bool apply = false;
  bool undo = false;
  bool make_default = false;
  std::string file;  // empty: the engine's own
};

struct VersionOptions {};
struct ConfigPathsOptions {};

// The text to print for --help.
struct HelpOptions {
  std::string text;
};

using VerbOptions = std::variant<CreateOptions, RunOptions, StartOptions, StateOptions, KillOptions, DeleteOptions,
                                 ExecOptions, EventsOptions, ListOptions, PsOptions, PauseOptions, ResumeOptions,
                                 UpdateOptions, SpecOptions, FeaturesOptions, CheckOptions, SetupOptions,
                                 BenchmarkOptions, VersionOptions, ConfigPathsOptions, HelpOptions>;

// One parsed command line.
struct Invocation {
  Globals globals;
  std::string verb;
  VerbOptions options;
};

// Why a command line is invalid, and the correct usage.
struct UsageError {
  Globals globals;  // those parsed before the error, so that the error goes to the requested log
  std::string message;
  std::string usage;
  int exit_status = 1;  // as with runc; 3 for an unknown command
};

// Parses the arguments after the program's name. A verb's options may be anywhere after the verb; those of exec and ps
// only before the container's id, since all words after it belong to the command (Verb::command_follows).
tl::expected<Invocation, UsageError> ParseArguments(const std::vector<std::string>& arguments);

}  // namespace kata::runtime
