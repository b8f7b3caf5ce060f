// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"
#include "base/user_namespace.h"

namespace kata::sandbox::network {
namespace {

constexpr char kOwn[] = "/proc/self/ns/net";

}  // namespace

bool CanReturn() {
  const UniqueFd home(open(kOwn, O_RDONLY | O_CLOEXEC));
  return home && setns(home.get(), CLONE_NEWNET) == 0;
}

Namespace::Visit::Visit(int there) {
  struct stat here {
  }, target{};
  if (stat(kOwn, &here) != 0 || fstat(there, &target) != 0) {
    error = errno;
    return;
  }
  if (here.st_ino == target.st_ino && here.st_dev == target.st_dev) return;
  home.Reset(open(kOwn, O_RDONLY | O_CLOEXEC));
  // The first call changes nothing: it shows that this process may come back.
  if (!home || setns(home.get(), CLONE_NEWNET) != 0 || setns(there, CLONE_NEWNET) != 0) error = errno;
}

Namespace::Visit::~Visit() {
  if (error != 0 || !home || setns(home.get(), CLONE_NEWNET) == 0) return;
  // Continuing in a pod's network would be worse than aborting.
  log::Error("cannot return to the own network namespace: {}", ErrnoText(errno));
  std::abort();
}

Result<Namespace> Namespace::Of(UniqueFd fd) {
  const int type = ioctl(fd.get(), NS_GET_NSTYPE);
  if (type != CLONE_NEWNET) return Fail(Code::kInvalidArgument, "it is not a network namespace");
  return Namespace(std::move(fd));
}

Result<Namespace> Namespace::Open(const std::string& path) {
  // O_NONBLOCK, in case it is a FIFO.
  UniqueFd fd = TRY(kata::Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  return Context(Of(std::move(fd)), "{}", path);
}

Result<Namespace> Namespace::New() {
  // In a child: this process might not be able to come back.
  const Child holder = TRY(Context(Fork({.fds = {-1, -1, -1}, .flags = CLONE_NEWNET},
                                        [] {
                                          for (;;) pause();
                                        }),
                                   "cannot make a network namespace"));
  return Namespace(TRY(kata::Open(fmt::format("/proc/{}/ns/net", TRY(PidInProc(holder.pidfd()))), O_RDONLY)));
}

Result<> Namespace::Enter() const {
  if (setns(fd_.get(), CLONE_NEWNET) != 0) return FailErrno("cannot enter the network namespace");
  return {};
}

Result<UniqueFd> Namespace::Duplicate() const {
  UniqueFd copy(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) return FailErrno("cannot duplicate the network namespace's descriptor");
  return copy;
}

Result<bool> Namespace::IsHosts() const {
  struct stat mine {
  }, hosts{};
  if (fstat(fd_.get(), &mine) != 0) return FailErrno("cannot look at the network namespace");
  if (!IsHostsRoot()) {
    const UniqueFd owner(ioctl(fd_.get(), NS_GET_USERNS));
    return !owner && errno == EPERM;
  }
  if (stat("/proc/1/ns/net", &hosts) != 0 && stat(kOwn, &hosts) != 0) {
    return FailErrno("cannot look at the host's network namespace");
  }
  return mine.st_ino == hosts.st_ino && mine.st_dev == hosts.st_dev;
}

}  // namespace kata::sandbox::network
