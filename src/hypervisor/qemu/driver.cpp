// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/driver.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"
#include "base/patience.h"
#include "base/security_module.h"
#include "hypervisor/capped_log.h"
#include "hypervisor/confinement.h"
#include "hypervisor/console.h"
#include "hypervisor/qemu/agent_link.h"
#include "hypervisor/qemu/argv.h"
#include "hypervisor/qemu/console_watch.h"
#include "hypervisor/qemu/disks.h"
#include "hypervisor/qemu/exit_reason.h"
#include "hypervisor/qemu/host_files.h"
#include "hypervisor/qemu/host_tsc.h"
#include "hypervisor/qemu/hotplug.h"
#include "hypervisor/qemu/network.h"
#include "hypervisor/qemu/qmp.h"
#include "hypervisor/qemu/resize.h"
#include "hypervisor/stopping_signals.h"
#include "hypervisor/vmm_user.h"
#include "protocol/guest_contract.h"

namespace kata::hypervisor::qemu {
namespace {

// Time allowed for QEMU to read its configuration and create its devices, which takes about 0.1 s. Not scaled by
// AccelChoice::timeout_scale, since no guest code runs yet.
constexpr std::chrono::milliseconds kGreetingTime{10000};
// Time allowed for a guest to release a vCPU or memory.
constexpr std::chrono::milliseconds kGiveBackTime{5000};
// Time allowed for QEMU to end after a kernel panic. A panic reboots the guest at once, which ends QEMU, unless
// kernel_params change that.
constexpr std::chrono::milliseconds kPanicTime{1000};

// With tcg each vCPU of max_vcpus makes the boot 2 ms longer, whether it is plugged or not.
constexpr uint32_t kUsualEmulatedVcpus = 16;
// The names of vCPU threads with debug-threads=on begin with this: "CPU 0/KVM", "CPU 1/TCG".
constexpr std::string_view kVcpuThread = "CPU ";
// Its profile of AppArmor.

struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};

Result<SocketPair> MakePair() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return FailErrno("cannot make a socket pair");
  return SocketPair{UniqueFd(pair[0]), UniqueFd(pair[1])};
}

// Collects the descriptors for QEMU, and gives the numbers that they will have in QEMU.
class FdList {
 public:
  int Add(UniqueFd fd) {
    fds_.push_back(std::move(fd));
    return ExtraFdNumber(fds_.size() - 1);
  }
  std::vector<int> Numbers() const {
    std::vector<int> numbers;
    numbers.reserve(fds_.size());
    for (const UniqueFd& fd : fds_) numbers.push_back(fd.get());
    return numbers;
  }

 private:
  std::vector<UniqueFd> fds_;
};

}  // namespace

struct Driver::State : std::enable_shared_from_this<State> {
  State(const asio::any_io_executor& an_executor, const config::Config& a_config, AccelChoice accel_choice)
      : executor(an_executor),
        config(a_config),
        choice(std::move(accel_choice)),
        accel(choice.accel),
        console(Console::Create(executor)),
        exit_watch(executor),
        ended(executor) {
    ended.expires_at(asio::steady_timer::time_point::max());
  }

  Result<> Spawn(VmSpec spec);
  Patience PatienceFor(std::chrono::milliseconds time, Patience::Kind kind, std::string key) const;
  void OnPanic();
  static asio::awaitable<void> EndAfterPanic(std::shared_ptr<State> self);
  asio::awaitable<void> WaitForEnd(std::chrono::milliseconds time);
  bool FileServerIsSilent() const;
  static asio::awaitable<void> WatchExit(std::shared_ptr<State> self);
  void Ended();
  void Close();

  asio::any_io_executor executor;
  config::Config config;
  TscMeter tsc;
  AccelChoice choice;
  Accel accel;
  std::shared_ptr<Console> console;
  ConsoleWatch console_watch{[this] { OnPanic(); }};
  std::shared_ptr<Qmp> qmp;
  std::shared_ptr<Hotplug> hotplug;
  std::optional<Disks> disks;
  std::optional<Resizer> resizer;
  AgentLink agent;
  UniqueFd shared_fs;  // a duplicate of the file server's socket, kept until QEMU has started, for FileServerIsSilent
  pid_t shared_fs_pid = 0;
  CappedLog messages{UniqueFd()};
  Child process;
  asio::posix::stream_descriptor exit_watch;
  asio::steady_timer ended;  // never expires; cancelled when exit is set
  std::optional<VmExit> exit;
};

