// SPDX-License-Identifier: Apache-2.0
// The durations of the phases of a start, for the log, state.json and the benchmarks.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "base/log.h"

namespace kata::sandbox {

enum class Phase {
  kConfig,      // reading configuration and bundle
  kFileServer,  // until the file server's socket is connected
  kVmm,         // until the VMM has accepted its configuration
  kKernel,      // from there until the guest's init prints its first line: firmware and kernel
  kAgent,       // from there until the agent answers
  kSandbox,     // CreateSandbox, after the agent's first answer
  kContainer,   // CreateContainer
  kStart,       // StartContainer
};

inline const char* PhaseName(Phase phase) {
  static constexpr const char* kNames[] = {"config", "file_server", "vmm",       "kernel",
                                           "agent",  "sandbox",     "container", "start"};
  return kNames[static_cast<int>(phase)];
}

class Timing {
 public:
  using Clock = std::chrono::steady_clock;

  // Stores the duration of a phase, and logs it.
  void Record(Phase phase, Clock::time_point began, Clock::time_point ended = Clock::now()) {
    int64_t took = std::chrono::duration_cast<std::chrono::microseconds>(ended - began).count();
    microseconds_[PhaseName(phase)] = took;
    log::Debug("phase {} took {} us", PhaseName(phase), took);
  }
  // Durations by the names of the phases.
  const std::map<std::string, int64_t>& microseconds() const { return microseconds_; }

 private:
  std::map<std::string, int64_t> microseconds_;
};

}  // namespace kata::sandbox
