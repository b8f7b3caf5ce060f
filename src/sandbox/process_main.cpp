// SPDX-License-Identifier: Apache-2.0
// The main of the sandbox process: everything that exists once in it, put together.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdlib>

#include "base/files.h"
#include "base/log.h"
#include "config/config.h"
#include "rpc/server.h"
#include "sandbox/mount_namespace.h"
#include "sandbox/process.h"
#include "sandbox/ready.h"
#include "sandbox/sandbox.h"
#include "sandbox/task_client.h"
#include "sandbox/task_service.h"

namespace kata::sandbox {
namespace {

// QEMU's user is this plus the pid of the sandbox process: nobody's, and no other sandbox's.
constexpr uid_t kFirstVmmUser = 1880000000;
// For the answers to those who wait for the end.
constexpr std::chrono::milliseconds kLastAnswers{1000};

// What comes from outside: read once, before anything is started.
struct Plan {
  SandboxOptions options;
  UniqueFd directory;
  UniqueFd ready;
  config::Config config;
  oci::Bundle bundle;
  hypervisor::AccelChoice accel;
  std::optional<network::Namespace> network_namespace;
  std::chrono::steady_clock::time_point began;
};

Result<UniqueFd> TakeInherited(int fd) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return FailErrno("descriptor {} was not given", fd);
  return UniqueFd(fd);
}

// A descriptor keeps the mount namespace that it was opened in, and nothing can be mounted there from this one. So the
// same folder again, by its path, and the very same.
Result<UniqueFd> ReopenDirectory(int directory) {
  const std::string path = TRY(PathOfFd(directory));
  UniqueFd again = TRY(Open(path, O_PATH | O_DIRECTORY));
  struct stat before {
  }, now{};
  if (fstat(directory, &before) != 0 || fstat(again.get(), &now) != 0) return FailErrno("cannot look at {}", path);
  if (before.st_ino != now.st_ino || before.st_dev != now.st_dev) {
    return Fail(Code::kAborted, "{} is no longer the sandbox's folder", path);
  }
  return again;
}

Result<> OpenLog(int directory, bool debug) {
  UniqueFd file = TRY(OpenBeneath(directory, kSandboxLog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  // Also what libraries write goes there.
  if (dup2(file.get(), STDOUT_FILENO) < 0 || dup2(file.get(), STDERR_FILENO) < 0) {
    return FailErrno("cannot send the output to {}", kSandboxLog);
  }
  log::SetOutput(STDERR_FILENO, log::Format::kText);
  if (debug) log::SetLevel(log::Level::kDebug);
  return {};
}

Result<> JoinCgroups(const SandboxOptions& options) {
  for (const std::string& procs : options.cgroup_procs) {
    TRY(Context(WriteFile(procs, "0"), "cannot enter the container's cgroup"));
  }
  return {};
}

Result<config::Config> LoadConfig(const SandboxOptions& options, const oci::Bundle& bundle) {
  config::Loaded loaded = TRY(config::Load(config::OptionsOfProcess(options.config_path)));
  // The file's own warnings were shown by whoever started this process.
  for (const std::string& warning : TRY(config::ApplyAnnotations(loaded.config, bundle.annotations))) {
    log::Warn("{}", warning);
  }
  return std::move(loaded.config);
}

log::Level LogLevelOf(const config::RuntimeConfig& config) {
  if (config.enable_debug || config.log_level == "trace") return log::Level::kDebug;
  if (config.log_level == "critical") return log::Level::kError;
  return log::LevelFromName(config.log_level).value_or(log::Level::kInfo);
}

Result<> Prepare(const std::vector<std::string>& arguments, Plan& plan) {
  plan.began = std::chrono::steady_clock::now();
  plan.directory = TRY(TakeInherited(kDirectoryFd));
  plan.options = TRY(ParseSandboxArguments(arguments));
  TRY(OpenLog(plan.directory.get(), plan.options.debug));
  if (plan.options.network_namespace) {
    plan.network_namespace = TRY(network::Namespace::Of(TRY(TakeInherited(kNetworkNamespaceFd))));
  }
  TRY(JoinCgroups(plan.options));
  // The caller's folder must not be kept busy.
  if (chdir("/") != 0) return FailErrno("cannot change to /");
  plan.bundle = TRY(oci::LoadBundle(plan.options.bundle));
  plan.config = TRY(LoadConfig(plan.options, plan.bundle));
  if (!plan.options.debug) log::SetLevel(LogLevelOf(plan.config.runtime));
  plan.accel = TRY(hypervisor::ChooseAccel(plan.config.hypervisor.accel));
  TRY(EnterPrivateMountNamespace());
  plan.directory = TRY(ReopenDirectory(plan.directory.get()));
  return {};
}

Result<State> FirstState(const Plan& plan) {
  // `create` has written it before, with what it made.
  auto loaded = LoadState(plan.directory.get());
  State state = loaded ? *std::move(loaded) : State();
  state.id = plan.options.id;
  state.status = Status::kCreating;
  state.oci_version = plan.bundle.oci_version;
  state.bundle = plan.bundle.path;
  state.rootfs = plan.bundle.rootfs;
  state.annotations = plan.bundle.annotations;
  state.cgroup_paths = plan.options.cgroup_paths;
  if (state.created.empty()) state.created = FormatNow();
  state.owner = getuid();
  state.sandbox = TRY(IdentifyProcess(getpid()));
  return state;
}

Result<grpc::CreateSandboxRequest> SandboxRequest(const Plan& plan) {
  grpc::CreateSandboxRequest request;
  request.set_sandbox_id(plan.options.id);
  request.set_hostname(plan.bundle.spec.hostname());
  for (std::string& line : TRY(DnsOf(plan.bundle.spec, plan.bundle.path))) request.add_dns(std::move(line));
  grpc::Storage& storage = *request.add_storages();
  storage.set_driver("virtio-fs");
  storage.set_source(hypervisor::kSharedFsTag);
  storage.set_fstype("virtiofs");
  storage.set_mount_point(kGuestSharedDir);
  for (const std::string& line : plan.config.agent.kernel_modules) {
    grpc::KernelModule& module = *request.add_kernel_modules();
    size_t space = line.find(' ');
    module.set_name(line.substr(0, space));
    while (space != std::string::npos) {
      size_t word = space + 1;
      space = line.find(' ', word);
      if (std::string option = line.substr(word, space - word); !option.empty()) module.add_parameters(option);
    }
  }
  return request;
}

Result<std::shared_ptr<Machine>> MakeMachine(const asio::any_io_executor& executor, Plan& plan, uint32_t vcpus,
                                             const std::string& shared_dir) {
  MachineParts parts;
  // Without a network of its own a container of the command line has loopback only, as it always had.
  auto options = network::OptionsOf(plan.config, plan.options.id, vcpus, network::HostNetwork::kLoopbackOnly);
  parts.network = TRY(network::Network::Create(executor, std::move(options), std::move(plan.network_namespace)));
  parts.id = plan.options.id;
  parts.agent = plan.config.agent;
  parts.timeout_scale = hypervisor::TimeoutScale(plan.accel.accel);
  parts.vmm_user = kFirstVmmUser + static_cast<uid_t>(getpid());
  parts.hypervisor = TRY(hypervisor::CreateHypervisor(executor, plan.config));
  parts.start_virtiofsd = [&plan, shared_dir] {
    return hypervisor::StartVirtiofsd(plan.config.hypervisor, shared_dir, plan.directory.get());
  };
  return std::make_shared<Machine>(executor, std::move(parts));
}

// The whole life of the process once it is ready.
asio::awaitable<void> Live(asio::io_context& io, std::shared_ptr<Sandbox> sandbox, TaskService& service, bool& well) {
  well = co_await Sandbox::Run(sandbox);
  co_await service.Idle(kLastAnswers);
  // The last answers are on their way once what is queued has run.
  asio::post(io, [&io] { asio::post(io, [&io] { io.stop(); }); });
}

// Before the first container nobody but the starter knows of this process: it must not outlive it.
asio::awaitable<void> WatchStarter(asio::posix::stream_descriptor& ready, std::shared_ptr<Sandbox> sandbox) {
  // The end that is written to is never readable: it is woken by the closing of the other end.
  co_await ready.async_wait(asio::posix::descriptor_base::wait_read, asio::as_tuple(asio::use_awaitable));
  if (sandbox->containers().empty()) sandbox->RequestEnd(true);
}

Result<bool> RunSandbox(Plan& plan) {
  asio::io_context io(1);
  auto executor = io.get_executor();
  SandboxParts parts;
  parts.shared_files = TRY(SharedFiles::Create(plan.directory.get()));
  std::string shared_dir = parts.shared_files->path();
  VmSize size = SizeVm(plan.config.hypervisor, plan.bundle.spec.linux().resources(), ThisHost());
  parts.machine = TRY(MakeMachine(executor, plan, size.vcpus, shared_dir));
  parts.standins = std::make_shared<StandinServer>(executor);
  parts.guest_seccomp = !plan.config.runtime.disable_guest_seccomp;
  parts.state = TRY(FirstState(plan));
  parts.directory = plan.directory.get();
  parts.on_created = [shared_dir] {
    if (auto dropped = DropHostMounts(shared_dir); !dropped) log::Warn("{}", dropped.error().message());
  };
  grpc::CreateSandboxRequest request = TRY(SandboxRequest(plan));
  parts.bundle = std::move(plan.bundle);
  auto machine = parts.machine;
  auto standins = parts.standins;
  machine->timing().Record(Phase::kConfig, plan.began);

  UniqueFd task_listener = TRY(rpc::ListenUnix(plan.directory.get(), kTaskSocket));
  UniqueFd standin_listener = TRY(ListenSeqpacket(plan.directory.get(), kStandinSocket));
  UniqueFd console_listener = TRY(rpc::ListenUnix(plan.directory.get(), kConsoleSocket));
  auto sandbox = std::make_shared<Sandbox>(executor, std::move(parts));
  TaskService service(sandbox);
  TRY(sandbox->Store());

  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) sandbox->RequestEnd(false);
  });
  machine->hypervisor().ServeConsole(std::move(console_listener));
  asio::co_spawn(io, Machine::Boot(machine, size, std::move(request)), asio::detached);
  asio::co_spawn(io, StandinServer::Serve(standins, std::move(standin_listener)), asio::detached);
  asio::co_spawn(io, rpc::ServeUnix(std::move(task_listener), service.table()), asio::detached);

