// SPDX-License-Identifier: Apache-2.0
// The pod inside the guest: all its containers and their processes, its storages and its shared namespaces.
#pragma once

#include <sys/stat.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/container/container.h"
#include "agent/namespaces.h"
#include "agent/options.h"
#include "agent/process.h"
#include "agent/storage/guest_dir.h"
#include "agent/storage/storage.h"
#include "base/coroutine.h"
#include "base/result.h"

namespace kata::agent {

// One container and the resources that were made for it. A call that changes the entry must hold `lock`, and must
// check `removed` after it has acquired the lock: another call may have removed the container in the meantime.
struct ContainerEntry {
  ContainerEntry(const asio::any_io_executor& executor, std::string its_id) : id(std::move(its_id)), lock(executor) {}

  std::string id;
  Lock lock;
  std::unique_ptr<Container> container;  // null while the container is being made
  std::shared_ptr<Process> init;
  std::map<std::string, std::shared_ptr<Process>> execs;  // by exec id
  std::vector<std::string> storages;                      // mount points, for StorageTable::Release
  bool rootfs_mounted = false;                            // the rootfs has a bind mount that Remove must unmount
  bool removed = false;
};

// The state that all services share. Used from the executor's thread only.
class Pod {
 public:
  Pod(const asio::any_io_executor& executor, GuestDir root, Options options);

  asio::any_io_executor executor() const { return executor_; }
  const GuestDir& root() const { return root_; }
  const Options& options() const { return options_; }
  StorageTable& storages() { return storages_; }
  SharedNamespaces& namespaces() { return namespaces_; }

  // Does StorageTable::Add. First waits until each disk among the storages is plugged in, at most
  // Options::hotplug_timeout for each (kNotFound). Copies of watchable-bind storages are updated periodically from
  // then on.
  asio::awaitable<Result<std::vector<std::string>>> AddStorages(
      google::protobuf::RepeatedPtrField<grpc::Storage> storages);

  // Adds an empty entry, which claims the id for a container that is about to be made. kAlreadyExists: the id is in
  // use. kInvalidArgument: the id fails CheckId. kFailedPrecondition: Destroy has begun.
  Result<std::shared_ptr<ContainerEntry>> Reserve(const std::string& id);
  // kNotFound: no such container. kFailedPrecondition: it is being made or removed. kInvalidArgument: bad id.
  Result<std::shared_ptr<ContainerEntry>> Find(const std::string& id) const;
  // Finds a process of container id. The container's init has the container's id or an empty exec_id. Errors of Find;
  // kNotFound: no such process.
  Result<std::shared_ptr<Process>> FindProcess(const std::string& id, const std::string& exec_id) const;
  // Drops an exec'ed process whose status and output have been answered. Does nothing if there is none.
  void Forget(const std::string& id, const std::string& exec_id);

  // Kills the container's processes, releases everything that was made for it, and drops the entry. The caller holds
  // entry->lock. If the processes or the cgroup cannot be removed, returns that error at once and keeps the entry, so
  // that another call can try again. After any later error it goes on and returns the first one.
  asio::awaitable<Result<>> Remove(std::shared_ptr<ContainerEntry> entry);
  // Removes every container, storage and shared namespace; Reserve fails from then on. Goes on after an error and
  // returns the first one.
  asio::awaitable<Result<>> Destroy();
  // Returns when a call of Destroy has finished.
  asio::awaitable<void> Destroyed();

  // Queues the id of a container in which the OOM killer has killed a process. At most 1024 ids wait; more are dropped.
  void ReportOom(const std::string& id);
  // Waits for the next id and takes it off the queue.
  asio::awaitable<std::string> NextOom();

  // Devices that no container may access, in addition to the guest's root device; see ContainerOptions.
  std::vector<ProtectedDevice> protected_devices;

 private:
  asio::awaitable<void> WatchStorages();
  asio::awaitable<void> DropCachedNames();

  asio::any_io_executor executor_;
  GuestDir root_;
  Options options_;
  StorageTable storages_;
  SharedNamespaces namespaces_;
  std::map<std::string, std::shared_ptr<ContainerEntry>> containers_;
  std::deque<std::string> ooms_;
  Condition oom_;
  Condition destruction_;
  bool destroying_ = false;  // Destroy has begun
  bool destroyed_ = false;
  bool watching_ = false;        // WatchStorages runs
  bool dropping_names_ = false;  // DropCachedNames runs
  bool drop_names_ = false;      // DropCachedNames must make one more round
};

// kInvalidArgument unless id can safely become a component of a path: 1 to 255 bytes of letters, digits and "_.-+",
// and neither "." nor "..". what names the kind of id in the message.
Result<> CheckId(std::string_view what, std::string_view id);

}  // namespace kata::agent
