// SPDX-License-Identifier: Apache-2.0
// The pod inside the guest: its containers and their processes, its storages and its shared namespaces.
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

// One container, with what was made for it. Whoever changes it holds the lock and looks at `removed` after getting it.
struct ContainerEntry {
  ContainerEntry(const asio::any_io_executor& executor, std::string its_id) : id(std::move(its_id)), lock(executor) {}

  std::string id;
  Lock lock;
  std::unique_ptr<Container> container;  // none until it is made
  std::shared_ptr<Process> init;
  std::map<std::string, std::shared_ptr<Process>> execs;
  std::vector<std::string> storages;
  bool rootfs_mounted = false;
  bool removed = false;
};

// Everything that the services work on.
class Pod {
 public:
  Pod(const asio::any_io_executor& executor, GuestDir root, Options options);

  asio::any_io_executor executor() const { return executor_; }
  const GuestDir& root() const { return root_; }
  const Options& options() const { return options_; }
  StorageTable& storages() { return storages_; }
  SharedNamespaces& namespaces() { return namespaces_; }

  // As StorageTable::Add; a disk among them is waited for until it is plugged in, and a source that is watched is
  // looked at from then on.
  asio::awaitable<Result<std::vector<std::string>>> AddStorages(
      google::protobuf::RepeatedPtrField<grpc::Storage> storages);

  // An entry for a container that is about to be made. kAlreadyExists, or kInvalidArgument for an id that is no name.
  Result<std::shared_ptr<ContainerEntry>> Reserve(const std::string& id);
  // kNotFound when there is none, kFailedPrecondition while it is being made.
  Result<std::shared_ptr<ContainerEntry>> Find(const std::string& id) const;
  // The process called exec_id; the init's id is the container's, or empty. kNotFound.
  Result<std::shared_ptr<Process>> FindProcess(const std::string& id, const std::string& exec_id) const;
  // Drops an exec'ed process that nobody will ask about again.
  void Forget(const std::string& id, const std::string& exec_id);

  // Ends the container's processes and takes back everything that was made for it, then forgets it. The caller holds
  // the lock. Goes on after an error, and returns the first.
  asio::awaitable<Result<>> Remove(std::shared_ptr<ContainerEntry> entry);
  // Removes every container and storage.
  asio::awaitable<Result<>> Destroy();
  // Returns when Destroy has been done.
  asio::awaitable<void> Destroyed();

  // Queues the id of a container that lost a process for want of memory, and waits for one.
  void ReportOom(const std::string& id);
  asio::awaitable<std::string> NextOom();

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
  bool destroying_ = false;  // no new containers
  bool destroyed_ = false;
  bool watching_ = false;  // WatchStorages runs
  bool dropping_names_ = false;
  bool drop_names_ = false;  // again
};

// kInvalidArgument unless id is a name that may become part of a path: letters, digits and "_.-+" only, at most
// 255 bytes.
Result<> CheckId(std::string_view what, std::string_view id);

}  // namespace kata::agent
