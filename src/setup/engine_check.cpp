// SPDX-License-Identifier: Apache-2.0
#include "setup/engine_check.h"

#include "hypervisor/program_version.h"

namespace kata::setup {
namespace {

// What the versions before this one cannot do.
struct Lack {
  Engine engine;
  EngineVersion since;
  const char* what;
};
constexpr Lack kLacks[] = {
    {Engine::kDocker,
     {23, 0},
     "before 23 Docker has no runtimes by containerd's shim (io.containerd.kata.v2): use "
     "the one by its path, --runtime kata"},
    {Engine::kPodman, {3, 3}, "before 3.3 Podman reads no drop-ins: setup podman writes into containers.conf"},
    {Engine::kContainerd, {1, 6}, "before 1.6 containerd does not tell the size of a pod, and was never tried"},
    {Engine::kContainerd,
     {2, 0},
     "before 2.0 containerd has no pods of the Sandbox service (sandboxer = \"shim\"): "
     "a pod has a pause container"},
};

}  // namespace

hypervisor::CheckItem CheckEngine(Engine engine, const std::string& line) {
  hypervisor::CheckItem item{.name = std::string(ProgramOf(engine)), .ok = true, .required = false, .detail = line};
  const std::optional<EngineVersion> version = VersionIn(line);
  for (const Lack& lack : kLacks) {
    if (lack.engine != engine || !version || *version >= lack.since) continue;
    item.ok = false;
    item.advice = lack.what;
    break;
  }
  return item;
}

Result<std::string> AskEngine(Engine engine, double timeout_factor) {
  const std::string program(ProgramOf(engine));
  auto line = hypervisor::VersionLine(program, timeout_factor);
  for (const char* const directory : {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/"}) {
    if (line || line.error().code() != Code::kNotFound) break;
    line = hypervisor::VersionLine(directory + program, timeout_factor);
  }
  return line;
}

std::vector<hypervisor::CheckItem> CheckEngines(double timeout_factor) {
  std::vector<hypervisor::CheckItem> items;
  for (const Engine engine : kEngines) {
    const auto line = AskEngine(engine, timeout_factor);
    if (line) {
      items.push_back(CheckEngine(engine, *line));
    } else if (line.error().code() != Code::kNotFound) {
      items.push_back({.name = std::string(ProgramOf(engine)),
                       .ok = false,
                       .required = false,
                       .detail = line.error().message(),
                       .advice = "it does not tell its version: look at what is wrong with it"});
    }
  }
  return items;
}

}  // namespace kata::setup
