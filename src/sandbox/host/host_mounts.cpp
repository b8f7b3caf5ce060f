// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/host_mounts.h"

#include <algorithm>
#include <charconv>

#include "base/files.h"

namespace kata::sandbox {
namespace {

// A node of Kubernetes may have thousands of mounts.
constexpr size_t kMaxMountinfo = 16U << 20U;

// Takes the first word off a line.
std::string_view TakeWord(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

int Number(std::string_view text) {
  int value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::vector<HostMount> ParseMounts(std::string_view text) {
  std::vector<HostMount> mounts;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    // id parent major:minor root point ...
    HostMount mount;
    mount.id = Number(TakeWord(line));
    TakeWord(line);
    TakeWord(line);
    mount.root = UnescapeMountinfo(TakeWord(line));
    mount.point = UnescapeMountinfo(TakeWord(line));
    if (mount.id >= 0 && !mount.point.empty()) mounts.push_back(std::move(mount));
  }
  return mounts;
}

Result<std::vector<HostMount>> HostMounts() {
  return ParseMounts(TRY(ReadFile("/proc/self/mountinfo", kMaxMountinfo)));
}

Result<std::string> RootOfMount(int fd) {
  constexpr std::string_view kKey = "mnt_id:\t";
  const std::string info = TRY(ReadFile(fmt::format("/proc/self/fdinfo/{}", fd)));
  const size_t at = info.find(kKey);
  if (at == std::string::npos) return Fail(Code::kUnimplemented, "the kernel does not tell which mount a file is on");
  const int id = Number(std::string_view(info).substr(at + kKey.size()));
  for (HostMount& mount : TRY(HostMounts())) {
    if (mount.id == id) return std::move(mount.root);
  }
  return Fail(Code::kNotFound, "the mount {} is not in this namespace", id);
}

Result<bool> HasMountsBelow(const std::string& directory) {
  const std::string prefix = directory.ends_with('/') ? directory : directory + "/";
  const auto mounts = TRY(HostMounts());
  return std::any_of(mounts.begin(), mounts.end(), [&](const HostMount& mount) {
    return mount.point.starts_with(prefix) && mount.point.size() > prefix.size();
  });
}

}  // namespace kata::sandbox