  TRY(WriteAll(plan.ready.get(), std::string_view(&kReady, 1)));
  asio::posix::stream_descriptor ready(io, plan.ready.Release());
  asio::co_spawn(io, WatchStarter(ready, sandbox), asio::detached);
  bool well = false;
  asio::co_spawn(io, Live(io, sandbox, service, well), asio::detached);
  io.run();
  return well;
}

// Children of children that died (virtiofsd has some) have come to this process, which is their reaper; with them goes
// the last that holds the sandbox's mounts.
void EndOrphans() {
  while (true) {
    auto children = ReadFile(fmt::format("/proc/self/task/{}/children", getpid()));
    if (!children || children->empty()) return;
    pid_t child = static_cast<pid_t>(std::strtol(children->c_str(), nullptr, 10));
    if (child <= 0 || kill(child, SIGKILL) != 0 || waitpid(child, nullptr, 0) < 0) return;
  }
}

}  // namespace

int SandboxProcessMain(const std::vector<std::string>& arguments) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  umask(0077);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto ready = TakeInherited(kReadyFd);
  if (!ready) return 1;
  Plan plan;
  plan.ready = *std::move(ready);
  auto prepared = Prepare(arguments, plan);
  Result<bool> well = prepared ? RunSandbox(plan) : tl::unexpected<Error>(prepared.error());
  EndOrphans();
  if (!well) {
    log::Error("{}", well.error().message());
    // Read by the one who waits; when it has been told that all is ready, nobody does.
    if (plan.ready) (void)WriteAll(plan.ready.get(), well.error().message());
    return 1;
  }
  return *well ? 0 : 1;
}

}  // namespace kata::sandbox
