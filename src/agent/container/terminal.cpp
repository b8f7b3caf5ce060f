// SPDX-License-Identifier: Apache-2.0
#include "agent/container/terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/container/devices.h"
#include "agent/container/mount_api.h"
#include "base/files.h"

namespace kata::agent {

Result<Terminal> OpenTerminal(int root, uid_t uid, uint32_t rows, uint32_t columns) {
  // Checks with O_PATH before it opens: another file in this place could block or have side effects (CVE-2025-52565).
  const UniqueFd pts = TRY(Context(OpenInRoot(root, "/dev/pts", O_PATH | O_DIRECTORY),
                                   "process.terminal: the container has no devpts at /dev/pts"));
  const UniqueFd ptmx = TRY(Context(OpenBeneath(pts.get(), "ptmx", O_PATH), "process.terminal: /dev/pts"));
  if (!IsOnFilesystem(ptmx.get(), DEVPTS_SUPER_MAGIC) || !IsCharDevice(ptmx.get(), 5, 2)) {
    return Fail(Code::kInvalidArgument, "process.terminal: /dev/pts of the container is no devpts");
  }
  Terminal terminal;
  terminal.master = TRY(OpenBeneath(pts.get(), "ptmx", O_RDWR | O_NOCTTY));
  int unlock = 0;
  if (!IsCharDevice(terminal.master.get(), 5, 2) || ioctl(terminal.master.get(), TIOCSPTLCK, &unlock) != 0) {
    return FailErrno("process.terminal: cannot unlock a pty");
  }
  terminal.slave.Reset(ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return FailErrno("process.terminal: cannot open the pty's slave");
  if (fchown(terminal.slave.get(), uid, static_cast<gid_t>(-1)) != 0) {
    return FailErrno("process.terminal: cannot give the pty to user {}", uid);
  }
  if (rows != 0 && columns != 0) {
    winsize size{};
    size.ws_row = static_cast<uint16_t>(rows);
    size.ws_col = static_cast<uint16_t>(columns);
    if (ioctl(terminal.master.get(), TIOCSWINSZ, &size) != 0) return FailErrno("process.consoleSize: cannot set it");
  }
  return terminal;
}

Result<> BindConsole(int root, int slave) {
  const UniqueFd dev =
      TRY(Context(OpenBeneath(root, "dev", O_PATH | O_DIRECTORY), "/dev must be an ordinary directory"));
  const UniqueFd made(openat(dev.get(), "console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!made && errno != EEXIST) return FailErrno("cannot make /dev/console");
  const UniqueFd target = TRY(OpenBeneath(dev.get(), "console", O_PATH));
  const UniqueFd tree = TRY(CloneMount(slave, "", /*recursive=*/false));
  return Context(AttachMount(tree.get(), target.get()), "/dev/console");
}

Result<> TakeTerminal(int slave) {
  if (ioctl(slave, TIOCSCTTY, 0) != 0) return FailErrno("process.terminal: cannot make it the controlling terminal");
  for (int fd = 0; fd < 3; ++fd) {
    if (dup2(slave, fd) < 0) return FailErrno("process.terminal: cannot make it standard input and output");
  }
  return {};
}

}  // namespace kata::agent