Result<> Driver::State::Spawn(VmSpec spec) {
  const auto& settings = config.hypervisor;
  log::Info("guests run with {}: {}", accel == Accel::kKvm ? "kvm" : "tcg", choice.why);

  Command command;
  const std::string device = accel == Accel::kKvm ? "/dev/kvm" : "";
  command.credentials = TRY(VmmCredentials(spec.user, device));
  if (command.credentials->uid == 0) {
    log::Info("QEMU runs as the user itself, without capabilities: {}",
              spec.user.uid == 0 ? "the user namespace maps no other id" : "no other id may open " + device);
  }

  FdList fds;
  Inputs inputs;
  inputs.accel = accel;
  inputs.kernel_fd = fds.Add(TRY(OpenGuestFile(KernelOf(settings))));
  inputs.initrd_fd = fds.Add(TRY(OpenGuestFile(InitrdOf(settings))));
  SocketPair qmp_pair = TRY(MakePair());
  inputs.qmp_fd = fds.Add(std::move(qmp_pair.theirs));
  SocketPair console_pair = TRY(MakePair());
  inputs.console_fd = fds.Add(std::move(console_pair.theirs));
  agent = TRY(PrepareAgentLink());
  inputs.guest_cid = agent.cid;
  (agent.vsock() ? inputs.vsock_fd : inputs.agent_fd) = fds.Add(std::move(agent.vmm_end));
  if (spec.shared_fs_socket) {
    shared_fs.Reset(fcntl(spec.shared_fs_socket.get(), F_DUPFD_CLOEXEC, 3));
    shared_fs_pid = spec.shared_fs_pid;
    inputs.shared_fs_fd = fds.Add(std::move(spec.shared_fs_socket));
  }
  for (NetworkDevice& device : spec.network) {
    Inputs::Nic& nic = inputs.network.emplace_back();
    for (UniqueFd& tap : device.taps) nic.taps.push_back(fds.Add(std::move(tap)));
    for (UniqueFd& vhost : device.vhost) nic.vhost.push_back(fds.Add(std::move(vhost)));
  }
  inputs.firmware = Firmware(settings);

  const std::string kernel_command_line =
      TRY(KernelCommandLine(config, spec, QemuKernelWords(config, spec, choice, tsc.Khz())));
  command.argv = TRY(Argv(settings, spec, inputs, kernel_command_line));
  command.env = std::vector<std::string>{"LC_ALL=C"};
  messages = TRY(CappedLog::Create());
  command.stderr_fd = messages.fd();
  command.extra_fds = fds.Numbers();
  const UniqueFd root = TRY(Open("/", O_PATH | O_DIRECTORY));
  command.working_directory = root.get();
  if (spec.network_namespace) command.join_namespaces = {spec.network_namespace.get()};
  command.before_exec = BlockStoppingSignals();
  command.labels = TRY(LabelsAtExec(settings, kQemuProfile));
  log::Debug("starting {}", fmt::join(command.argv, " "));
  auto child = kata::Spawn(command);
  if (!child) {
    const int sys = child.error().sys();
    return Fail(child.error().code(), "cannot start QEMU: {}{}", child.error().message(),
                sys == ENOENT ? "; install Debian's package qemu-system-x86, or set path in [hypervisor.qemu]" : "");
  }
  process = *std::move(child);

  // A pidfd of its own, not a duplicate of the child's: the event loop makes the descriptor non-blocking, which would
  // affect the child's waitid(2).
  UniqueFd pidfd = TRY(Context(OpenPidfd(process.pid()), "QEMU"));
  exit_watch.assign(pidfd.Release());
  console->OnLine([weak = weak_from_this()](std::string_view line) {
    if (auto self = weak.lock()) self->console_watch.OnLine(line);
  });
  console->Attach(std::move(console_pair.ours));
  qmp = Qmp::Create(executor, std::move(qmp_pair.ours));
  qmp->SetPatience([weak = weak_from_this()](std::chrono::milliseconds time) {
    const auto self = weak.lock();
    return self ? self->PatienceFor(time, Patience::Kind::kAnswer, kTimeoutFactorKey) : Patience(time);
  });
  hotplug = std::make_shared<Hotplug>(qmp, Places(settings));
  for (uint32_t i = 0; i < spec.network.size() && i < ColdPlugPlaces(settings); ++i) {
    hotplug->Occupy(i, NicId(spec.network[i].id));
  }
  disks.emplace(qmp, hotplug, settings);
  // With tcg, QEMU 7.2 corrupts its memory when a vCPU is unplugged, and crashes when the next one is plugged.
  resizer.emplace(qmp, settings, spec, kGiveBackTime * choice.timeout_scale, accel == Accel::kKvm);
  asio::co_spawn(executor, WatchExit(shared_from_this()), asio::detached);
  return {};
}

