// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/file_server.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/files.h"
#include "base/process_table.h"
#include "base/security_module.h"
#include "base/user_namespace.h"
#include "config/file_server_arguments.h"
#include "hypervisor/capped_log.h"
#include "hypervisor/confinement.h"
#include "hypervisor/stopping_signals.h"

namespace kata::hypervisor {
namespace {

constexpr char kSocketName[] = "file-server.sock";

// For a virtiofsd (kata-fsd has rules of its own, and ignores the map): the extended attributes that are passed
// through, which are user attributes and file capabilities. For others it answers like a file system without
// attributes. security.selinux and the like would have a meaning on the host. ACLs must not be set: without
// FUSE_POSIX_ACL, which QEMU's virtiofsd does not offer in a usable form, the guest's kernel does not check who sets
// one, and the server, as root, would give any file any mode for anybody.
constexpr std::string_view kXattrMap =
    "xattrmap=/ok/all/user./user.//ok/all/security.capability/security.capability//unsupported/all///";

// Converts the configuration's cache modes, which have the names of newer versions of virtiofsd.
Result<std::string_view> CacheMode(const std::string& name) {
  if (name == "never" || name == "none") return "none";
  // Neither kata-fsd nor QEMU's virtiofsd has "metadata". "auto" is the next stricter mode: it also revalidates a
  // file's data at open.
  if (name == "metadata" || name == "auto") return "auto";
  if (name == "always") return "always";
  return Fail(Code::kInvalidArgument, "virtio_fs_cache: {} is none of never, metadata, auto, always", name);
}

// In the list of -o a comma ends an option unless it is escaped with a backslash.
std::string Escaped(std::string_view path) {
  std::string result;
  for (const char c : path) {
    if (c == ',' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

struct Listener {
  UniqueFd socket;
  sockaddr_un address = {};
};

// Through a descriptor of the directory, since its path may be longer than sun_path.
Result<Listener> Listen(int directory) {
  Listener listener;
  listener.socket.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener.socket) return FailErrno("cannot make a socket");
  listener.address.sun_family = AF_UNIX;
  const std::string path = FdPath(directory) + "/" + kSocketName;
  path.copy(listener.address.sun_path, sizeof listener.address.sun_path - 1);
  unlinkat(directory, kSocketName, 0);
  if (bind(listener.socket.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof listener.address) != 0 ||
      listen(listener.socket.get(), 1) != 0) {
    return FailErrno("cannot listen on {}", kSocketName);
  }
  return listener;
}

// The program's profile of AppArmor: a virtiofsd mounts more.
std::string ProfileOf(const std::string& program) {
  return program.ends_with("/kata-fsd") ? kFsdProfile : kVirtiofsdProfile;
}

// The daemon's child, which runs in a pid namespace of its own; -1: none.
pid_t InnerProcess(pid_t outer) {
  const std::vector<pid_t> children = ChildrenOf(outer);
  return children.empty() ? -1 : children.front();
}

}  // namespace

Result<std::vector<std::string>> FileServerArgv(const config::HypervisorConfig& config, const std::string& shared_dir,
                                                int listen_fd, uint64_t max_files) {
  std::vector<std::string> argv = {config.virtio_fs_daemon, "-f"};
  for (std::string& word : TRY(config::FileServerArguments(config.virtio_fs_extra_args)))
    argv.push_back(std::move(word));
  // After the extra arguments, since a later option overrides an earlier one.
  for (std::string option : {fmt::format("cache={}", TRY(CacheMode(config.virtio_fs_cache))), std::string(kXattrMap),
                             std::string("sandbox=namespace"), "source=" + Escaped(shared_dir)}) {
    argv.emplace_back("-o");
    argv.push_back(std::move(option));
  }
  argv.push_back(fmt::format("--rlimit-nofile={}", max_files));
  argv.push_back(fmt::format("--fd={}", listen_fd));
  return argv;
}

std::string FileServerAdvice(const config::HypervisorConfig& config) {
  const std::string& path = config.virtio_fs_daemon;
  const char* const cure = path.starts_with("/usr/lib/qemu/") ? "install Debian 12's package qemu-system-common"
                           : path.ends_with("/virtiofsd")     ? "install Debian's package virtiofsd"
                                                              : "install kata-fsd";
  return fmt::format("{}, or set virtio_fs_daemon in [{}]", cure, config.Table());
}

uint64_t MaxFiles() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  constexpr uint64_t kMany = 1000000;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  // The host's CAP_SYS_RESOURCE: that of a user namespace raises no hard limit.
  const bool may_raise =
      IsHostsRoot() && syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1U << CAP_SYS_RESOURCE)) != 0;
  // Without it the daemon cannot raise the hard limit, and would not start.
  return may_raise ? std::max<uint64_t>(limit.rlim_max, kMany) : std::min<uint64_t>(limit.rlim_max, kMany);
}

Result<FileServer> StartFileServer(const config::HypervisorConfig& config, const std::string& shared_dir,
                                   int runtime_dir) {
  Listener listener = TRY(Context(Listen(runtime_dir), "cannot start the file server"));
  FileServer daemon;
  daemon.program = config.virtio_fs_daemon;
  daemon.table = config.Table();
  daemon.log = TRY(CappedLog::Create()).Release();
  Command command;
  command.argv = TRY(FileServerArgv(config, shared_dir, ExtraFdNumber(0), MaxFiles()));
  command.env = std::vector<std::string>{"LC_ALL=C"};
  command.stderr_fd = daemon.log.get();
  command.extra_fds = {listener.socket.get()};
  const UniqueFd root = TRY(Open("/", O_PATH | O_DIRECTORY));
  command.working_directory = root.get();
  command.before_exec = BlockStoppingSignals();
  command.labels = TRY(Context(LabelsAtExec(config, ProfileOf(config.virtio_fs_daemon)), "the file server"));
  auto child = Spawn(command);
  if (!child) {
    unlinkat(runtime_dir, kSocketName, 0);
    return Fail(child.error().code(), "cannot start the file server: {}{}", child.error().message(),
                child.error().sys() == ENOENT ? "; " + FileServerAdvice(config) : "");
  }
  daemon.process = *std::move(child);
  daemon.vmm_socket.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // The kernel queues the connection, so this does not wait for the daemon.
  const int connected =
      connect(daemon.vmm_socket.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof listener.address);
  const int sys = errno;
  unlinkat(runtime_dir, kSocketName, 0);
  if (connected != 0) return FailWith(sys, "cannot connect to the file server");
  return daemon;
}

std::string FileServer::LogTail() const { return CappedLog::TailOf(log.get()); }

std::string FileServer::DescribeExit(const ExitStatus& status) const {
  const std::string words = LogTail();
  std::string text = program.substr(program.rfind('/') + 1) + " " + status.Describe();
  if (!words.empty()) return text + ": " + words;
  if (status.signal != 0) return text;
  return text + fmt::format(" without a word (virtio_fs_daemon in [{}] is {})", table, program);
}

void FileServer::End() {
  if (!process.running()) return;
  vmm_socket.Reset();
  // Kill the inner process first, so that the daemon reaps it. If the daemon were killed first, the host's PID 1 would
  // have to reap the inner process.
  const pid_t inner = InnerProcess(process.pid());
  if (inner > 0) {
    const auto pidfd = OpenPidfd(inner);
    // Check again, because the pid may have been reused before the pidfd was opened.
    if (pidfd && InnerProcess(process.pid()) == inner) {
      syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0);
      pollfd ended = {process.pidfd(), POLLIN, 0};
      poll(&ended, 1, 1000);
    }
  }
  process.End();
}

}  // namespace kata::hypervisor
