// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox::network {
namespace {

constexpr char kOwn[] = "/proc/self/ns/net";

}  // namespace

Namespace::Visit::Visit(int there) : home(open(kOwn, O_RDONLY | O_CLOEXEC)) {
  if (!home || setns(there, CLONE_NEWNET) != 0) error = errno;
}

Namespace::Visit::~Visit() {
  if (error != 0 || setns(home.get(), CLONE_NEWNET) == 0) return;
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
  const UniqueFd home = TRY(kata::Open(kOwn, O_RDONLY));
  if (unshare(CLONE_NEWNET) != 0) return FailErrno("cannot make a network namespace");
  auto fresh = kata::Open(kOwn, O_RDONLY);
  if (setns(home.get(), CLONE_NEWNET) != 0) {
    log::Error("cannot return to the own network namespace: {}", ErrnoText(errno));
    std::abort();
  }
  return Namespace(TRY(std::move(fresh)));
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
  if (stat("/proc/1/ns/net", &hosts) != 0 && stat(kOwn, &hosts) != 0) {
    return FailErrno("cannot look at the host's network namespace");
  }
  return mine.st_ino == hosts.st_ino && mine.st_dev == hosts.st_dev;
}

}  // namespace kata::sandbox::network
