// SPDX-License-Identifier: Apache-2.0
#include "agent/container/container.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "agent/container/attributes.h"
#include "agent/container/cgroup.h"
#include "agent/container/cgroup_limits.h"
#include "agent/container/cgroup_stats.h"
#include "agent/container/device_filter.h"
#include "agent/container/launch.h"
#include "agent/container/validate.h"
#include "base/files.h"
#include "base/log.h"

namespace kata::agent {

namespace {

constexpr std::chrono::seconds kFreezeLimit{10};
constexpr std::chrono::seconds kRemoveLimit{30};

// The types of namespaces that an exec joins, with their names in /proc/PID/ns.
struct Pinned {
  Role role;
  const char* name;
  bool optional;  // a kernel may lack this type
};
constexpr Pinned kPinned[] = {{kPidNamespace, "pid", false},      {kMountNamespace, "mnt", false},
                              {kIpcNamespace, "ipc", true},       {kUtsNamespace, "uts", true},
                              {kCgroupNamespace, "cgroup", true}, {kNetNamespace, "net", true},
                              {kTimeNamespace, "time", true}};

// Opens the namespaces of the init once, while the init still runs the agent's code. Later the pid could belong to
// another process, or the init could have moved to namespaces of its choice.
Result<> PinNamespaces(const StartedProcess& init, bool user, std::array<UniqueFd, kRoles>* pins) {
  const UniqueFd directory = TRY(Open(fmt::format("/proc/{}/ns", init.pid), O_PATH | O_DIRECTORY));
  for (const Pinned& pinned : kPinned) {
    UniqueFd fd(openat(directory.get(), pinned.name, O_RDONLY | O_CLOEXEC));
    if (!fd && !pinned.optional) return FailErrno("cannot open the container's namespace {}", pinned.name);
    (*pins)[pinned.role] = std::move(fd);
  }
  if (user) {
    UniqueFd fd(openat(directory.get(), "user", O_RDONLY | O_CLOEXEC));
    if (!fd) return FailErrno("cannot open the container's user namespace");
    (*pins)[kUserNamespace] = std::move(fd);
  }
  return {};
}

std::vector<ProtectedDevice> WithRootDevice(std::vector<ProtectedDevice> devices) {
  struct stat root {};
  // A guest that boots from an image has its root on a block device. Whoever can write to that device controls the
  // guest (CVE-2020-2023).
  if (stat("/", &root) == 0 && major(root.st_dev) != 0)
    devices.push_back({'b', major(root.st_dev), minor(root.st_dev)});
  return devices;
}

bool HasEnded(int pidfd) {
  pollfd ended{pidfd, POLLIN, 0};
  // A result of -1 (EINTR) does not mean that the process has ended.
  return poll(&ended, 1, 0) > 0;
}

CapabilitySets CapabilitiesOf(const grpc::Process& process) {
  std::vector<std::string> unknown;
  const CapabilitySets sets = ParseCapabilities(process.capabilities(), &unknown);
  for (const std::string& name : unknown) log::Warn("process.capabilities: \"{}\" is unknown and ignored", name);
  return sets;
}

// Finds the namespaces to join: the pod's shared one if options has it, else the one at the path in the spec.
Result<> OpenShared(const ContainerOptions& options, std::array<UniqueFd, kRoles>* opened,
                    std::array<int, kRoles>* fds) {
  struct Shared {
    const char* type;
    Role role;
    const UniqueFd* given;
  };
  const Shared kinds[] = {{"ipc", kIpcNamespace, &options.ipc_namespace},
                          {"uts", kUtsNamespace, &options.uts_namespace},
                          {"pid", kPidNamespace, &options.pid_namespace},
                          {"user", kUserNamespace, &options.user_namespace},
                          {"network", kNetNamespace, nullptr},
                          {"time", kTimeNamespace, nullptr}};
  for (int i = 0; i < options.spec.linux().namespaces_size(); ++i) {
    const auto& wanted = options.spec.linux().namespaces(i);
    if (wanted.path().empty()) continue;
    const auto* kind = std::find_if(std::begin(kinds), std::end(kinds),
                                    [&wanted](const Shared& shared) { return wanted.type() == shared.type; });
    if (kind == std::end(kinds)) {
      return Fail(Code::kUnimplemented,
                  "linux.namespaces[{}].path: a namespace of type {} cannot be joined in the guest", i, wanted.type());
    }
    if (kind->given != nullptr && kind->given->valid()) {
      (*fds)[kind->role] = kind->given->get();
      continue;
    }
    (*opened)[kind->role] = TRY(Context(Open(wanted.path(), O_RDONLY), "linux.namespaces[{}].path", i));
    (*fds)[kind->role] = (*opened)[kind->role].get();
  }
  return {};
}

}  // namespace

struct Container::Impl {
  asio::any_io_executor executor;
  std::string id;
  Cgroup cgroup;
  std::vector<ProtectedDevice> protected_devices;
  std::chrono::seconds ready_limit{};
  UniqueFd device_program;
  UniqueFd seccomp;
  std::array<UniqueFd, kRoles> pins;
  CapabilitySets capabilities;
  std::optional<grpc::LinuxPersonality> personality;
  StartedProcess init;
  UniqueFd init_pidfd;  // a duplicate, since the caller moves from init
  OomWatch oom;
  std::unique_ptr<Launch> launch;  // null once Start was called
  bool destroyed = false;

