// SPDX-License-Identifier: Apache-2.0
// The command line of kata-fsd: that of QEMU's virtiofsd, as far as this project uses it (hypervisor/file_server.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "fsd/cache.h"

namespace kata::fsd {

struct Options {
  std::string source;               // -o source=DIR: the directory that is shared
  int listener = -1;                // --fd=N: a listening unix socket on which the VMM connects
  uint64_t max_files = 0;           // --rlimit-nofile=N: how many files may be open; 0: as many as now
  Cache cache = Cache::kAuto;       // -o cache=none|auto|always
  std::optional<uint64_t> timeout;  // -o timeout=SECONDS: how long names and attributes are believed
  unsigned threads = 2;             // --thread-pool-size=N: threads; fewer than 2 count as 2
  bool announce_submounts = false;  // -o announce_submounts: each mount has a st_dev of its own in the guest
  bool readdirplus = true;          // -o readdirplus, no_readdirplus: list directories with their files' attributes
  log::Level level = log::Level::kInfo;  // -o log_level=err|warn|info|debug
  bool version = false;                  // --version: say it, and end
};

// Parses the words after the program's name. kInvalidArgument: a word or a value that is not known, or what is needed
// is missing. What virtiofsd could do and kata-fsd does not is not known here; what it would only be told not to do is
// accepted, and so is what kata-fsd does always.
Result<Options> ParseOptions(std::span<char* const> words);

}  // namespace kata::fsd
