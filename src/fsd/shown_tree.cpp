// SPDX-License-Identifier: Apache-2.0
#include "fsd/shown_tree.h"

#include <algorithm>
#include <charconv>

#include "base/files.h"

namespace kata::fsd {
namespace {

bool IsBelow(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.size() > 1;
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

bool ParseNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

// Each place that hides something of both must do so in both, with the same.
bool AgreesWith(const ShownTree& a, const ShownTree& b) {
  return std::all_of(a.covered.begin(), a.covered.end(), [&b](const auto& entry) {
    if (!IsBelow(entry.first, b.root)) return true;
    const auto found = b.covered.find(entry.first);
    return found != b.covered.end() && found->second == entry.second;
  });
}

}  // namespace

std::vector<MountLine> ParseMountInfo(std::string_view text) {
  std::vector<MountLine> mounts;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string_view> words = Words(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    MountLine mount;
    if (words.size() < 6 || !ParseNumber(words[0], &mount.id) || !ParseNumber(words[1], &mount.parent)) continue;
    mount.device = words[2];
    mount.root = UnescapeMountinfo(words[3]);
    mount.point = UnescapeMountinfo(words[4]);
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::optional<ShownTree> ShownTreeOf(uint64_t id, const std::vector<MountLine>& mounts) {
  const auto found = std::find_if(mounts.begin(), mounts.end(), [id](const MountLine& line) { return line.id == id; });
  // "//deleted" is how the kernel marks a removed root.
  if (found == mounts.end() || !found->root.starts_with('/') || found->root.ends_with("//deleted")) return std::nullopt;
  ShownTree tree = {.device = found->device, .root = found->root, .covered = {}};
  for (const MountLine& line : mounts) {
    if (line.parent != id || !IsBelow(line.point, found->point)) continue;
    std::string at = line.point.substr(found->point == "/" ? 0 : found->point.size());
    if (tree.root != "/") at.insert(0, tree.root);
    tree.covered[at] = line.device + " " + line.root;
  }
  return tree;
}

bool Agree(const ShownTree& a, const ShownTree& b) {
  return a.device == b.device && AgreesWith(a, b) && AgreesWith(b, a);
}

bool Contains(const ShownTree& tree, const ShownTree& other) {
  if (tree.device != other.device) return false;
  if (other.root != tree.root && !IsBelow(other.root, tree.root)) return false;
  return std::none_of(tree.covered.begin(), tree.covered.end(), [&other](const auto& entry) {
    return entry.first == other.root || IsBelow(other.root, entry.first);
  });
}

}  // namespace kata::fsd