// Includes the effort of the file server, for which QEMU waits.
Patience Driver::State::PatienceFor(std::chrono::milliseconds time, Patience::Kind kind, std::string key) const {
  time = std::chrono::duration_cast<std::chrono::milliseconds>(time * config.runtime.timeout_factor);
  Patience::Look look = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || !self->process.running()) return Effort();
    Effort effort = EffortOf({self->process.pid(), self->shared_fs_pid});
    effort.said = self->console->bytes();
    return effort;
  };
  return {time, kind, std::move(look), std::move(key)};
}

asio::awaitable<void> Driver::State::WatchExit(std::shared_ptr<State> self) {
  const auto [error] = co_await self->exit_watch.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
  if (!error && !self->exit) self->Ended();
}

void Driver::State::OnPanic() { asio::co_spawn(executor, EndAfterPanic(shared_from_this()), asio::detached); }

// Without this, a kernel that halts after its panic (panic=0) would be noticed only when the agent's time-out ends.
asio::awaitable<void> Driver::State::EndAfterPanic(std::shared_ptr<State> self) {
  co_await self->WaitForEnd(kPanicTime);
  if (!self->exit && self->process.running()) (void)self->process.Signal(SIGKILL);
}

// Returns when QEMU has ended, or after time.
asio::awaitable<void> Driver::State::WaitForEnd(std::chrono::milliseconds time) {
  auto self = shared_from_this();
  if (exit) co_return;
  asio::steady_timer limit(executor, time);
  limit.async_wait([self](const boost::system::error_code& error) {
    if (!error) self->ended.cancel();
  });
  co_await ended.async_wait(kAwait);
}

// Whether the file server has not read QEMU's request: the request is still in the socket.
bool Driver::State::FileServerIsSilent() const {
  int unread = 0;
  return shared_fs.valid() && ioctl(shared_fs.get(), SIOCOUTQ, &unread) == 0 && unread > 0;
}

// To be called when QEMU has ended or was killed: reaps it, collects its last messages, and wakes all waiters.
void Driver::State::Ended() {
  const auto status = process.Wait();
  console->Drain();
  qmp->Drain();
  ExitFacts facts;
  if (status) facts.status = *status;
  facts.shutdown_reason = qmp->shutdown_reason();
  facts.guest_panicked = qmp->guest_panicked() || console_watch.panicked();
  facts.console = console->Tail();
  facts.messages = messages.Tail();
  facts.program = config.hypervisor.path;
  exit = DescribeExit(facts);
  qmp->Close();
  ended.cancel();
}

void Driver::State::Close() {
  if (process.running()) {
    // An error means that QEMU has ended already; Ended reaps it.
    (void)process.Signal(SIGKILL);
    Ended();
  }
  if (!exit) exit = VmExit{"the VM was not started"};
  ended.cancel();
  if (exit_watch.is_open()) exit_watch.close();
  console->Close();
}

Driver::Driver(const asio::any_io_executor& executor, const config::Config& config, AccelChoice accel)
    : state_(std::make_shared<State>(executor, config, std::move(accel))) {}

Driver::~Driver() { state_->Close(); }

