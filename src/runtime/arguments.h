// SPDX-License-Identifier: Apache-2.0
// What a command line asks for, as plain values: the verbs know nothing of how it was written.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "sandbox/record/directory.h"

namespace kata::runtime {

// runc's global options.
struct Globals {
  std::string root = sandbox::kDefaultRoot;
  std::string log_path;  // empty: standard error
  log::Format log_format = log::Format::kText;
  bool debug = false;
  bool systemd_cgroup = false;
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
  std::string process_file;  // --process; the options below, but the last four, then count for nothing
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

struct ListOptions {
  bool json = false;
  bool quiet = false;
};

struct PsOptions {
  std::string id;
  bool json = false;
  std::vector<std::string> words;  // options of ps(1)
};

struct PauseOptions {
  std::string id;
};

struct ResumeOptions {
  std::string id;
};

// Limits to change; those that are unset stay as they are.
struct UpdateOptions {
  std::string id;
  std::string resources_file;  // "-" is standard input; the other options then count for nothing
  std::optional<uint64_t> blkio_weight;
  std::optional<uint64_t> cpu_period;
  std::optional<int64_t> cpu_quota;
  std::optional<uint64_t> cpu_shares;
  std::optional<uint64_t> cpu_rt_period;
  std::optional<int64_t> cpu_rt_runtime;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::string memory;  // bytes, or a number with a unit: 512M
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
struct VersionOptions {};
struct ConfigPathsOptions {};

// Text that was asked for with --help.
struct HelpOptions {
  std::string text;
};

using VerbOptions =
    std::variant<CreateOptions, RunOptions, StartOptions, StateOptions, KillOptions, DeleteOptions, ExecOptions,
                 ListOptions, PsOptions, PauseOptions, ResumeOptions, UpdateOptions, SpecOptions, FeaturesOptions,
                 CheckOptions, VersionOptions, ConfigPathsOptions, HelpOptions>;

// One command line.
struct Invocation {
  Globals globals;
  std::string verb;
  VerbOptions options;
};

// Why a command line cannot be understood, and how it should have been written.
struct UsageError {
  Globals globals;  // as far as they were understood, so that the error reaches the log
  std::string message;
  std::string usage;
  int exit_status = 1;  // runc's: 3 for an unknown command
};

// Understands the arguments after the program's name. A verb's options stand anywhere after it; those of exec and ps
// only before the container, since what follows belongs to the command (Verb::command_follows).
tl::expected<Invocation, UsageError> ParseArguments(const std::vector<std::string>& arguments);

}  // namespace kata::runtime
