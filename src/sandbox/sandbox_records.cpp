// SPDX-License-Identifier: Apache-2.0
// The records of a sandbox's containers, and the container in whose directory and cgroups the sandbox is.
#include "base/log.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/sandbox.h"

namespace kata::sandbox {

Result<> Sandbox::OpenRecord(Container& container) const {
  if (parts_.root < 0 || (container.id == parts_.state.id && parts_.directory >= 0)) return {};
  container.record = TRY(parts_.mounts.OnHost([&] { return sandbox::OpenRecord(parts_.root, container.id, state()); }));
  return {};
}

std::shared_ptr<Container> Sandbox::First() const {
  const auto found = containers_.find(parts_.state.id);
  return found != containers_.end() && IsFirst(*found->second) ? found->second : nullptr;
}

State* Sandbox::RecordOf(Container& container) {
  if (container.record) return &container.record->state;
  return IsFirst(container) ? &parts_.state : nullptr;
}

int Sandbox::DirectoryOf(const Container& container) const {
  return container.record ? container.record->directory.get() : parts_.directory;
}

void Sandbox::RefreshState() {
  State& state = parts_.state;
  state.timing = vm().timing().microseconds();
  state.disks |= HasDisks();
  state.helpers.clear();
  for (pid_t pid : vm().Pids()) {
    if (auto helper = IdentifyProcess(pid)) state.helpers.push_back(*helper);
  }
}

Result<> Sandbox::StoreOwn() {
  State& state = parts_.state;
  RefreshState();
  // A stopped record stays stopped, also when the container has been deleted.
  if (const auto first = First(); first && state.status != Status::kStopped) state.status = first->status();
  if (parts_.directory < 0) return {};
  return StoreState(parts_.directory, state);
}

Result<> Sandbox::Store(Container& container) {
  if (!container.record) return StoreOwn();
  RefreshState();
  State& own = container.record->state;
  if (own.status != Status::kStopped) own.status = container.status();
  TakeCommon(state(), own);
  return StoreState(container.record->directory.get(), own);
}

Result<> Sandbox::Store() {
  for (const auto& [id, container] : containers_) {
    if (!container->record) continue;
    if (auto stored = Store(*container); !stored) log::Error("the record of {}: {}", id, stored.error().message());
  }
  return StoreOwn();
}

void Sandbox::FindHome() {
  if (!home_ || ending()) return;
  const auto found = containers_.find(home_->id);
  if (found != containers_.end() && found->second == home_ && home_->status() != Status::kStopped) return;
  std::shared_ptr<Container> heir;
  for (const auto& [id, container] : containers_) {
    if (!container->record || container->record->state.standin.pid <= 0) continue;
    if (container == home_ || container->status() == Status::kStopped) continue;
    // One that is still being created may fail.
    if (!heir || (container->init && !heir->init)) heir = container;
  }
  if (!heir) return;
  auto moved = MoveHome(parts_.mounts, DirectoryOf(*home_), DirectoryOf(*heir), heir->record->state.standin.pid);
  if (!moved) {
    log::Error("the sandbox cannot leave {}: {}", home_->id, moved.error().message());
    return;
  }
  log::Info("the sandbox has moved from {} to {}", home_->id, heir->id);
  home_ = heir;
  const State& state = heir->record->state;
  parts_.host_limits.Move(LeavesOf(state.cgroup_paths), state.systemd_unit, heir->id);
  if (auto limited = LimitHost(); !limited) log::Warn("{}", limited.error().message());
}

}  // namespace kata::sandbox