Result<std::unique_ptr<Hypervisor>> CreateDriver(const asio::any_io_executor& executor, const config::Config& config) {
  const std::string& machine = config.hypervisor.machine_type;
  if (machine.empty() || machine.find(',') != std::string::npos) {
    return Fail(Code::kInvalidArgument, "machine_type: {} is no name of a machine", machine);
  }
  AccelChoice accel = TRY(ChooseAccel(config.hypervisor.accel, config.runtime.timeout_factor));
  return std::make_unique<Driver>(executor, config, std::move(accel));
}

Capabilities Driver::Can() const {
  const config::HypervisorConfig& settings = state_->config.hypervisor;
  Capabilities can;
  can.grows = settings.machine_type == "q35";
  if (!can.grows) can.fixed_why = "machine_type = \"q35\"";
  can.returns_memory = settings.enable_virtio_mem;
  can.takes_memory_ahead = settings.enable_mem_prealloc || settings.enable_hugepages;
  can.memory_slots = settings.memory_slots;
  if (state_->accel == Accel::kTcg) can.usual_vcpus = kUsualEmulatedVcpus;
  can.timeout_scale = state_->choice.timeout_scale;
  return can;
}

asio::awaitable<Result<>> Driver::Start(VmSpec spec) { return StartVm(state_, std::move(spec)); }

asio::awaitable<Result<UniqueFd>> Driver::ConnectAgent() { return ConnectTo(state_); }

asio::awaitable<VmExit> Driver::Wait() { return WaitFor(state_); }

asio::awaitable<Result<>> Driver::StartVm(std::shared_ptr<State> state, VmSpec spec) {
  if (const auto elapsed = state->tsc.elapsed(); elapsed < TscMeter::kEnough) {
    asio::steady_timer rest(state->executor, TscMeter::kEnough - elapsed);
    co_await rest.async_wait(kAwait);
  }
  if (state->exit) co_return Fail(Code::kUnavailable, "the VM has ended: {}", state->exit->reason);
  auto spawned = state->Spawn(std::move(spec));
  if (!spawned) {
    state->Close();
    co_return spawned;
  }
  Patience patience = state->PatienceFor(kGreetingTime, Patience::Kind::kWork, kTimeoutFactorKey);
  auto greeting = co_await state->qmp->Negotiate(std::move(patience));
  const bool no_file_server = !greeting && state->FileServerIsSilent();
  state->shared_fs.Reset();
  if (greeting) co_return greeting;
  // If QEMU closed the connection, it is about to exit: wait, since its exit status says more than a SIGKILL would.
  if (greeting.error().code() == Code::kUnavailable) co_await state->WaitForEnd(std::chrono::seconds(2));
  if (!state->exit) {
    (void)state->process.Signal(SIGKILL);
    state->Ended();
    const char* who = no_file_server          ? "the file server does not answer, and QEMU waits for it"
                      : state->qmp->greeted() ? "QEMU does not answer, or the file server does not, which it waits for"
                                              : "QEMU does not answer";
    co_return Fail(greeting.error().code(), "{}: {}; {}", who, greeting.error().message(), state->exit->reason);
  }
  co_return Fail(Code::kInternal, "QEMU could not start the VM: {}", state->exit->reason);
}

asio::awaitable<Result<UniqueFd>> Driver::ConnectTo(std::shared_ptr<State> state) {
  if (!state->process.running()) co_return Fail(Code::kUnavailable, "the VM is not running");
  if (!state->agent.vsock()) {
    if (!state->agent.our_end)
      co_return Fail(Code::kFailedPrecondition, "the agent's port has one connection, which is taken");
    co_return std::move(state->agent.our_end);
  }
  const auto& settings = state->config.agent;
  const std::chrono::milliseconds time{settings.reconnect_timeout_ms * state->choice.timeout_scale};
  Patience patience = state->PatienceFor(
      time, Patience::Kind::kWork, fmt::format("reconnect_timeout_ms in [agent.kata], or {},", kTimeoutFactorKey));
  const std::chrono::milliseconds pause{settings.dial_timeout_ms};
  std::function<bool()> stop = [state] { return state->exit.has_value(); };
  co_return co_await ConnectVsock(state->executor, state->agent.cid, contract::kAgentVsockPort, pause,
                                  std::move(patience), stop);
}

asio::awaitable<Result<>> Driver::AddNetworkDevice(NetworkDevice device) { return AddNic(state_, std::move(device)); }

