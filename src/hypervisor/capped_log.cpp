// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/capped_log.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/text.h"

namespace kata::hypervisor {

Result<CappedLog> CappedLog::Create() {
  UniqueFd fd(memfd_create("stderr", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return FailErrno("cannot make a memory file for a child's messages");
  if (ftruncate(fd.get(), kSize) != 0) return FailErrno("cannot size a memory file");
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return FailErrno("cannot seal a memory file");
  }
  return CappedLog(std::move(fd));
}

std::string CappedLog::TailOf(int fd, size_t limit) {
  if (fd < 0) return {};
  std::string text(kSize, '\0');
  const ssize_t count = pread(fd, text.data(), text.size(), 0);
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  // The rest of the file is zeros. A child that writes zeros itself only shortens its own messages.
  text.resize(std::min(text.find('\0'), text.size()));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.size() > limit) {
    const size_t line = text.find('\n', text.size() - limit);
    text.erase(0, line == std::string::npos ? text.size() - limit : line + 1);
  }
  return Printable(text);
}

}  // namespace kata::hypervisor
