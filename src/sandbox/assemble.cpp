// SPDX-License-Identifier: Apache-2.0
#include "sandbox/assemble.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "base/process_table.h"
#include "base/security_module.h"
#include "oci/pod.h"
#include "protocol/guest_contract.h"
#include "rpc/unix_socket.h"
#include "sandbox/host/host_cgroups.h"
#include "sandbox/record/directory.h"
#include "sandbox/task/task_client.h"

namespace kata::sandbox {
namespace {

Result<> CompleteState(SandboxPlan& plan) {
  State& state = plan.state;
  state.id = state.sandbox_id = plan.id;
  state.status = Status::kCreating;
  state.oci_version = plan.bundle.oci_version;
  state.bundle = plan.bundle.path;
  state.rootfs = plan.bundle.rootfs;
  for (const grpc::LinuxNamespace& space : plan.bundle.spec.linux().namespaces()) {
    if (space.type() == "network") state.network = space.path();
  }
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
  const auto dns = TRY(plan.mounts.OnHost([&] { return DnsOf(ResolvConfOf(plan.bundle.spec, plan.bundle.path)); }));
  for (const std::string& line : dns) request.add_dns(line);
  if (plan.pod) {
    *request.add_storages() =
        TRY(plan.mounts.OnHost([&]() -> Result<grpc::Storage> { return PodShm(plan.bundle.spec, plan.bundle.path); }));
  }
  grpc::Storage& storage = *request.add_storages();
  storage.set_driver(contract::kVirtioFsDriver);
  storage.set_source(contract::kSharedFsTag);
  storage.set_fstype("virtiofs");
  storage.set_mount_point(contract::kSharedDir);
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

// QEMU and the file server inherit this filter. They map the guest's memory as shared anonymous memory, which 0x31
// leaves out (core(5)).
void LeaveGuestMemoryOutOfCoreDumps() {
  if (auto set = WriteFile("/proc/self/coredump_filter", "0x31"); !set) log::Warn("{}", set.error().message());
}

// The VM's initial and largest size, and the rules of its growth.
struct PlannedSize {
  VmSize start;
  VmSize max;
  GrowthRules rules;
};

Result<PlannedSize> PlanSize(const SandboxPlan& plan, const hypervisor::Capabilities& can) {
  const config::RuntimeConfig& runtime = plan.config.runtime;
  PlannedSize size;
  size.rules.hypervisor = plan.config.hypervisor;
  size.rules.host = ThisHost();
  // The demand of all containers of the pod, as far as the manager has announced it in annotations.
  size.rules.announced =
      DemandOf(plan.pod ? TRY(oci::PodResources(plan.bundle.annotations)) : plan.bundle.spec.linux().resources());
  Demand demand = size.rules.announced;
  size.rules.fixed = runtime.static_sandbox_resource_mgmt || !can.grows;
  if (runtime.static_sandbox_resource_mgmt) {
    if (demand.memory_mib == 0) demand.memory_mib = runtime.static_sandbox_default_workload_mem;
    if (demand.cpus == 0) demand.cpus = runtime.static_sandbox_default_workload_vcpus;
  }
  size.start = TRY(SizeVm(plan.config.hypervisor, demand, size.rules.host));
  if (size.rules.fixed) return size;
  size.max = LargestVm(plan.config.hypervisor, size.rules.host);
  // default_maxvcpus is not set: room for more than usual_vcpus would make the boot longer.
  if (can.usual_vcpus > 0 && plan.config.hypervisor.default_maxvcpus == 0) {
    size.max.vcpus = std::min(size.max.vcpus, std::max(can.usual_vcpus, size.start.vcpus));
    size.rules.hypervisor.default_maxvcpus = size.max.vcpus;
  }
  // The VM of a pod starts with the base size and grows. The VM of a single container has its full size from the start,
  // which is quicker than growing.
  if (plan.pod) size.start = TRY(SizeVm(plan.config.hypervisor, Demand(), size.rules.host));
  return size;
}

Result<std::shared_ptr<Vm>> MakeVm(const asio::any_io_executor& executor, SandboxPlan& plan, const PlannedSize& size,
                                   std::unique_ptr<hypervisor::Hypervisor> hypervisor, const std::string& shared_dir) {
  VmParts parts;
  auto network = network::OptionsOf(plan.config, plan.id, size.start.vcpus, plan.host_network);
  parts.network = TRY(network::Network::Create(executor, std::move(network), std::move(plan.network_namespace)));
  parts.id = plan.id;
  parts.agent = plan.config.agent;
  parts.max_size = size.max;
  parts.timeout_factor = plan.config.runtime.timeout_factor;
  parts.pod = plan.pod;
  parts.vmm_user = TRY(hypervisor::VmmUserOf(getpid()));
  parts.hypervisor = std::move(hypervisor);
  parts.start_file_server = [settings = plan.config.hypervisor, shared_dir, directory = plan.directory.get()] {
    return hypervisor::StartFileServer(settings, shared_dir, directory);
  };
  return std::make_shared<Vm>(executor, std::move(parts));
}

// The limits of who calls are meant for that one's own programs. A VMM needs more memory, threads and time than they
// may allow, and the guest's processes have limits of their own.
void LiftLimits() {
  for (const auto resource : {RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NPROC}) {
    rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(resource, &limit) == 0 || getrlimit(resource, &limit) != 0) continue;
    limit.rlim_cur = limit.rlim_max;  // without CAP_SYS_RESOURCE that is as far as it goes
    (void)setrlimit(resource, &limit);
  }
}

// The label of the first container is that of its VM, since the host runs no other process of it. Returns the label for
// mounts of the sandbox; empty: none.
std::string ChooseSelinuxLabels(SandboxPlan& plan) {
  config::HypervisorConfig& settings = plan.config.hypervisor;
  const std::string& label = plan.bundle.spec.process().selinuxlabel();
  const std::string& mount_label = plan.bundle.spec.linux().mountlabel();
  if (settings.disable_selinux || !HasSelinux()) {
    if (!label.empty() || !mount_label.empty()) {
      log::Warn("the labels of the container are ignored: {}",
                settings.disable_selinux ? "disable_selinux = true" : "this host has no SELinux");
    }
    return {};
  }
  if (!label.empty()) settings.selinux_label = label;
  return mount_label;
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
    return Fail(Code::kAborted, "{} is no longer the sandbox's directory", path);
  }
  return again;
}

log::Level LogLevelOf(const config::RuntimeConfig& config) {
  if (config.enable_debug || config.log_level == "trace") return log::Level::kDebug;
  if (config.log_level == "critical") return log::Level::kError;
  return log::LevelFromName(config.log_level).value_or(log::Level::kInfo);
}

Result<std::shared_ptr<Sandbox>> StartSandbox(const asio::any_io_executor& executor, SandboxPlan& plan) {
  LeaveGuestMemoryOutOfCoreDumps();
  LiftLimits();
  const std::string mount_label = ChooseSelinuxLabels(plan);
  TRY(EnterProfile(plan.config.hypervisor.apparmor, plan.apparmor_profile));
  auto hypervisor = TRY(hypervisor::CreateHypervisor(executor, plan.config));
  PlannedSize size = TRY(PlanSize(plan, hypervisor->Can()));
  SandboxParts parts;
  parts.shared_files = TRY(SharedFiles::Create(plan.directory.get(), mount_label));
  std::string shared_dir = parts.shared_files->path();
  auto vm = parts.vm = TRY(MakeVm(executor, plan, size, std::move(hypervisor), shared_dir));
  parts.growth = std::move(size.rules);
  parts.host_limits = HostLimiter(plan.mounts, std::move(plan.limited_cgroups), plan.state.systemd_unit, plan.id);
  parts.pod = plan.pod;
  parts.standing = plan.standing;
  parts.pod_spec = std::move(plan.pod_spec);
  parts.guest_seccomp = !plan.config.runtime.disable_guest_seccomp;
  parts.block_devices = !plan.config.hypervisor.disable_block_device_use;
  TRY(CompleteState(plan));
  parts.directory = plan.directory.get();
  parts.root = plan.root ? plan.root.get() : -1;
  const auto place_vcpus = [weak = std::weak_ptr<Vm>(vm), mounts = plan.mounts, leaves = plan.vcpu_cgroups] {
    const auto vm = weak.lock();
    if (!vm || leaves.empty()) return;
    (void)mounts.OnHost([&]() -> Result<> {
      PlaceVcpus(leaves, vm->hypervisor().Pids(), vm->hypervisor().VcpuThreads());
      return {};
    });
  };
  parts.growth.grown = place_vcpus;
  parts.on_created = [shared_dir, place_vcpus] {
    place_vcpus();
    if (auto dropped = DropHostMounts(shared_dir); !dropped) log::Warn("{}", dropped.error().message());
  };
  grpc::CreateSandboxRequest request = TRY(SandboxRequest(plan));
  UniqueFd console = TRY(rpc::ListenUnix(plan.directory.get(), kConsoleSocket));
  parts.mounts = plan.mounts;
  parts.bundle = std::move(plan.bundle);
  parts.state = std::move(plan.state);
  vm->timing().Record(Phase::kConfig, plan.began);
  auto sandbox = std::make_shared<Sandbox>(executor, std::move(parts));
  TRY(sandbox->Store());
  if (plan.enter_cgroups) TRY(plan.enter_cgroups());
  vm->hypervisor().ServeConsole(std::move(console));
  asio::co_spawn(executor, Vm::Boot(vm, size.start, std::move(request)), asio::detached);
  return sandbox;
}

void EndOrphans() {
  while (true) {
    const std::vector<pid_t> children = ChildrenOf(getpid());
    if (children.empty()) return;
    const pid_t child = children.front();
    if (kill(child, SIGKILL) != 0 || waitpid(child, nullptr, 0) < 0) return;
  }
}

}  // namespace kata::sandbox