asio::awaitable<Result<>> Driver::RemoveNetworkDevice(std::string id) { return RemoveNic(state_, std::move(id)); }

asio::awaitable<Result<>> Driver::AddNic(std::shared_ptr<State> state, NetworkDevice device) {
  if (!state->process.running()) co_return Fail(Code::kUnavailable, "the VM is not running");
  co_return co_await PlugNic(state->qmp, state->hotplug, std::move(device));
}

asio::awaitable<Result<>> Driver::RemoveNic(std::shared_ptr<State> state, std::string id) {
  if (!state->process.running()) co_return Fail(Code::kUnavailable, "the VM is not running");
  co_return co_await UnplugNic(state->qmp, state->hotplug, std::move(id));
}

asio::awaitable<Result<GuestAddress>> Driver::AddBlockDevice(BlockDevice device) {
  return AddDisk(state_, std::move(device));
}

asio::awaitable<Result<>> Driver::RemoveBlockDevice(std::string id) { return RemoveDisk(state_, std::move(id)); }

asio::awaitable<Result<uint32_t>> Driver::SetVcpus(uint32_t count) { return ResizeVcpus(state_, count); }

asio::awaitable<Result<uint64_t>> Driver::SetMemory(uint64_t mib) { return ResizeMemory(state_, mib); }

asio::awaitable<Result<GuestAddress>> Driver::AddDisk(std::shared_ptr<State> state, BlockDevice device) {
  if (!state->process.running()) co_return Fail(Code::kUnavailable, "the VM is not running");
  co_return co_await state->disks->Add(std::move(device));
}

asio::awaitable<Result<>> Driver::RemoveDisk(std::shared_ptr<State> state, std::string id) {
  if (!state->process.running()) co_return Fail(Code::kUnavailable, "the VM is not running");
  co_return co_await state->disks->Remove(std::move(id));
}

asio::awaitable<Result<uint32_t>> Driver::ResizeVcpus(std::shared_ptr<State> state, uint32_t count) {
  if (!state->process.running()) co_return Fail(Code::kUnavailable, "the VM is not running");
  co_return co_await state->resizer->SetVcpus(count);
}

asio::awaitable<Result<uint64_t>> Driver::ResizeMemory(std::shared_ptr<State> state, uint64_t mib) {
  if (!state->process.running()) co_return Fail(Code::kUnavailable, "the VM is not running");
  co_return co_await state->resizer->SetMemory(mib);
}

asio::awaitable<VmExit> Driver::WaitFor(std::shared_ptr<State> state) {
  while (!state->exit) co_await state->ended.async_wait(kAwait);
  co_return *state->exit;
}

void Driver::Kill() {
  // WatchExit notices the end. An error means that QEMU has ended already.
  if (state_->process.running()) (void)state_->process.Signal(SIGKILL);
}

void Driver::BootEnded() { state_->console_watch.BootEnded(); }

std::string Driver::ConsoleTail() const { return state_->console->Tail(); }

uint64_t Driver::ConsoleBytes() const { return state_->console->bytes(); }

std::optional<std::chrono::steady_clock::time_point> Driver::AgentBegan() const {
  return state_->console_watch.agent_began();
}

void Driver::ServeConsole(UniqueFd listener) { state_->console->Serve(std::move(listener)); }

std::vector<pid_t> Driver::VcpuThreads() const {
  std::vector<pid_t> threads;
  if (!state_->process.running()) return threads;
  const std::string tasks = fmt::format("/proc/{}/task", state_->process.pid());
  const auto directory = Open(tasks, O_RDONLY | O_DIRECTORY);
  if (!directory) return threads;
  for (const std::string& thread : ListDir(directory->get()).value_or(std::vector<std::string>())) {
    const auto name = ReadFile(fmt::format("{}/{}/comm", tasks, thread), 64);
    if (name && name->starts_with(kVcpuThread)) threads.push_back(static_cast<pid_t>(std::stol(thread)));
  }
  return threads;
}

std::vector<pid_t> Driver::Pids() const {
  return state_->process.running() ? std::vector<pid_t>{state_->process.pid()} : std::vector<pid_t>{};
}

}  // namespace kata::hypervisor::qemu
