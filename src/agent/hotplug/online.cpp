// SPDX-License-Identifier: Apache-2.0
#include "agent/hotplug/online.h"

#include <fcntl.h>

#include "base/files.h"

namespace kata::agent {

namespace {

// Writes `on` into each directory/PREFIXn/file that has `off` in it.
Result<uint32_t> Switch(const std::string& directory, std::string_view prefix, const char* file, std::string_view off,
                        const char* on) {
  const UniqueFd fd = TRY(Open(directory, O_RDONLY | O_DIRECTORY));
  uint32_t switched = 0;
  for (const std::string& name : TRY(ListDir(fd.get()))) {
    if (!name.starts_with(prefix)) continue;
    const std::string path = fmt::format("{}/{}/{}", directory, name, file);
    // The first processor has no such file on most machines, and other files may begin like a processor.
    const auto text = ReadFile(path, 64);
    if (!text || !text->starts_with(off)) continue;
    const auto written = WriteFile(path, on);
    // The kernel may have been faster.
    const bool still_off = !written && ReadFile(path, 64).value_or("").starts_with(off);
    if (still_off) TRY(Context(written, "cannot take {} into use", name));
    ++switched;
  }
  return switched;
}

}  // namespace

Result<uint32_t> OnlineCpus(const std::string& directory) { return Switch(directory, "cpu", "online", "0", "1"); }

Result<uint32_t> OnlineMemory(const std::string& directory) {
  return Switch(directory, "memory", "state", "offline", "online");
}

}  // namespace kata::agent
