// SPDX-License-Identifier: Apache-2.0
#include "sandbox/assemble.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdlib>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "oci/pod.h"
#include "rpc/server.h"
#include "sandbox/task_client.h"

namespace kata::sandbox {
namespace {

// QEMU's user is this plus the pid of the sandbox process: nobody's, and no other sandbox's.
constexpr uid_t kFirstVmmUser = 1880000000;

Result<> CompleteState(SandboxPlan& plan) {
  State& state = plan.state;
  state.id = plan.id;
  state.status = Status::kCreating;
  state.oci_version = plan.bundle.oci_version;
  state.bundle = plan.bundle.path;
  state.rootfs = plan.bundle.rootfs;
  state.annotations = plan.bundle.annotations;
  if (state.created.empty()) state.created = FormatNow();
  state.owner = getuid();
  state.sandbox = TRY(IdentifyProcess(getpid()));
  return {};
}

Result<grpc::CreateSandboxRequest> SandboxRequest(const SandboxPlan& plan) {
  grpc::CreateSandboxRequest request;
  request.set_sandbox_id(plan.id);
  request.set_hostname(plan.bundle.spec.hostname());
  const auto dns = TRY(plan.mounts.OnHost([&] { return DnsOf(plan.bundle.spec, plan.bundle.path); }));
  for (const std::string& line : dns) request.add_dns(line);
  if (plan.pod) {
    *request.add_storages() =
        TRY(plan.mounts.OnHost([&]() -> Result<grpc::Storage> { return PodShm(plan.bundle.spec, plan.bundle.path); }));
  }
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

Result<std::shared_ptr<Machine>> MakeMachine(const asio::any_io_executor& executor, SandboxPlan& plan, uint32_t vcpus,
                                             const std::string& shared_dir) {
  const hypervisor::AccelChoice accel = TRY(hypervisor::ChooseAccel(plan.config.hypervisor.accel));
  MachineParts parts;
  auto network = network::OptionsOf(plan.config, plan.id, vcpus, plan.host_network);
  parts.network = TRY(network::Network::Create(executor, std::move(network), std::move(plan.network_namespace)));
  parts.id = plan.id;
  parts.agent = plan.config.agent;
  parts.timeout_scale = hypervisor::TimeoutScale(accel.accel);
  parts.vmm_user = kFirstVmmUser + static_cast<uid_t>(getpid());
  parts.hypervisor = TRY(hypervisor::CreateHypervisor(executor, plan.config));
  parts.start_virtiofsd = [settings = plan.config.hypervisor, shared_dir, directory = plan.directory.get()] {
    return hypervisor::StartVirtiofsd(settings, shared_dir, directory);
  };
  return std::make_shared<Machine>(executor, std::move(parts));
}

}  // namespace

Result<config::Config> LoadConfig(const std::string& path, const oci::Bundle& bundle, bool warn) {
  config::Loaded loaded = TRY(config::Load(config::OptionsOfProcess(path)));
  if (warn) {
    for (const std::string& warning : loaded.warnings) log::Warn("{}", warning);
  }
  for (const std::string& warning : TRY(config::ApplyAnnotations(loaded.config, bundle.annotations))) {
    log::Warn("{}", warning);
  }
  return std::move(loaded.config);
}

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

Result<std::shared_ptr<Sandbox>> StartSandbox(const asio::any_io_executor& executor, SandboxPlan& plan) {
  SandboxParts parts;
  parts.shared_files = TRY(SharedFiles::Create(plan.directory.get()));
  std::string shared_dir = parts.shared_files->path();
  // What the pod's containers will ask for, as far as their manager knows it now.
  const grpc::LinuxResources resources =
      plan.pod ? TRY(oci::PodResources(plan.bundle.annotations)) : plan.bundle.spec.linux().resources();
  VmSize size = SizeVm(plan.config.hypervisor, resources, ThisHost());
  auto machine = parts.machine = TRY(MakeMachine(executor, plan, size.vcpus, shared_dir));
  parts.pod = plan.pod;
  parts.standing = plan.standing;
  parts.guest_seccomp = !plan.config.runtime.disable_guest_seccomp;
  parts.block_devices = !plan.config.hypervisor.disable_block_device_use;
  TRY(CompleteState(plan));
  parts.directory = plan.directory.get();
  parts.on_created = [shared_dir] {
    if (auto dropped = DropHostMounts(shared_dir); !dropped) log::Warn("{}", dropped.error().message());
  };
  grpc::CreateSandboxRequest request = TRY(SandboxRequest(plan));
  UniqueFd console = TRY(rpc::ListenUnix(plan.directory.get(), kConsoleSocket));
  parts.mounts = plan.mounts;
  parts.bundle = std::move(plan.bundle);
  parts.state = std::move(plan.state);
  machine->timing().Record(Phase::kConfig, plan.began);
  auto sandbox = std::make_shared<Sandbox>(executor, std::move(parts));
  TRY(sandbox->Store());
  machine->hypervisor().ServeConsole(std::move(console));
  asio::co_spawn(executor, Machine::Boot(machine, size, std::move(request)), asio::detached);
  return sandbox;
}

void EndOrphans() {
  while (true) {
    auto children = ReadFile(fmt::format("/proc/self/task/{}/children", getpid()));
    if (!children || children->empty()) return;
    pid_t child = static_cast<pid_t>(std::strtol(children->c_str(), nullptr, 10));
    if (child <= 0 || kill(child, SIGKILL) != 0 || waitpid(child, nullptr, 0) < 0) return;
  }
}

}  // namespace kata::sandbox
