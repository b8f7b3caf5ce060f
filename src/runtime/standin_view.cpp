// SPDX-License-Identifier: Apache-2.0
#include "runtime/standin_view.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/files.h"
#include "sandbox/files/guest_mounts.h"

namespace kata::runtime {
namespace {

constexpr int kReportFd = 3;
constexpr int kNamespaceFd = 4;

Result<> ShowBind(const grpc::Mount& mount, const std::string& bundle, int root, int place) {
  const std::string path = sandbox::SourcePath(mount, bundle);
  const unsigned long recursive = sandbox::IsRecursive(mount) ? MS_REC : 0;
  if (::mount(path.c_str(), FdPath(place).c_str(), nullptr, MS_BIND | recursive, nullptr) != 0) {
    return FailErrno("cannot bind {}", path);
  }
  if (sandbox::ReadOnlyOf(mount) == sandbox::ReadOnly::kNo) return {};
  // Open the path again: `place` still refers to the directory beneath the new mount.
  const UniqueFd bound = TRY(OpenInRoot(root, mount.destination(), O_PATH));
  if (::mount(nullptr, FdPath(bound.get()).c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
    return FailErrno("cannot make {} read-only", path);
  }
  return {};
}

Result<> ShowMount(const grpc::Mount& mount, const std::string& bundle, int root) {
  // A mount point that does not exist is in a directory that only the guest has, such as its /dev: nothing to cover.
  const auto place = OpenInRoot(root, mount.destination(), O_PATH);
  if (!place) return {};
  if (sandbox::IsBind(mount)) return ShowBind(mount, bundle, root, place->get());
  constexpr unsigned long kFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("tmpfs", FdPath(place->get()).c_str(), "tmpfs", kFlags, "size=4k,mode=755") != 0) {
    return FailErrno("cannot cover it");
  }
  return {};
}

Result<> Enter(const oci::Bundle& bundle) {
  if (setns(kNamespaceFd, CLONE_NEWNS) != 0) return FailErrno("cannot enter its mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return FailErrno("cannot make it private");
  const char* rootfs = bundle.rootfs.c_str();
  if (::mount(rootfs, rootfs, nullptr, MS_BIND | MS_REC, nullptr) != 0 || chdir(rootfs) != 0) {
    return FailErrno("cannot bind {}", bundle.rootfs);
  }
  const UniqueFd root = TRY(Open(".", O_PATH | O_DIRECTORY));
  for (int i = 0; i < bundle.spec.mounts_size(); ++i) {
    const grpc::Mount& mount = bundle.spec.mounts(i);
    TRY(Context(ShowMount(mount, bundle.path, root.get()), "mounts[{}] (at {})", i, mount.destination()));
  }
  if (bundle.spec.root().readonly() &&
      ::mount(nullptr, FdPath(root.get()).c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
    return FailErrno("cannot make the root read-only");
  }
  // pivot_root(2) also changes the root and working directory of the stand-in, which is in the same mount namespace.
  if (syscall(SYS_pivot_root, ".", ".") != 0) return FailErrno("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) return FailErrno("cannot detach the host's mounts");
  return {};
}

}  // namespace

Result<> ShowContainer(pid_t standin, const oci::Bundle& bundle) {
  if (bundle.rootfs == "/") return {};  // the container's root is the host's root, which the stand-in already has
  const UniqueFd mounts = TRY(Open(fmt::format("/proc/{}/ns/mnt", standin), O_RDONLY));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  const UniqueFd report(ends[0]);
  UniqueFd writer(ends[1]);
  Child child = TRY(Fork({.fds = {-1, -1, -1, writer.get(), mounts.get()}}, [&bundle] {
    const auto entered = Enter(bundle);
    if (entered) _exit(0);
    (void)WriteAll(kReportFd, entered.error().message());
  }));
  writer.Reset();
  const std::string why = TRY(ReadAll(report.get()));
  const ExitStatus status = TRY(child.Wait());
  if (status.Shell() == 0) return {};
  return Fail(Code::kInternal, "the stand-in cannot show the container: {}", why.empty() ? status.Describe() : why);
}

}  // namespace kata::runtime
