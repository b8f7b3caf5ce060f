// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/check.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/files.h"
#include "base/security_module.h"
#include "base/user_namespace.h"
#include "hypervisor/accel.h"
#include "hypervisor/check_traps.h"
#include "hypervisor/file_server.h"
#include "hypervisor/program_version.h"
#include "hypervisor/qemu/host_files.h"
#include "hypervisor/vmm_user.h"

namespace kata::hypervisor {
namespace {

constexpr bool kOptional = false;

CheckItem Fact(std::string name, bool ok, std::string detail, std::string advice, bool required = true) {
  return {std::move(name), ok, required, std::move(detail), std::move(advice)};
}

// names: what a program of this kind calls itself when it is asked for its version.
CheckItem Program(const std::string& name, const std::string& path, const std::vector<std::string>& names,
                  const std::string& advice, double timeout_factor) {
  auto line = VersionLine(path, timeout_factor);
  const auto is_called = [&](const std::string& own) { return line->find(own) != std::string::npos; };
  if (line && std::none_of(names.begin(), names.end(), is_called)) {
    line = Fail(Code::kInvalidArgument, "{} is another program: {}", path, *line);
  }
  // A program that hangs or is slow is not missing, so it needs other advice.
  const bool late = !line && line.error().code() == Code::kDeadlineExceeded;
  const std::string cure = "look at what keeps it, or raise timeout_factor in [runtime] on a host that is slow";
  if (late) return Fact(name, /*ok=*/false, line.error().message(), cure);
  return Fact(name, line.has_value(), line ? fmt::format("{} ({})", path, *line) : line.error().message(), advice);
}

CheckItem OfGuest(const qemu::GuestFile& file) {
  const auto fd = qemu::TryGuestFile(file);
  return Fact("guest " + file.what, fd.has_value(), fd ? file.path : fd.error().message(), file.advice);
}

CheckItem Device(const std::string& path, const std::string& meaning, const std::string& otherwise) {
  const auto fd = Open(path, O_RDWR | O_NONBLOCK);
  return Fact(path, fd.has_value(), fd ? meaning : fd.error().message(), otherwise, kOptional);
}

// Opens the device, and looks at what a tiny VM has shown.
CheckItem TriedKvm(const AccelFacts& facts) {
  const auto fd = Open(facts.kvm, O_RDWR);
  if (!fd) {
    const bool denied = fd.error().sys() == EACCES || fd.error().sys() == EPERM;
    const char* const cure = denied ? "guests are emulated; for speed join the group of the device"
                                    : "guests are emulated; for speed load kvm_intel or kvm_amd";
    return Fact(facts.kvm, /*ok=*/false, fd.error().message(), cure, kOptional);
  }
  const auto probe = facts.probe(fd->get());
  const bool works = probe && probe->works;
  const std::string detail =
      !probe   ? probe.error().message()
      : !works ? "opens, but " + probe->why
               : fmt::format("runs a VM, {:.3g} us for an exit", 1e-3 * static_cast<double>(probe->exit_time.count()));
  const char* const advice = probe ? "guests are emulated; for speed use a host whose KVM has hardware virtualization"
                                   : "guests are emulated as long as no VM can be made to try it";
  return Fact(facts.kvm, works, detail, advice, kOptional);
}

// Calls unshare(2) in a child, so that this process stays in its namespaces.
CheckItem Namespaces() {
  const pid_t pid = fork();
  if (pid == 0) _exit(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) == 0 ? 0 : errno);
  int status = 0;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const int sys = pid < 0 ? errno : WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
  return Fact("namespaces", sys == 0, sys == 0 ? "mount, pid and network namespaces can be made" : ErrnoText(sys),
              "run as root, or as root of a user namespace; inside a container, run it privileged");
}

void AddAcceleration(const config::Config& config, std::vector<CheckItem>& items) {
  const AccelFacts facts = HostAccelFacts(config.runtime.timeout_factor);
  const bool hardware = HasHardwareVirtualization(facts);
  items.push_back(Fact(
      "processor", hardware, hardware ? "has hardware virtualization" : "shows neither vmx nor svm",
      "guests are emulated; for speed switch virtualization on in the firmware, or nesting in the cloud", kOptional));
  items.push_back(TriedKvm(facts));
  const auto choice = ChooseAccelFrom(facts, config.hypervisor.accel);
  items.push_back(Fact("acceleration", choice.has_value(),
                       choice ? fmt::format("{}: {}", choice->accel == Accel::kKvm ? "kvm" : "tcg", choice->why)
                              : choice.error().message(),
                       fmt::format("set accel = \"auto\" in [{}]", config.hypervisor.Table())));
  if (!choice || choice->accel != Accel::kKvm) return;
  const auto user = VmmUserOf(getpid());
  const auto credentials = user ? VmmCredentials(*user, facts.kvm) : tl::unexpected(user.error());
  items.push_back(Fact("kvm for QEMU's user", credentials.has_value(),
                       !credentials            ? credentials.error().message()
                       : credentials->uid == 0 ? "QEMU runs as the user itself, since no other may open it"
                                               : "QEMU's user may open it",
                       "chgrp kvm /dev/kvm && chmod 0660 /dev/kvm, or set accel = \"tcg\""));
}

std::string ModulesOfKernel() {
  utsname name = {};
  (void)uname(&name);  // it only fails for a bad pointer
  return fmt::format("/lib/modules/{}", name.release);
}

void AddKernelFeatures(std::vector<CheckItem>& items) {
  const UniqueFd memory(memfd_create("check", MFD_CLOEXEC));
  items.push_back(
      Fact("memfd", memory.valid(), memory ? "the guests' memory" : ErrnoText(errno), "use Linux 3.17 or newer"));
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const UniqueFd opened(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
  items.push_back(Fact("openat2", opened.valid(), opened ? "walks paths in one step" : ErrnoText(errno),
                       "paths are walked step by step; Linux 5.6 or newer is faster", kOptional));
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  items.push_back(
      Fact("pidfd", pidfd.valid(), pidfd ? "watches processes" : ErrnoText(errno), "use Linux 5.4 or newer"));
}

CheckItem Cgroups() {
  if (access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0)
    return Fact("cgroups", /*ok=*/true, "version 2", "", kOptional);
  const auto controllers = ReadFile("/proc/cgroups");
  const bool mounted =
      access("/sys/fs/cgroup", W_OK) == 0 && controllers && controllers->find("memory\t") != std::string::npos;
  return Fact("cgroups", mounted, mounted ? "version 1, or both" : "none that can be written at /sys/fs/cgroup",
              "sandboxes run, but the host does not limit or count them; mount cgroup2 on /sys/fs/cgroup", kOptional);
}

CheckItem AppArmor(const config::HypervisorConfig& settings) {
  const auto label = ProfileAtExec(settings.apparmor, kQemuProfile);
  if (!label) return Fact("AppArmor", /*ok=*/false, label.error().message(), "or set apparmor = \"auto\"");
  if (settings.apparmor == "off") return Fact("AppArmor", /*ok=*/true, "apparmor = \"off\"", "", kOptional);
  return Fact("AppArmor", label->has_value(),
              *label ? fmt::format("QEMU runs in the profile {}", kQemuProfile) : "is off, or has no profiles of ours",
              "sandboxes run without profiles; apparmor_parser -r /etc/apparmor.d/kata-* where the host has AppArmor",
              kOptional);
}

}  // namespace

std::vector<CheckItem> CheckHost(const config::Config& config) {
  const auto& settings = config.hypervisor;
  const std::string table = settings.Table();
  const double timeout_factor = config.runtime.timeout_factor;
  std::vector<CheckItem> items;
  const char* const kind = IsHostsRoot() ? "root" : "root of a user namespace";
  items.push_back(
      Fact("user", geteuid() == 0, geteuid() == 0 ? kind : fmt::format("uid {}", geteuid()),
           "run as root, or as a user through Podman; `podman unshare kata-runtime check` says what Podman's "
           "containers would find"));
  const std::vector<std::string> built = BuiltHypervisors();
  const bool known = std::find(built.begin(), built.end(), settings.name) != built.end();
  items.push_back(
      Fact("hypervisor", known, settings.name,
           fmt::format("it is not built in: set hypervisor_name in [runtime] to one of {}", fmt::join(built, ", "))));
  AddAcceleration(config, items);
  items.push_back(Program("QEMU", settings.path, {"QEMU emulator"},
                          fmt::format("install Debian's package qemu-system-x86, or set path in [{}]", table),
                          timeout_factor));
  items.push_back(Program("file server", settings.virtio_fs_daemon, {"kata-fsd", "virtiofsd"},
                          FileServerAdvice(settings), timeout_factor));
  items.push_back(OfGuest(qemu::KernelOf(settings)));
  items.push_back(OfGuest(qemu::InitrdOf(settings)));
  items.push_back(Device("/dev/vhost-vsock", "the agent is reached by vsock",
                         "the agent is reached by a virtio-serial port; modprobe vhost_vsock for vsock"));
  items.push_back(Device("/dev/vhost-net", "the host's kernel moves the packets of networks",
                         "QEMU moves the packets, which is slower; modprobe vhost_net"));
  items.push_back(
      Device("/dev/net/tun", "networks are connected by taps", "containers with a network cannot start; modprobe tun"));
  items.push_back(NetworkModules("/sys/module", ModulesOfKernel()));
  items.push_back(RootPropagation(ReadFile("/proc/self/mountinfo").value_or("")));
  items.push_back(Namespaces());
  AddKernelFeatures(items);
  items.push_back(Cgroups());
  items.push_back(AppArmor(settings));
  return items;
}

bool CanRunGuests(const std::vector<CheckItem>& items) {
  return std::all_of(items.begin(), items.end(), [](const CheckItem& item) { return item.ok || !item.required; });
}

}  // namespace kata::hypervisor
