// SPDX-License-Identifier: Apache-2.0
#include "agent/pod.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cctype>
#include <string_view>
#include <utility>

#include "agent/hotplug/block_device.h"
#include "agent/reaper.h"
#include "base/coroutine.h"
#include "base/files.h"

namespace kata::agent {

namespace {

constexpr size_t kMaxOoms = 1024;
// The interval of Kata's agent. A check costs next to nothing.
constexpr std::chrono::seconds kWatchInterval{2};

// Syncs the storages that are on disks, each in a child process. Otherwise the unmount would write the data back, and
// would block the agent, which has one thread, for as long.
asio::awaitable<void> WriteBack(const GuestDir& root, std::vector<std::string> mount_points) {
  for (const std::string& point : mount_points) {
    auto directory = root.OpenExisting(point, O_RDONLY | O_DIRECTORY);
    struct stat status {};
    // File systems that are not on a block device have the major number 0.
    if (!directory || ::fstat(directory->get(), &status) != 0 || major(status.st_dev) == 0) continue;
    ForkOptions options{.fds = {-1, -1, -1, directory->get()}};
    auto child = Fork(std::move(options), [] { ::_exit(::syncfs(3) == 0 ? 0 : 1); });
    if (!child) continue;  // the unmount writes back then
    (void)co_await Reaper::Get().Wait(child->Disown());
  }
}

// Unmounts the submounts of a container's shares. The file server announces mounts of the host below the shared
// directory, and the guest's kernel mounts each automatically when its path is first used, but never unmounts it.
// container: the path with which the names of the container's shares begin.
void UnmountShares(const std::string& container) {
  const std::string mounts = ReadFile("/proc/self/mountinfo").value_or("");
  for (size_t at = 0; at < mounts.size();) {
    const size_t end = std::min(mounts.find('\n', at), mounts.size());
    const std::string_view line = std::string_view(mounts).substr(at, end - at);
    at = end + 1;
    // proc(5): the mount point is the fifth field, and the first that can match this path.
    const size_t begin = line.find(" " + container);
    if (begin == std::string_view::npos || line.find(" - virtiofs ") == std::string_view::npos) continue;
    const std::string point(line.substr(begin + 1, line.find(' ', begin + 1) - begin - 1));
    const char next = point.size() > container.size() ? point[container.size()] : '\0';
    if (next == '/' || next == '-') (void)::umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
}

}  // namespace

Result<> CheckId(std::string_view what, std::string_view id) {
  constexpr size_t kLongest = 255;
  const bool good = !id.empty() && id.size() <= kLongest && id != "." && id != ".." &&
                    std::all_of(id.begin(), id.end(), [](unsigned char c) {
                      return c < 0x80 && (std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-' || c == '+');
                    });
  if (good) return {};
  return Fail(Code::kInvalidArgument, "the {} \"{}\" is not one: letters, digits and _ . - + only, at most {}", what,
              id.substr(0, kLongest), kLongest);
}

Pod::Pod(const asio::any_io_executor& executor, GuestDir root, Options options)
    : executor_(executor),
      root_(std::move(root)),
      options_(std::move(options)),
      storages_(root_),
      oom_(executor),
      destruction_(executor) {}

Result<std::shared_ptr<ContainerEntry>> Pod::Reserve(const std::string& id) {
  TRY(CheckId("container id", id));
  if (destroying_) return Fail(Code::kFailedPrecondition, "the sandbox has been destroyed");
  auto& slot = containers_[id];
  if (slot) return Fail(Code::kAlreadyExists, "container {} exists already", id);
  slot = std::make_shared<ContainerEntry>(executor_, id);
  return slot;
}

Result<std::shared_ptr<ContainerEntry>> Pod::Find(const std::string& id) const {
  TRY(CheckId("container id", id));
  const auto found = containers_.find(id);
  if (found == containers_.end()) return Fail(Code::kNotFound, "container {} does not exist", id);
  if (!found->second->container || !found->second->init)
    return Fail(Code::kFailedPrecondition, "container {} is being made or removed", id);
  return found->second;
}

Result<std::shared_ptr<Process>> Pod::FindProcess(const std::string& id, const std::string& exec_id) const {
  const auto entry = TRY(Find(id));
  if (exec_id.empty() || exec_id == id) return entry->init;
  const auto found = entry->execs.find(exec_id);
  if (found == entry->execs.end()) {
    return Fail(Code::kNotFound, "container {} has no process \"{}\"", id, exec_id.substr(0, 255));
  }
  return found->second;
}

void Pod::Forget(const std::string& id, const std::string& exec_id) {
  const auto found = containers_.find(id);
  if (found != containers_.end()) found->second->execs.erase(exec_id);
}

asio::awaitable<Result<std::vector<std::string>>> Pod::AddStorages(
    google::protobuf::RepeatedPtrField<grpc::Storage> storages) {
  for (grpc::Storage& storage : storages) {
    if (!IsDiskDriver(storage.driver())) continue;
    auto disk = co_await WaitForDisk(executor_, storage.driver(), storage.source(), options_.hotplug_timeout);
    CO_TRY_ASSIGN(auto found, Context(std::move(disk), "storage {}", storage.mount_point()));
    storage.set_source(found.path);
  }
  CO_TRY_ASSIGN(auto added, storages_.Add(storages));
  if (!watching_ && storages_.HasWatched()) {
    watching_ = true;
    asio::co_spawn(executor_, WatchStorages(), asio::detached);
  }
  co_return added;
}

asio::awaitable<void> Pod::WatchStorages() {
  asio::steady_timer timer(executor_);
  do {
    timer.expires_after(kWatchInterval);
    co_await timer.async_wait(kAwait);
  } while (storages_.UpdateWatched());
  watching_ = false;
}

asio::awaitable<Result<>> Pod::Remove(std::shared_ptr<ContainerEntry> entry) {
  Result<> first;
  auto note = [&first](Result<> result) {
    if (!result && first) first = std::move(result);
  };
  if (entry->container) {
    // If this fails, the entry stays, so that a second call can try again.
    CO_TRY(co_await entry->container->Destroy());
    co_await WriteBack(root_, entry->storages);
  }
  entry->removed = true;
  entry->container.reset();
  if (entry->init) entry->init->CloseStreams();
  for (auto& [exec_id, process] : entry->execs) process->CloseStreams();
  entry->execs.clear();
  const std::string directory = root_.path() + "/" + entry->id;
  if (entry->rootfs_mounted) {
    auto place = root_.Find(directory + "/rootfs", /*make_parents=*/false);
    if (place) note(Unmount(*place));
    if (place) (void)::unlinkat(place->parent.get(), place->name.c_str(), AT_REMOVEDIR);
  }
  if (auto place = root_.Find(directory, /*make_parents=*/false)) {
    (void)::unlinkat(place->parent.get(), place->name.c_str(), AT_REMOVEDIR);
  }
  note(storages_.Release(entry->storages));
  entry->storages.clear();
  containers_.erase(entry->id);
  // Only as PID 1: otherwise, as in tests, the kernel is not the guest's own.
  if (!destroying_ && ::getpid() == 1) {
    UnmountShares(root_.path() + "/shared/containers/" + entry->id);
    asio::co_spawn(executor_, DropCachedNames(), asio::detached);
  }
  co_return first;
}

// Drops the kernel's unused dentries and inodes. Each cached inode of virtio-fs takes memory of the file server, or
// keeps a file of the host open, and those of a removed container are not needed any more. The kernel can only drop all
// unused entries at once, which may take long: so a child process does it.
asio::awaitable<void> Pod::DropCachedNames() {
  drop_names_ = true;
  if (std::exchange(dropping_names_, true)) co_return;
  while (std::exchange(drop_names_, false)) {
    auto child = Fork({}, [] {
      const int file = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
      ::_exit(file >= 0 && ::write(file, "2", 1) == 1 ? 0 : 1);
    });
    if (child) (void)co_await Reaper::Get().Wait(child->Disown());
  }
  dropping_names_ = false;
}

asio::awaitable<Result<>> Pod::Destroy() {
  destroying_ = true;
  Result<> first;
  // Iterates over a copy, because Remove suspends and the map changes meanwhile.
  const auto containers = containers_;
  for (const auto& [id, entry] : containers) {
    if (entry->container) (void)entry->container->SignalAll(SIGKILL);
  }
  for (const auto& [id, entry] : containers) {
    auto guard = co_await entry->lock.Acquire();
    if (entry->removed) continue;
    auto removed = co_await Remove(entry);
    if (!removed && first) first = std::move(removed);
  }
  auto released = storages_.ReleaseAll();
  if (!released && first) first = std::move(released);
  if (namespaces_.pause.running()) {
    // The init of a pid namespace exits only when all processes in it have been reaped, and some of them are children
    // of the agent, which the Reaper reaps in the event loop. A blocking wait here would be a deadlock.
    (void)namespaces_.pause.Signal(SIGKILL);
    (void)co_await Reaper::Get().Wait(namespaces_.pause.Disown());
  }
  namespaces_ = SharedNamespaces();
  ::sync();
  destroyed_ = true;
  destruction_.Notify();
  co_return first;
}

asio::awaitable<void> Pod::Destroyed() {
  while (!destroyed_) co_await destruction_.Wait();
}

void Pod::ReportOom(const std::string& id) {
  if (ooms_.size() < kMaxOoms) ooms_.push_back(id);
  oom_.Notify();
}

asio::awaitable<std::string> Pod::NextOom() {
  while (ooms_.empty()) co_await oom_.Wait();
  std::string id = std::move(ooms_.front());
  ooms_.pop_front();
  co_return id;
}

}  // namespace kata::agent
