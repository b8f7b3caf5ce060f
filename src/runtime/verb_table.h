// SPDX-License-Identifier: Apache-2.0
// The verbs of the command line: names, options, arguments.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/arguments.h"

namespace kata::runtime {

// Where the options of all verbs are stored during parsing.
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
  EventsOptions events;
  ListOptions list;
  UpdateOptions update;
  SpecOptions spec;
  SetupOptions setup;
  BenchmarkOptions benchmark;
};

// One verb.
struct Verb {
  std::string_view name;
  std::string_view description;
  std::string_view arguments;  // the usage line's text for them
  size_t least;                // the minimum number of arguments
  size_t most;                 // the maximum number
  bool command_follows;        // words after the first argument are not parsed: they belong to a command or to ps
  void (*declare)(CLI::App& app, Parsed& parsed);
  // Builds the verb's options from parsed and the arguments, whose number has been checked.
  tl::expected<VerbOptions, std::string> (*finish)(Parsed& parsed, const std::vector<std::string>& arguments);
};

// All verbs except `help`, in the order of the help text.
const std::vector<Verb>& Verbs();

}  // namespace kata::runtime
