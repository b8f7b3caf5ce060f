// SPDX-License-Identifier: Apache-2.0
// The measured lives of containers under one runtime: this program or another one with runc's command line.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/interrupts.h"
#include "base/result.h"

namespace kata::runtime {

using Milliseconds = std::chrono::duration<double, std::milli>;

// A named figure; their order is that of the report.
template <typename Value>
using Figures = std::vector<std::pair<std::string, Value>>;

// The middle one, or the mean of the two in the middle; values must not be empty.
double Median(std::vector<double> values);

// A runtime under measurement. A call that the runtime fails is an error with what it printed; kAborted: a signal has
// come, and what was made has been removed.
class MeasuredRuntime {
 public:
  // command: the program with its global options, --root among them, whose directory is root.
  MeasuredRuntime(std::string name, std::vector<std::string> command, std::string root, const Interrupts& interrupts)
      : name_(std::move(name)), command_(std::move(command)), root_(std::move(root)), interrupts_(interrupts) {}

  const std::string& name() const { return name_; }

  // Medians in milliseconds: "run true", "run echo, to its first output", "exec true", "state", "delete".
  Result<Figures<double>> Lives(const std::string& run_true, const std::string& run_echo, const std::string& sleep,
                                int rounds) const;
  // Of this program only: medians in milliseconds of the phases of `run echo`, and the whole.
  Result<Figures<double>> Phases(const std::string& run_echo, int rounds) const;
  // Of this program only: KiB of PSS of each process of one sleeping container.
  Result<Figures<uint64_t>> Memory(const std::string& sleep) const;

 private:
  class Sleeping;

  Result<Milliseconds> Call(std::vector<std::string> arguments, bool to_first_output = false) const;

  std::string name_;
  std::vector<std::string> command_;
  std::string root_;
  const Interrupts& interrupts_;
};

}  // namespace kata::runtime
