// SPDX-License-Identifier: Apache-2.0
// The containers of a root directory: their directories (sandbox/record/directory.h) and their records.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/record/directory.h"
#include "sandbox/record/state.h"

namespace kata::runtime {

// The copy of the bundle's config.json from the time of `create`.
inline constexpr char kSpecCopy[] = "config.json";

// A container's open directory, and the state that was read from it.
struct Record {
  std::string id;
  UniqueFd directory;
  sandbox::State state;

  // The current status (CurrentStatus in sandbox/record/state.h). A container whose cgroup on the host is frozen counts
  // as paused, as with runc.
  sandbox::Status status() const;
  // Whether its processes on the host are in a frozen cgroup at present: they cannot answer calls.
  bool frozen() const;
};

// kFailedPrecondition: the container is frozen(), so a call would block until it is thawed.
Result<> CheckHears(const Record& record);

using sandbox::ClaimDirectory;
using sandbox::OpenDirectory;
using sandbox::RemoveDirectory;

// Opens ROOT/ID and reads its state; without a state file, as FindDirectory. kNotFound: no such container;
// kInvalidArgument: the state is damaged.
Result<Record> FindContainer(const std::string& root, const std::string& id);

// Opens ROOT/ID without reading its state, which is damaged or missing, and recovers what it can (recover.h). If the
// creating process died before it started a sandbox process, the container's status is creating.
Result<Record> FindDirectory(const std::string& root, const std::string& id);

// All containers, sorted by id. Skips with a warning those that cannot be read. Empty if root does not exist.
Result<std::vector<Record>> ListContainers(const std::string& root);

// The config.json that the container was created from.
Result<std::string> ReadSpecCopy(int directory);

}  // namespace kata::runtime
