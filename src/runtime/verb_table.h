// SPDX-License-Identifier: Apache-2.0
// The verbs as the command line knows them: name, options, arguments.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/arguments.h"

namespace kata::runtime {

// The struct into which the options are parsed.
struct Parsed {
  bool help = false;
  uint64_t preserve_fds = 0;
  std::string format = "table";
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

// One verb.
struct Verb {
  std::string_view name;
  std::string_view description;
  std::string_view arguments;  // for the usage line
  size_t least;                // how many arguments it takes
  size_t most;
  bool command_follows;  // from the first argument on, what looks like an option is the command's in the container
  void (*declare)(CLI::App& app, Parsed& parsed);
  // The options with the arguments, whose number is right.
  tl::expected<VerbOptions, std::string> (*finish)(Parsed& parsed, const std::vector<std::string>& arguments);
};

// All of them, in the order of the help. `help` is not among them.
const std::vector<Verb>& Verbs();

}  // namespace kata::runtime
