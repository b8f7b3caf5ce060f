// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/check_traps.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include "base/files.h"

namespace kata::hypervisor {
namespace {

constexpr const char* kNetworkModules[] = {"tun", "sch_ingress", "cls_u32", "act_mirred"};

// The fields of the last mount on "/", which hides those before it.
std::string_view RootMount(std::string_view mountinfo) {
  std::string_view root;
  while (!mountinfo.empty()) {
    const std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
    mountinfo.remove_prefix(std::min(line.size() + 1, mountinfo.size()));
    size_t field = 0;
    for (int i = 0; i < 4; ++i) field = std::min(line.find(' ', field), line.size() - 1) + 1;
    if (line.substr(field).starts_with("/ ")) root = line;
  }
  return root;
}

// Whether a list of modules, as depmod(8) makes it, has one.
bool Lists(const std::string& list, const std::string& module) {
  const auto text = ReadFile(list);
  return text && text->find("/" + module + ".ko") != std::string::npos;
}

}  // namespace

CheckItem RootPropagation(std::string_view mountinfo) {
  const std::string_view root = RootMount(mountinfo);
  const size_t optional = root.find(" shared:");
  const bool shared = optional != std::string_view::npos && optional < root.find(" - ");
  return {.name = "mounts below /",
          .ok = shared,
          .required = false,
          .detail = shared ? "are shared: those that come later appear in volumes" : "are not shared",
          .advice =
              "mounts that the host makes later do not appear in volumes that ask for them (rslave, "
              "HostToContainer); mount --make-rshared / before the engine starts, as systemd does"};
}

CheckItem NetworkModules(const std::string& sys_modules, const std::string& modules) {
  std::vector<std::string> missing;
  for (const char* const module : kNetworkModules) {
    const bool there = access((sys_modules + "/" + module).c_str(), F_OK) == 0 ||
                       Lists(modules + "/modules.builtin", module) || Lists(modules + "/modules.dep", module);
    if (!there) missing.push_back(module);
  }
  // Without the lists nobody can tell what is built in.
  const bool known = access((modules + "/modules.builtin").c_str(), R_OK) == 0;
  const bool ok = missing.empty() || !known;
  std::string detail = missing.empty() ? "those for networks are there"
                       : known
                           ? fmt::format("{} missing", fmt::join(missing, ", "))
                           : fmt::format("{} has no list: whether those for networks are there is not known", modules);
  return {.name = "modules",
          .ok = ok,
          .required = false,
          .detail = std::move(detail),
          .advice = "containers with a network cannot start; install the package with all modules of this kernel"};
}

}  // namespace kata::hypervisor
