// SPDX-License-Identifier: Apache-2.0
#include "agent/hotplug/online.h"

#include <fcntl.h>

#include "base/files.h"

namespace kata::agent {

namespace {

// Writes `on` to every directory/PREFIX*/file whose content begins with `off`, and returns how many there were.
Result<uint32_t> Switch(const std::string& directory, std::string_view prefix, const char* file, std::string_view off,
                        const char* on) {
  const UniqueFd fd = TRY(Open(directory, O_RDONLY | O_DIRECTORY));
  uint32_t switched = 0;
  for (const std::string& name : TRY(ListDir(fd.get()))) {
    if (!name.starts_with(prefix)) continue;
    const std::string path = fmt::format("{}/{}/{}", directory, name, file);
    // Not every entry has the file: on most machines cpu0 does not, and neither do directories such as cpufreq.
    const auto text = ReadFile(path, 64);
    if (!text || !text->starts_with(off)) continue;
    const auto written = WriteFile(path, on);
    // If the write fails, the kernel may have brought it online in the meantime.
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
