// SPDX-License-Identifier: Apache-2.0
#include "runtime/rootless.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/user_namespace.h"
#include "sandbox/record/directory.h"

namespace kata::runtime {
namespace {

// Whether the namespace has the id.
bool Has(const IdMap& map, uint64_t id) {
  return std::any_of(map.begin(), map.end(),
                     [=](const IdMapping& one) { return id >= one.inside && id < uint64_t{one.inside} + one.size; });
}

// Looks for the first and the last id of each mapping, which several of the namespace may cover.
Result<> Check(const char* name, const google::protobuf::RepeatedPtrField<grpc::LinuxIDMapping>& wanted,
               const IdMap& map) {
  for (const grpc::LinuxIDMapping& one : wanted) {
    const uint64_t last = uint64_t{one.hostid()} + one.size() - 1;
    if (one.size() == 0 || (Has(map, one.hostid()) && Has(map, last))) continue;
    return Fail(Code::kInvalidArgument,
                "linux.{}: this user namespace lacks an id from {} on (hostID): write it for the ids that it has, as "
                "`kata-runtime spec --rootless` does when it is called there",
                name, one.hostid());
  }
  return {};
}

}  // namespace

std::string DefaultRoot() {
  const char* directory = getenv("XDG_RUNTIME_DIR");
  if (directory == nullptr || *directory != '/' || IsHostsRoot()) return sandbox::kDefaultRoot;
  const char* user = getenv("USER");
  if (geteuid() == 0 && user != nullptr && std::string_view(user) == "root") return sandbox::kDefaultRoot;
  return std::string(directory) + "/kata";
}

sandbox::CgroupUse CgroupUseOf(std::optional<bool> rootless) {
  return rootless.value_or(!IsHostsRoot()) ? sandbox::CgroupUse::kIfAllowed : sandbox::CgroupUse::kRequired;
}

Result<> CheckMappings(const grpc::Linux& linux) {
  if (IsHostsRoot()) return {};
  TRY(Check("uidMappings", linux.uidmappings(), TRY(OwnUids())));
  return Check("gidMappings", linux.gidmappings(), TRY(OwnGids()));
}

void KeepDefaultRoot(const std::string& root) {
  if (root == sandbox::kDefaultRoot || root != DefaultRoot()) return;
  // Without it the state may go while the container lives, which is no reason not to start.
  (void)chmod(root.c_str(), 0700 | S_ISVTX);
}

}  // namespace kata::runtime
