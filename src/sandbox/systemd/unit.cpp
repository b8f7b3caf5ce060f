// SPDX-License-Identifier: Apache-2.0
#include "sandbox/systemd/unit.h"

#include <algorithm>
#include <array>

namespace kata::sandbox {
namespace {

constexpr std::string_view kSlice = ".slice";
constexpr std::string_view kRootSlice = "-.slice";
constexpr size_t kMaxName = 255;  // systemd.unit(5)

// What systemd takes in a name, without '@': an instance of a template is no transient unit.
bool IsUnitName(std::string_view name) {
  constexpr std::string_view kOthers = ":-_.\\";
  return name.size() <= kMaxName && !name.starts_with('.') && std::all_of(name.begin(), name.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  kOthers.find(c) != std::string_view::npos;
         });
}

// "-" separates a slice from its parent, so no part between two of them is empty.
bool IsSliceName(std::string_view name) {
  if (name == kRootSlice) return true;
  if (!name.ends_with(kSlice) || !IsUnitName(name)) return false;
  const std::string_view stem = name.substr(0, name.size() - kSlice.size());
  return !stem.empty() && !stem.starts_with('-') && !stem.ends_with('-') && stem.find("--") == std::string_view::npos;
}

}  // namespace

bool HasUnitForm(std::string_view cgroups_path) {
  return !cgroups_path.starts_with('/') && std::count(cgroups_path.begin(), cgroups_path.end(), ':') == 2;
}

Result<Unit> ParseUnit(const std::string& cgroups_path, const std::string& id) {
  std::array<std::string, 3> parts = {"", "kata", id};
  if (!cgroups_path.empty()) {
    if (!HasUnitForm(cgroups_path)) {
      return Fail(Code::kInvalidArgument,
                  "linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, "
                  "got \"{}\" instead",
                  cgroups_path);
    }
    const size_t first = cgroups_path.find(':');
    const size_t second = cgroups_path.rfind(':');
    parts = {cgroups_path.substr(0, first), cgroups_path.substr(first + 1, second - first - 1),
             cgroups_path.substr(second + 1)};
  }
  const auto& [slice, prefix, name] = parts;
  Unit unit{.name = fmt::format("{}{}{}.scope", prefix, prefix.empty() ? "" : "-", name),
            .slice = slice.empty() ? "system.slice" : slice};
  if (!IsSliceName(unit.slice)) {
    return Fail(Code::kInvalidArgument, "linux.cgroupsPath: invalid slice name: {}", unit.slice);
  }
  if (name.ends_with(kSlice)) {
    return Fail(Code::kInvalidArgument, "linux.cgroupsPath: {} is a slice, in which systemd has no processes", name);
  }
  if (name.empty() || !IsUnitName(unit.name)) {
    return Fail(Code::kInvalidArgument, "linux.cgroupsPath: invalid name of a scope: {}", unit.name);
  }
  return unit;
}

std::string CgroupOf(const Unit& unit) {
  std::string path;
  if (unit.slice != kRootSlice) {
    for (size_t end = unit.slice.find('-'); end != std::string::npos; end = unit.slice.find('-', end + 1)) {
      path += fmt::format("/{}{}", unit.slice.substr(0, end), kSlice);
    }
    path += "/" + unit.slice;
  }
  return path + "/" + unit.name;
}

}  // namespace kata::sandbox
