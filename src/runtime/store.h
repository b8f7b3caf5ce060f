// SPDX-License-Identifier: Apache-2.0
// The containers of a root, by their directories (sandbox/directory.h) and what is recorded there.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/record/directory.h"
#include "sandbox/record/state.h"

namespace kata::runtime {

// The bundle's config.json as it was when the container was made.
inline constexpr char kSpecCopy[] = "config.json";

// A container's directory, open; state is what it said when it was read.
struct Record {
  std::string id;
  UniqueFd directory;
  sandbox::State state;

  // What is true now (CurrentStatus in sandbox/record/state.h). One whose cgroup on the host somebody has frozen is
  // paused, as with runc.
  sandbox::Status status() const;
  // Whether its processes on the host stand still in a frozen cgroup: they hear no call.
  bool frozen() const;
};

// kFailedPrecondition for one that is frozen() now: a call would wait for whoever thaws it.
Result<> CheckHears(const Record& record);

using sandbox::ClaimDirectory;
using sandbox::OpenDirectory;
using sandbox::RemoveDirectory;

// Opens ROOT/ID and reads its state; without one as FindDirectory.
Result<Record> FindContainer(const std::string& root, const std::string& id);

// Opens ROOT/ID and does not read its state, which is damaged or missing, but finds out what it can (recover.h). A
// directory whose maker died before it began is a container that is creating.
Result<Record> FindDirectory(const std::string& root, const std::string& id);

// All containers, sorted by id; what cannot be read is skipped with a warning. A missing root has none.
Result<std::vector<Record>> ListContainers(const std::string& root);

// The spec that the container was made from, JSON.
Result<std::string> ReadSpecCopy(int directory);

}  // namespace kata::runtime
