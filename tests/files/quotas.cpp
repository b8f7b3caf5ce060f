// SPDX-License-Identifier: Apache-2.0
// What asking for quotas answers where there are none.
#include <fcntl.h>
#include <sys/quota.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {

void Quotas(const Place&) {
  const UniqueFd dir(open(".", O_RDONLY));
  const auto ask = [&](const char* name, int command, int kind, void* answer) {
    Call(name, syscall(SYS_quotactl_fd, dir.get(), QCMD(command, kind), 1000, answer));
  };
  dqblk block = {};
  dqinfo info = {};
  uint32_t format = 0;
  ask("user-get", Q_GETQUOTA, USRQUOTA, &block);
  ask("group-get", Q_GETQUOTA, GRPQUOTA, &block);
  ask("user-set", Q_SETQUOTA, USRQUOTA, &block);
  ask("user-info", Q_GETINFO, USRQUOTA, &info);
  ask("user-format", Q_GETFMT, USRQUOTA, &format);
  ask("user-sync", Q_SYNC, USRQUOTA, nullptr);
  ask("user-off", Q_QUOTAOFF, USRQUOTA, nullptr);
}

}  // namespace kata::files