  Result<> SetDevices(const grpc::LinuxResources& resources) {
    const auto rules = TRY(DeviceRules(resources, protected_devices));
    UniqueFd program = TRY(AttachDeviceFilter(cgroup.fd(), BuildDeviceFilter(rules), device_program.get()));
    device_program = std::move(program);
    return {};
  }

  Result<> SetLimits(const grpc::LinuxResources& resources) {
    return ApplyLimits(cgroup, TRY(TranslateResources(resources)));
  }

  // Replaces the error of a launch by a clearer one if the memory limit is its likely cause.
  Error Explain(Error error) const {
    const bool starved =
        error.sys() == ENOMEM || error.code() == Code::kAborted || error.code() == Code::kDeadlineExceeded;
    if (!starved || cgroup.ReadKey("memory.events", "max").value_or(0) == 0) return error;
    std::string limit = cgroup.Read("memory.max").value_or("");
    while (limit.ends_with('\n')) limit.pop_back();
    return {Code::kResourceExhausted,
            fmt::format("linux.resources.memory.limit: {} bytes are too few for the process to be made: {}", limit,
                        error.message()),
            ENOMEM};
  }

  Plan NewPlan(const ProcessIo& io) const {
    Plan plan;
    plan.terminal = io.terminal;
    plan.rows = io.rows;
    plan.columns = io.columns;
    plan.capabilities = capabilities;
    plan.id = id;
    return plan;
  }

  std::array<int, kRoles> Roles(const ProcessIo& io) const {
    std::array<int, kRoles> fds;
    fds.fill(-1);
    if (!io.terminal) {
      fds[kStdin] = io.stdin_read.get();
      fds[kStdout] = io.stdout_write.get();
      fds[kStderr] = io.stderr_write.get();
    }
    fds[kCgroup] = cgroup.fd();
    fds[kSeccomp] = seccomp.get();
    return fds;
  }

