// SPDX-License-Identifier: Apache-2.0
#include "sandbox/vm.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <limits>
#include <optional>

#include "base/child.h"
#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"
#include "base/process_table.h"
#include "base/text.h"
#include "sandbox/record/state.h"

namespace kata::sandbox {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// For agent calls that only touch the guest's memory.
constexpr milliseconds kCallTime = seconds(10);
constexpr milliseconds kDestroyTime = seconds(1);
// When one part dies, the others follow. Conclude waits this long to learn which of them died first.
constexpr milliseconds kCauseDelay{300};
constexpr milliseconds kExplainDelay = seconds(2);
// Time for the VMM to exit after SIGKILL; only a host in trouble needs more.
constexpr milliseconds kVmExitDelay = seconds(5);
constexpr milliseconds kKillTime{5000};
constexpr milliseconds kLongKillTime{15000};
// The file server and its children exit by themselves when the VMM has gone; time allowed for that.
constexpr milliseconds kFileServerExitDelay{500};

// A descriptor that becomes readable when somebody sets the host's clock, or when the host wakes from a suspend
// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). It tells once for each read.
Result<UniqueFd> WatchClock() {
  UniqueFd timer(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<time_t>::max();
  constexpr int kFlags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
  if (!timer || timerfd_settime(timer.get(), kFlags, &never, nullptr) != 0) return FailErrno("the host's clock");
  return timer;
}

// Names those of the processes and of their children (the file server serves in a child) that SIGSTOP or a debugger
// holds: "; process 7 (kata-fsd) is stopped".
std::string HeldProcesses(const std::vector<pid_t>& pids) {
  std::string text;
  for (pid_t pid : pids) {
    std::vector<pid_t> family{pid};
    const std::vector<pid_t> children = ChildrenOf(pid);
    family.insert(family.end(), children.begin(), children.end());
    for (pid_t member : family) {
      auto name = ReadFile(fmt::format("/proc/{}/comm", member));
      if (!IsHeld(member) || !name) continue;
      while (name->ends_with('\n')) name->pop_back();
      text += fmt::format("; process {} ({}) is stopped", member, ForeignText(*name));
    }
  }
  return text;
}

}  // namespace

Vm::Vm(const asio::any_io_executor& executor, VmParts parts)
    : executor_(executor),
      parts_(std::move(parts)),
      vm_settled_(executor),
      settled_(executor),
      failed_(executor),
      cause_known_(executor),
      vm_exited_(executor),
      file_server_exited_(executor),
      stopped_(executor),
      clock_(executor) {}

Effort Vm::Look() const {
  Effort effort = EffortOf(Pids());
  effort.said = parts_.hypervisor->ConsoleBytes();
  return effort;
}

Patience Vm::PatienceFor(milliseconds time, std::string key) const {
  return Unscaled(time * parts_.hypervisor->Can().timeout_scale, std::move(key));
}

Patience Vm::Unscaled(milliseconds time, std::string key) const {
  time = std::chrono::duration_cast<milliseconds>(time * parts_.timeout_factor);
  const auto kind = booted_ ? Patience::Kind::kAnswer : Patience::Kind::kWork;
  key = key.empty() ? kTimeoutFactorKey : fmt::format("{} in [agent.kata], or {},", key, kTimeoutFactorKey);
  Patience::Look look = [weak = weak_from_this()] {
    const auto self = weak.lock();
    return self ? self->Look() : Effort();
  };
  return {time, kind, std::move(look), std::move(key)};
}

Patience Vm::CreatePatience() const {
  return PatienceFor(seconds(parts_.agent.create_container_timeout), "create_container_timeout");
}

Patience Vm::KillPatience(bool loses_more) const {
  if (parts_.kill_timeout.count() > 0) return Unscaled(parts_.kill_timeout, "");
  return Unscaled(parts_.pod || loses_more ? kLongKillTime : kKillTime, "");
}

std::vector<pid_t> Vm::Pids() const {
  std::vector<pid_t> pids = parts_.hypervisor->Pids();
  if (file_server_.process.running()) pids.push_back(file_server_.process.pid());
  return pids;
}

asio::awaitable<void> Vm::Boot(std::shared_ptr<Vm> self, VmSize size, grpc::CreateSandboxRequest request) {
  auto booted = co_await self->BootSteps(size, std::move(request));
  if (booted) {
    self->booted_ = true;
    self->parts_.hypervisor->BootEnded();
    self->settled_.Happen();
    asio::co_spawn(self->executor_, CheckHealth(self), asio::detached);
  } else {
    self->Fault(booted.error().message());
  }
}

asio::awaitable<Result<>> Vm::BootSteps(VmSize size, grpc::CreateSandboxRequest request) {
  auto self = shared_from_this();
  auto began = Timing::Clock::now();
  size_ = size;
  hypervisor::VmSpec spec;
  spec.id = parts_.id;
  spec.vcpus = size.vcpus;
  spec.memory_mib = size.memory_mib;
  spec.max_vcpus = parts_.max_size.vcpus;
  spec.max_memory_mib = parts_.max_size.memory_mib;
  spec.user = parts_.vmm_user;
  if (parts_.start_file_server) {
    CO_TRY_ASSIGN(file_server_, parts_.start_file_server());
    spec.shared_fs_socket = std::move(file_server_.vmm_socket);
    spec.shared_fs_pid = file_server_.process.pid();
    asio::co_spawn(executor_, WatchFileServer(self), asio::detached);
    timing_.Record(Phase::kFileServer, began);
    began = Timing::Clock::now();
  }
  if (parts_.network) {
    spec.network = parts_.network->TakeDevices();
    spec.kernel_parameters = parts_.network->KernelParameters();
    CO_TRY_ASSIGN(spec.network_namespace, parts_.network->VmmNamespace());
  }
  CO_TRY(co_await parts_.hypervisor->Start(std::move(spec)));
  vm_started_ = true;
  vm_settled_.Happen();
  asio::co_spawn(executor_, WatchVm(self), asio::detached);
  timing_.Record(Phase::kVmm, began);
  CO_TRY(co_await GreetAgent(std::move(request)));
  CO_TRY(co_await BeginNetwork());
  co_return Result<>();
}

asio::awaitable<Result<>> Vm::BeginNetwork() {
  if (!parts_.network) co_return Result<>();
  auto self = shared_from_this();
  // Shares the ownership of this Vm, so that the hypervisor cannot be destroyed while it is in use.
  std::shared_ptr<hypervisor::Hypervisor> vm(self, parts_.hypervisor.get());
  parts_.network->Follow(vm, agent_);
  co_return co_await parts_.network->Settle();
}

asio::awaitable<Result<>> Vm::GreetAgent(grpc::CreateSandboxRequest request) {
  auto began = Timing::Clock::now();
  CO_TRY_ASSIGN(UniqueFd channel, co_await parts_.hypervisor->ConnectAgent());
  std::weak_ptr<Vm> weak = weak_from_this();
  AgentClient::FaultHandler on_fault = [weak](std::string why) {
    if (auto self = weak.lock()) self->Fault(std::move(why));
  };
  auto client = rpc::Client::Create(executor_, std::move(channel));
  AgentClient::CallPatience patience = [weak] {
    const auto self = weak.lock();
    return self ? self->PatienceFor(kCallTime) : Patience(kCallTime);
  };
  agent_ = std::make_shared<AgentClient>(client, std::move(patience), std::move(on_fault));
  asio::co_spawn(executor_, WatchConnection(shared_from_this()), asio::detached);

  // Both requests are sent at once and wait in the channel until the agent reads them. That saves a round trip.
  const milliseconds boot_time(parts_.agent.reconnect_timeout_ms);
  std::optional<Result<>> created;
  Event answered(executor_);
  const seconds create_time(parts_.agent.create_container_timeout);
  auto create =
      agent_->CreateSandbox(std::move(request), PatienceFor(boot_time + create_time, "create_container_timeout"));
  asio::co_spawn(executor_, std::move(create), [&created, answered](std::exception_ptr, Result<> result) mutable {
    created = std::move(result);
    answered.Happen();
  });
  auto checked = co_await agent_->Check(PatienceFor(boot_time, "reconnect_timeout_ms"));
  // If the guest has printed nothing, the start of the agent is unknown, and all of the time counts as the kernel's.
  auto now = Timing::Clock::now();
  auto init = std::clamp(parts_.hypervisor->AgentBegan().value_or(now), began, now);
  timing_.Record(Phase::kKernel, began, init);
  timing_.Record(Phase::kAgent, init, now);
  began = now;
  // The handler of CreateSandbox writes to this frame, so its end is awaited in any case. Without an agent, the call
  // fails as soon as the VM is killed.
  if (!checked) Fault("the agent cannot be reached: " + checked.error().message());
  co_await answered.Wait();
  CO_TRY(checked);
  if (!*created) co_return Context(std::move(*created), "the agent cannot set the sandbox up");
  timing_.Record(Phase::kSandbox, began);

  // Sent after the reply: a time that was sent earlier would be late by the length of the boot. Nothing waits for this
  // call, since the agent answers later requests after it.
  asio::co_spawn(executor_, KeepTime(shared_from_this()), asio::detached);
  co_return Result<>();
}

asio::awaitable<void> Vm::KeepTime(std::shared_ptr<Vm> self) {
  // Watched before the time is read: what is set in between is told again.
  auto watch = WatchClock();
  if (watch && !self->stopped_.happened() && !self->faulted_) self->clock_.assign(watch->Release());
  if (!watch) log::Warn("the guest's clock will not follow the host's: {}", watch.error().message());
  while (true) {
    auto set = co_await self->agent_->SetGuestDateTime();
    if (!set) log::Warn("the guest's clock is not set: {}", set.error().message());
    if (!self->clock_.is_open()) co_return;
    const auto [error] = co_await self->clock_.async_wait(asio::posix::descriptor_base::wait_read, kAwait);
    if (error || !self->clock_.is_open()) co_return;
    uint64_t expirations = 0;
    (void)!read(self->clock_.native_handle(), &expirations, sizeof expirations);  // fails with ECANCELED
    log::Info("the host's clock was set, and the guest's follows");
  }
}

asio::awaitable<Result<>> Vm::Ready() {
  auto self = shared_from_this();
  co_await settled_.Wait();
  if (failed_.happened()) co_return Fail(Code::kUnavailable, "{}", failure_);
  if (!booted_) co_return Fail(Code::kUnavailable, "the sandbox is being ended");
  // Hooks may have added interfaces to the pod since the boot.
  if (parts_.network) co_return co_await parts_.network->Settle();
  co_return Result<>();
}

asio::awaitable<Error> Vm::Explain(Error error) {
  auto self = shared_from_this();
  bool lost = error.code() == Code::kUnavailable || error.code() == Code::kDeadlineExceeded;
  if (!faulted_ && (!lost || stopped_.happened())) co_return error;
  co_await failed_.WaitFor(kExplainDelay);
  co_return failed_.happened() ? Error(Code::kUnavailable, failure_) : error;
}

void Vm::Cause(std::string what) {
  if (cause_.empty()) cause_ = std::move(what);
  cause_known_.Happen();
}

void Vm::Fault(std::string why) {
  if (faulted_ || stopped_.happened()) return;
  faulted_ = true;
  asio::co_spawn(executor_, Conclude(shared_from_this(), std::move(why)), asio::detached);
}

asio::awaitable<void> Vm::Conclude(std::shared_ptr<Vm> self, std::string why) {
  if (self->vm_started_) co_await self->cause_known_.WaitFor(kCauseDelay);
  why = self->cause_.empty() ? why + HeldProcesses(self->Pids()) : self->cause_;
  // The exit reason of a VMM that has ended includes the console.
  std::string console = self->vm_exited_.happened() ? "" : self->parts_.hypervisor->ConsoleTail();
  if (!console.empty()) why += "; the guest's console ended with:\n" + console;
  self->failure_ = std::move(why);
  log::Error("the sandbox failed: {}", self->failure_);
  self->parts_.hypervisor->Kill();
  self->failed_.Happen();
  self->vm_settled_.Happen();
  self->settled_.Happen();
  if (self->agent_) self->agent_->connection().Close();
  self->IgnoreClock();
}

void Vm::IgnoreClock() {
  if (clock_.is_open()) clock_.close();
}

asio::awaitable<void> Vm::WatchVm(std::shared_ptr<Vm> self) {
  hypervisor::VmExit exit = co_await self->parts_.hypervisor->Wait();
  self->vm_exited_.Happen();
  if (self->stopped_.happened() || self->failed_.happened()) co_return;
  self->Cause("the virtual machine ended: " + exit.reason);
  self->Fault(self->cause_);
}

asio::awaitable<void> Vm::WatchFileServer(std::shared_ptr<Vm> self) {
  // A pidfd of its own: Asio makes the descriptor non-blocking, and waitid(2) on it would then not wait.
  auto pidfd = OpenPidfd(self->file_server_.process.pid());
  if (!pidfd) co_return self->Fault("the file server: " + pidfd.error().message());
  asio::posix::stream_descriptor descriptor(self->executor_, pidfd->Release());
  co_await descriptor.async_wait(asio::posix::descriptor_base::wait_read, kAwait);
  self->file_server_exited_.Happen();
  if (self->stopped_.happened()) co_return;
  auto status = self->file_server_.process.Wait();
  std::string what = status ? self->file_server_.DescribeExit(*status) : "the file server: " + status.error().message();
  // The file server exits with 0 by itself when the VMM has gone. Then the end of the VMM is the cause, and WatchVm, or
  // the failing start of the VMM, reports it in a moment.
  if (status && status->Shell() == 0) {
    co_await self->failed_.WaitFor(self->vm_started_ ? kFileServerExitDelay : kVmExitDelay);
  } else {
    self->Cause(what);
  }
  self->Fault(std::move(what));
}

asio::awaitable<void> Vm::WatchConnection(std::shared_ptr<Vm> self) {
  auto agent = self->agent_;
  co_await agent->connection().Closed();
  self->Fault("the connection to the agent broke, or what came over it made no sense");
}

asio::awaitable<void> Vm::CheckHealth(std::shared_ptr<Vm> self) {
  const milliseconds time(self->parts_.agent.health_check_request_timeout_ms);
  std::string held;
  while (true) {
    co_await self->stopped_.WaitFor(self->parts_.health_interval);
    if (self->stopped_.happened() || self->faulted_) co_return;
    // When the file server is stopped (SIGSTOP), the agent still answers, but accesses to shared files hang. One check
    // that finds a stopped process is tolerated; a second one in a row is a fault.
    const bool again = !held.empty();
    held = HeldProcesses(self->Pids());
    if (again && !held.empty()) co_return self->Fault("a part of the sandbox stands still");
    auto checked = co_await self->agent_->Check(self->PatienceFor(time, "health_check_request_timeout_ms"));
    if (!checked) self->Fault("the agent is not well: " + checked.error().message());
  }
}

asio::awaitable<void> Vm::Stop(bool graceful, bool has_disks) {
  auto self = shared_from_this();
  IgnoreClock();
  bool ask = graceful && agent_ && settled_.happened() && !faulted_;
  stopped_.Happen();
  if (ask) {
    auto destroyed = co_await agent_->DestroySandbox(PatienceFor(has_disks ? kWriteBackTime : kDestroyTime));
    if (!destroyed) log::Debug("the agent did not end the sandbox: {}", destroyed.error().message());
  }
  parts_.hypervisor->Kill();
  // Freeing the memory of a large VM takes processor time, which counts as progress.
  Patience exit(
      kVmExitDelay, Patience::Kind::kWork, [self] { return self->Look(); }, kTimeoutFactorKey);
  while (vm_started_ && !vm_exited_.happened()) {
    const milliseconds next = exit.Next();
    if (next.count() == 0) break;
    co_await vm_exited_.WaitFor(next);
  }
  if (parts_.network) parts_.network->End();
  if (file_server_.process.running() && vm_started_) co_await file_server_exited_.WaitFor(kFileServerExitDelay);
  file_server_.End();
  if (agent_) agent_->connection().Close();
  vm_settled_.Happen();
  settled_.Happen();
}

}  // namespace kata::sandbox
