// SPDX-License-Identifier: Apache-2.0
#include "runtime/join.h"

#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "oci/pod.h"

namespace kata::runtime {
namespace {

struct Inode {
  dev_t device = 0;
  ino_t number = 0;
  bool operator==(const Inode&) const = default;
};

std::optional<Inode> InodeOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return Inode{info.st_dev, info.st_ino};
}

std::optional<Inode> NetworkOf(const Record& record) {
  return InodeOf(fmt::format("/proc/{}/ns/net", record.state.standin.pid));
}

// A container whose sandbox is to be found in the records.
class Search {
 public:
  Search(std::vector<Record> records, const oci::Bundle& bundle) : records_(std::move(records)), bundle_(bundle) {}

  Result<std::optional<Record>> Run() {
    TRY(LookAtAnnotations());
    const auto& namespaces = bundle_.spec.linux().namespaces();
    for (int i = 0; i < namespaces.size(); ++i) {
      if (!namespaces[i].path().empty()) TRY(LookAtPath(i, namespaces[i]));
    }
    if (found_ == nullptr) return std::nullopt;
    TRY(CheckNetwork());
    return std::move(*found_);
  }

 private:
  // A container that can be joined: it runs, and its sandbox is not containerd's.
  static bool Runs(const Record& record) {
    const sandbox::Status status = sandbox::CurrentStatus(record.state);
    return record.state.socket.empty() && IsAlive(record.state.standin) && status != sandbox::Status::kStopped &&
           status != sandbox::Status::kCreating;
  }

  Result<> LookAtAnnotations() {
    const oci::PodRole role = TRY(oci::PodRoleOf(bundle_.annotations));
    if (role.type != oci::ContainerType::kContainer) return {};
    const auto first =
        std::find_if(records_.begin(), records_.end(), [&](const Record& record) { return record.id == role.sandbox; });
    if (first == records_.end()) return {};
    if (!Runs(*first)) {
      return Fail(Code::kFailedPrecondition, "the pod's first container {} does not run: start it before others",
                  role.sandbox);
    }
    return Found(*first, "the annotations", "the pod");
  }

  Result<> LookAtPath(int index, const grpc::LinuxNamespace& space) {
    const pid_t pid = oci::PidInPath(space);
    const auto named = std::find_if(records_.begin(), records_.end(), [&](const Record& record) {
      return pid > 0 && record.state.standin.pid == pid && Runs(record);
    });
    if (named != records_.end()) return Found(*named, fmt::format("linux.namespaces[{}].path", index), space.type());
    if (space.type() != "network") {
      if (oci::IsOfPod(bundle_.spec)) return {};
      return tl::unexpected(oci::CannotJoin(index, space));
    }
    // The host's network is in many containers' specs, and is no sandbox's.
    const auto network = InodeOf(space.path());
    if (!network || network == InodeOf("/proc/self/ns/net")) return {};
    const auto with = std::find_if(records_.begin(), records_.end(),
                                   [&](const Record& record) { return Runs(record) && NetworkOf(record) == network; });
    if (with == records_.end()) return {};
    return Found(*with, fmt::format("linux.namespaces[{}].path", index), space.type());
  }

  Result<> Found(Record& record, const std::string& where, const std::string& what) {
    log::Debug("{}: {} of {}", where, what, record.id);
    if (found_ == nullptr) found_ = &record;
    if (found_->state.sandbox == record.state.sandbox) return {};
    return Fail(Code::kInvalidArgument,
                "{}: {} of {} is in another virtual machine than {}: a container can only join containers of one",
                where, what, record.id, found_->id);
  }

  // The guest has one network.
  Result<> CheckNetwork() {
    const auto theirs = NetworkOf(*found_);
    for (const grpc::LinuxNamespace& space : bundle_.spec.linux().namespaces()) {
      if (space.type() != "network") continue;
      if (!space.path().empty() && theirs && InodeOf(space.path()) == theirs) return {};
      return Fail(
          Code::kInvalidArgument,
          "the container is to join {} and have another network, but containers of one virtual machine share its "
          "network: let it join that, too (--network container:{})",
          found_->id, found_->id);
    }
    if (theirs && theirs == InodeOf("/proc/self/ns/net")) return {};
    return Fail(
        Code::kInvalidArgument,
        "the container is to join {} and have the host's network, but containers of one virtual machine share its "
        "network: let it join that, too (--network container:{})",
        found_->id, found_->id);
  }

  std::vector<Record> records_;
  const oci::Bundle& bundle_;
  Record* found_ = nullptr;
};

bool AsksForNone(const oci::Bundle& bundle) {
  const auto& namespaces = bundle.spec.linux().namespaces();
  return !oci::IsOfPod(bundle.spec) &&
         std::all_of(namespaces.begin(), namespaces.end(), [](const auto& space) { return space.path().empty(); });
}

}  // namespace

Result<std::optional<Record>> FindSandbox(const std::string& root, const oci::Bundle& bundle) {
  if (AsksForNone(bundle)) return std::nullopt;
  return Search(TRY(ListContainers(root)), bundle).Run();
}

}  // namespace kata::runtime
