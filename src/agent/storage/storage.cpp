// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/storage.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "agent/storage/drivers.h"
#include "agent/storage/overlay.h"
#include "agent/storage/storage_options.h"
#include "base/files.h"
#include "base/log.h"
#include "protocol/guest_contract.h"

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
  // The path leads to the new mount from here on. A bind mount takes its flags only in a second mount(2).
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
  std::unique_ptr<Watched> watched;
  if (driver->name == "watchable-bind") watched = TRY(Context(Watch(storage), "storage driver {}", storage.driver()));
  if (!watched) TRY(Context(driver->make(root_, storage), "storage driver {}", storage.driver()));
  const bool overlay_directories = driver->name == "overlayfs" && HasOverlayDirectories(storage);
  // For a storage below sandbox/ the pod itself is one more user, so that a restarted container finds its data.
  const int users = storage.mount_point().starts_with(root_.path() + "/sandbox/") ? 2 : 1;
  entries_[storage.mount_point()] =
      Entry{identity, driver->mounts, users, next_order_++, overlay_directories, std::move(watched)};
  return {};
}

// Makes the copy of a watchable-bind storage; null if the source is a file or too large to be copied.
Result<std::unique_ptr<Watched>> StorageTable::Watch(const grpc::Storage& storage) {
  auto source = TRY(Context(root_.OpenExisting(storage.source(), O_PATH), "storage {}", storage.mount_point()));
  struct stat status {};
  if (::fstat(source.get(), &status) < 0) return FailErrno("cannot look at {}", storage.source());
  std::unique_ptr<Watched> nothing;
  if (!S_ISDIR(status.st_mode)) return nothing;
  const Watched probe(TRY(OpenBeneath(source.get(), ".", O_PATH | O_DIRECTORY)), UniqueFd());
  if (!TRY(Context(probe.Fits(), "{}", storage.source()))) {
    log::Warn(
        "storage {}: {} is too large to be copied; it is shared as it is, and whether inotify hears what the host "
        "changes depends on the file server: with kata-fsd it does, with a virtiofsd it does not",
        storage.mount_point(), storage.source());
    return nothing;
  }
  const auto place = TRY(root_.MakeDirs(storage.mount_point(), 0755));
  const std::string options =
      fmt::format("size=16m,mode={:o},uid={},gid={}", status.st_mode & 07777, status.st_uid, status.st_gid);
  if (::mount("tmpfs", FdPath(place.get()).c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) < 0) {
    return FailErrno("cannot mount a tmpfs at {}", storage.mount_point());
  }
  auto copied = root_.OpenExisting(storage.mount_point(), O_RDONLY | O_DIRECTORY)
                    .and_then([&](UniqueFd target) -> Result<std::unique_ptr<Watched>> {
                      auto watched = std::make_unique<Watched>(std::move(source), std::move(target));
                      TRY(watched->Update());
                      return watched;
                    });
  if (!copied) (void)Unmount(TRY(root_.Find(storage.mount_point(), /*make_parents=*/false)));
  return copied;
}

bool StorageTable::HasWatched() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const auto& one) { return one.second.watched != nullptr; });
}

bool StorageTable::UpdateWatched() {
  for (auto& [mount_point, entry] : entries_) {
    if (!entry.watched) continue;
    const auto updated = entry.watched->Update();
    const std::string complaint = updated ? "" : updated.error().message();
    // Logs a failure once, not at every update.
    if (!complaint.empty() && complaint != entry.complaint) log::Warn("storage {}: {}", mount_point, complaint);
    entry.complaint = complaint;
  }
  return HasWatched();
}

Result<> StorageTable::Remount(const google::protobuf::RepeatedPtrField<grpc::Storage>& storages) {
  for (const grpc::Storage& storage : storages) {
    const auto found = entries_.find(storage.mount_point());
    if (found == entries_.end() || storage.driver() != contract::kEphemeralDriver || !found->second.mounted) {
      return Fail(Code::kNotFound, "there is no ephemeral storage at {}", storage.mount_point());
    }
    const auto options = ParseStorageOptions({storage.options().begin(), storage.options().end()});
    const auto place = TRY(root_.Find(storage.mount_point(), /*make_parents=*/false));
    if (::mount(nullptr, place.path().c_str(), nullptr, MS_REMOUNT | options.flags, options.data.c_str()) < 0) {
      return FailErrno("cannot give the storage {} the options \"{}\"", storage.mount_point(), options.data);
    }
    found->second.identity = storage.SerializeAsString();
  }
  return {};
}

Result<> StorageTable::Remove(const std::string& mount_point, Entry& entry) {
  entry.watched.reset();  // its descriptor of the copy would keep the file system busy
  const auto place = TRY(root_.Find(mount_point, /*make_parents=*/false));
  if (!entry.mounted) return RemoveTree(place.parent.get(), place.name);
  TRY(Context(Unmount(place), "storage {}", mount_point));
  if (entry.overlay_directories) TRY(RemoveOverlayDirectories(place));
  // Removes the mount point too, unless it is in a file system that the host shares.
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
