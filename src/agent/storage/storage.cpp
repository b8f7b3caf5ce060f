// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/storage.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "agent/storage/drivers.h"
#include "base/files.h"

namespace kata::agent {

Result<> Unmount(const Place& place) {
  const std::string path = place.path();
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EBUSY && ::umount2(path.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) return {};
  return FailErrno("cannot unmount {}", place.name);
}

Result<> BindMount(int source, const Place& target, unsigned long flags, unsigned long propagation) {
  const std::string path = target.path();
  if (::mount(FdPath(source).c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) < 0) {
    return FailErrno("cannot bind-mount to {}", target.name);
  }
  // The path now leads to the new mount. A bind takes its flags only in a second step.
  flags &= ~static_cast<unsigned long>(MS_BIND | MS_REC);
  if ((flags != 0 && ::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | flags, nullptr) < 0) ||
      (propagation != 0 && ::mount(nullptr, path.c_str(), nullptr, propagation, nullptr) < 0)) {
    const int why = errno;
    (void)Unmount(target);
    return FailWith(why, "cannot set the options of the bind mount {}", target.name);
  }
  return {};
}

Result<std::vector<std::string>> StorageTable::Add(const google::protobuf::RepeatedPtrField<grpc::Storage>& storages) {
  std::vector<std::string> added;
  for (const grpc::Storage& storage : storages) {
    auto result = AddOne(storage);
    if (!result) {
      (void)Release(added);
      return tl::unexpected<Error>(std::move(result).error());
    }
    added.push_back(storage.mount_point());
  }
  return added;
}

Result<> StorageTable::AddOne(const grpc::Storage& storage) {
  const StorageDriver* driver = FindStorageDriver(storage.driver());
  if (driver == nullptr) {
    return Fail(Code::kInvalidArgument, "storage {}: the agent has no driver \"{}\"", storage.mount_point(),
                storage.driver());
  }
  const std::string identity = storage.SerializeAsString();
  auto existing = entries_.find(storage.mount_point());
  if (existing != entries_.end()) {
    if (existing->second.identity != identity) {
      return Fail(Code::kAlreadyExists, "storage {}: another storage is mounted there", storage.mount_point());
    }
    ++existing->second.users;
    return {};
  }
  TRY(Context(driver->make(root_, storage), "storage driver {}", storage.driver()));
  entries_[storage.mount_point()] = Entry{identity, driver->mounts, 1, next_order_++};
  return {};
}

Result<> StorageTable::Remove(const std::string& mount_point, const Entry& entry) {
  const auto place = TRY(root_.Find(mount_point, false));
  if (!entry.mounted) return RemoveTree(place.parent.get(), place.name);
  TRY(Context(Unmount(place), "storage {}", mount_point));
  // The mount point was made by the driver, unless it is in a file system that the host shares.
  if (!TRY(root_.Owns(place))) return {};
  if (::unlinkat(place.parent.get(), place.name.c_str(), AT_REMOVEDIR) < 0 && errno == ENOTDIR) {
    (void)::unlinkat(place.parent.get(), place.name.c_str(), 0);
  }
  return {};
}

Result<> StorageTable::Release(const std::vector<std::string>& mount_points) {
  Result<> first;
  for (auto name = mount_points.rbegin(); name != mount_points.rend(); ++name) {
    auto found = entries_.find(*name);
    if (found == entries_.end() || --found->second.users > 0) continue;
    auto removed = Remove(found->first, found->second);
    entries_.erase(found);
    if (!removed && first) first = std::move(removed);
  }
  return first;
}

Result<> StorageTable::ReleaseAll() {
  std::vector<std::pair<uint64_t, std::string>> ordered;
  for (auto& [name, entry] : entries_) {
    entry.users = 1;
    ordered.emplace_back(entry.order, name);
  }
  std::sort(ordered.begin(), ordered.end());
  std::vector<std::string> names;
  names.reserve(ordered.size());
  for (auto& [order, name] : ordered) names.push_back(std::move(name));
  return Release(names);
}

}  // namespace kata::agent
