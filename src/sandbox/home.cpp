// SPDX-License-Identifier: Apache-2.0
#include "sandbox/home.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "base/process_table.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/record/directory.h"

namespace kata::sandbox {
namespace {

// This process first: what it starts from then on is in its cgroups.
std::vector<pid_t> WithDescendants(pid_t pid) {
  std::vector<pid_t> all = {pid};
  for (size_t next = 0; next < all.size(); ++next) {
    const std::vector<pid_t> children = ChildrenOf(all[next]);
    all.insert(all.end(), children.begin(), children.end());
  }
  return all;
}

Result<> MoveProcesses(pid_t standin) {
  const std::vector<std::string> cgroups = TRY(CgroupsOf(standin));
  TRY(EnterCgroups(cgroups, getpid()));
  for (const pid_t pid : WithDescendants(getpid())) TRY(EnterCgroups(cgroups, pid));
  return {};
}

}  // namespace

Result<ContainerRecord> OpenRecord(int root, const std::string& id, const State& sandbox) {
  ContainerRecord record;
  record.directory =
      TRY(Context(OpenBeneath(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), "the directory of the container {}", id));
  record.state = TRY(LoadState(record.directory.get()));
  if (record.state.id != id || record.state.status != Status::kCreating) {
    return Fail(Code::kInvalidArgument, "the directory of the container {} is not of one that is being created", id);
  }
  TakeCommon(sandbox, record.state);
  return record;
}

void TakeCommon(const State& sandbox, State& state) {
  state.sandbox = sandbox.sandbox;
  state.sandbox_id = sandbox.sandbox_id;
  state.helpers = sandbox.helpers;
  state.network = sandbox.network;
  state.timing = sandbox.timing;
  state.disks = sandbox.disks;
  state.failure = sandbox.failure;
}

Result<> MoveHome(const MountNamespaces& spaces, int from, int to, pid_t standin) {
  // In the host's namespace, where it is no mount point: there it may be renamed, and the mount stays on it. To remove
  // it would take the mount away in every namespace.
  TRY(spaces.OnHost([&]() -> Result<> {
    if (renameat(from, kSharedFiles, to, kSharedFiles) == 0) return {};
    return FailErrno("cannot move {}/ to another container's directory", kSharedFiles);
  }));
  auto moved = spaces.OnHost([standin] { return MoveProcesses(standin); });
  if (!moved) log::Warn("the sandbox stays in the cgroups of a container that has ended: {}", moved.error().message());
  return {};
}

}  // namespace kata::sandbox