  static asio::awaitable<Result<>> Build(std::shared_ptr<Impl> impl, ContainerOptions options, ProcessIo io);
};

Container::Container(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Container::~Container() = default;

asio::awaitable<Result<std::unique_ptr<Container>>> Container::Create(asio::any_io_executor executor,
                                                                      ContainerOptions options, ProcessIo io) {
  CO_TRY(ValidateSpec(options.id, options.spec));
  auto impl = std::make_shared<Impl>();
  impl->executor = executor;
  impl->id = options.id;
  impl->ready_limit = options.ready_limit;
  impl->capabilities = CapabilitiesOf(options.spec.process());
  impl->protected_devices = WithRootDevice(std::move(options.protected_devices));
  if (options.spec.linux().has_personality()) impl->personality = options.spec.linux().personality();
  if (options.spec.linux().has_seccomp()) {
    impl->seccomp.Reset(memfd_create("seccomp", MFD_CLOEXEC));
    if (!impl->seccomp) co_return FailErrno("cannot make a memfd");
  }
  CO_TRY_ASSIGN(const std::string path, SanitizeCgroupPath(options.spec.linux().cgroupspath(), options.id));
  CO_TRY_ASSIGN(impl->cgroup, Cgroup::Create(options.cgroup_mount, path));

  std::unique_ptr<Container> container(new Container(impl));
  auto result = co_await Impl::Build(impl, std::move(options), std::move(io));
  if (!result) {
    impl->launch.reset();
    (void)co_await container->Destroy();
    co_return tl::unexpected<Error>(std::move(result).error());
  }
  co_return container;
}

asio::awaitable<Result<>> Container::Impl::Build(std::shared_ptr<Impl> impl, ContainerOptions options, ProcessIo io) {
  const grpc::LinuxResources& resources = options.spec.linux().resources();
  CO_TRY(impl->SetLimits(resources));
  CO_TRY(impl->SetDevices(resources));
  std::array<UniqueFd, kRoles> opened;
  auto fds = impl->Roles(io);
  CO_TRY(OpenShared(options, &opened, &fds));
  Plan plan = impl->NewPlan(io);
  const auto& namespaces = options.spec.linux().namespaces();
  const bool user =
      std::any_of(namespaces.begin(), namespaces.end(), [](const auto& one) { return one.type() == "user"; });
  const grpc::Process process = options.spec.process();
  plan.spec = std::move(options.spec);
  auto launch = co_await Launch::Start(impl->executor, std::move(plan), fds, impl->ready_limit);
  if (!launch) co_return tl::unexpected<Error>(impl->Explain(std::move(launch).error()));
  impl->launch = *std::move(launch);
  const StartedProcess& started = impl->launch->process();
  CO_TRY(ApplyAttributes(started.pid, started.pidfd.get(), process));
  CO_TRY(PinNamespaces(started, user, &impl->pins));
  // If the init has died, its pid may have been reused before the namespaces were opened by pid.
  if (HasEnded(started.pidfd.get()))
    co_return Fail(Code::kAborted, "the container's init was killed while it was made");
  impl->init.pid = started.pid;
  impl->init.pidfd.Reset(fcntl(started.pidfd.get(), F_DUPFD_CLOEXEC, 0));
  impl->init_pidfd.Reset(fcntl(started.pidfd.get(), F_DUPFD_CLOEXEC, 0));
  if (!impl->init.pidfd || !impl->init_pidfd) co_return FailErrno("cannot duplicate a descriptor");
  impl->init.terminal = std::move(impl->launch->process().terminal);
  co_return Result<>();
}

StartedProcess& Container::init() { return impl_->init; }

asio::awaitable<Result<>> Container::Start() {
  auto impl = impl_;
  if (!impl->launch) co_return Fail(Code::kFailedPrecondition, "the container has been started");
  const std::unique_ptr<Launch> launch = std::move(impl->launch);
  co_return co_await launch->Go();
}

asio::awaitable<Result<StartedProcess>> Container::Exec(grpc::Process process, ProcessIo io) {
  auto impl = impl_;
  CO_TRY(ValidateProcess(process));
  // A process that is forked into a frozen cgroup never becomes ready.
  CO_TRY_ASSIGN(const bool frozen, impl->cgroup.Frozen());
  if (frozen) co_return Fail(Code::kFailedPrecondition, "the container is paused");
  if (!impl->init_pidfd || HasEnded(impl->init_pidfd.get())) {
    co_return Fail(Code::kFailedPrecondition, "the container is not running");
  }
  auto fds = impl->Roles(io);
  for (size_t role = kPidNamespace; role < kRoles; ++role) fds[role] = impl->pins[role].get();
  Plan plan = impl->NewPlan(io);
  plan.exec = true;
  if (process.has_capabilities()) plan.capabilities = CapabilitiesOf(process);
  if (impl->personality) *plan.spec.mutable_linux()->mutable_personality() = *impl->personality;
  *plan.spec.mutable_process() = process;
  auto started = co_await Launch::Start(impl->executor, std::move(plan), fds, impl->ready_limit);
  if (!started) co_return tl::unexpected<Error>(impl->Explain(std::move(started).error()));
  const std::unique_ptr<Launch> launch = *std::move(started);
  CO_TRY(ApplyAttributes(launch->process().pid, launch->process().pidfd.get(), process));
  CO_TRY(co_await launch->Go());
  co_return std::move(launch->process());
}

Result<> Container::SignalAll(int signal) { return impl_->cgroup.SignalAll(signal); }

asio::awaitable<Result<>> Container::Pause() {
  auto impl = impl_;
  auto frozen = co_await impl->cgroup.Freeze(impl->executor, /*frozen=*/true, kFreezeLimit);
  // A partly frozen container is neither paused nor running: thaws it again.
  if (!frozen) (void)impl->cgroup.Write("cgroup.freeze", "0");
  co_return Context(std::move(frozen), "cannot pause container {}", impl->id);
}

asio::awaitable<Result<>> Container::Resume() {
  auto impl = impl_;
  auto thawed = co_await impl->cgroup.Freeze(impl->executor, /*frozen=*/false, kFreezeLimit);
  co_return Context(std::move(thawed), "cannot resume container {}", impl->id);
}

Result<> Container::Update(const grpc::LinuxResources& resources) {
  TRY(impl_->SetLimits(resources));
  if (resources.devices_size() != 0) TRY(impl_->SetDevices(resources));
  return {};
}

Result<grpc::CgroupStats> Container::Stats() const { return ReadStats(impl_->cgroup); }
Result<std::vector<pid_t>> Container::Pids() const { return impl_->cgroup.Pids(); }
Result<UniqueFd> Container::Namespace(const std::string& type) const {
  constexpr std::pair<std::string_view, Role> kJoined[] = {
      {"pid", kPidNamespace}, {"ipc", kIpcNamespace}, {"uts", kUtsNamespace}, {"user", kUserNamespace}};
  const auto* kind = std::find_if(std::begin(kJoined), std::end(kJoined),
                                  [&type](const auto& joined) { return joined.first == type; });
  if (kind == std::end(kJoined) || !impl_->pins[kind->second]) {
    return Fail(Code::kInvalidArgument, "container {} has no {} namespace that can be joined", impl_->id, type);
  }
  UniqueFd copy(fcntl(impl_->pins[kind->second].get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return FailErrno("cannot copy a namespace's descriptor");
  return copy;
}

const std::string& Container::cgroup_path() const { return impl_->cgroup.path(); }

asio::awaitable<Result<>> Container::WaitOom() {
  auto impl = impl_;
  co_return co_await impl->oom.Wait(impl->executor, impl->cgroup);
}

asio::awaitable<Result<>> Container::Destroy() {
  auto impl = impl_;
  if (impl->destroyed) co_return Result<>();
  impl->launch.reset();
  CO_TRY(Context(co_await impl->cgroup.Remove(impl->executor, kRemoveLimit), "cannot remove container {}", impl->id));
  impl->destroyed = true;
  impl->oom.Cancel();
  for (UniqueFd& pin : impl->pins) pin.Reset();
  impl->init_pidfd.Reset();
  impl->device_program.Reset();
  impl->seccomp.Reset();
  co_return Result<>();
}

}  // namespace kata::agent
