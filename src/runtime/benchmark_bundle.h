// SPDX-License-Identifier: Apache-2.0
// Bundles for `benchmark` that need no image: their programs are the host's.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::runtime {

// Where the programs true, echo and sleep of a benchmark come from.
struct BenchmarkRootfs {
  struct Bind {
    std::string source;  // absolute, on the host; mounted read-only at the same path
  };
  std::string path;
  std::vector<Bind> binds;
};

// Uses the root file system in `given`, or, if that is empty, makes one in directory that has no more than the host's
// directories of programs and libraries (/usr, and /bin, /lib and so on, or their links). kNotFound: it has no
// /bin/true, /bin/echo or /bin/sleep; the message names --rootfs.
Result<BenchmarkRootfs> MakeBenchmarkRootfs(const std::string& directory, const std::string& given);

// Makes directory/name with a config.json like that of `spec`, which runs the command without a terminal. Returns its
// path.
Result<std::string> MakeBenchmarkBundle(const std::string& directory, const std::string& name,
                                        const BenchmarkRootfs& rootfs, const std::vector<std::string>& command);

}  // namespace kata::runtime
