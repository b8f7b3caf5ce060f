// SPDX-License-Identifier: Apache-2.0
#include "oci/validate.h"

#include <algorithm>
#include <array>
#include <set>

#include "oci/contains.h"
#include "oci/pod.h"
#include "oci/validate_mappings.h"

namespace kata::oci {
namespace {

using std::string_view_literals::operator""sv;

void Warn(std::vector<std::string>* warnings, std::string text) {
  if (warnings != nullptr) warnings->push_back(std::move(text));
}

bool HasNamespace(const grpc::Spec& spec, std::string_view type) {
  const auto& namespaces = spec.linux().namespaces();
  return std::any_of(namespaces.begin(), namespaces.end(), [&](const auto& entry) { return entry.type() == type; });
}

bool AllDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Result<> ValidateVersion(const std::string& version) {
  const size_t first = version.find('.');
  const size_t second = first == std::string::npos ? first : version.find('.', first + 1);
  const bool three = second != std::string::npos;
  const std::string_view major = std::string_view(version).substr(0, first);
  const std::string_view minor = three ? std::string_view(version).substr(first + 1, second - first - 1) : "";
  const std::string_view patch = three ? std::string_view(version).substr(second + 1) : "";
  if (!AllDigits(major) || !AllDigits(minor) || !AllDigits(patch.substr(0, patch.find_first_of("-+")))) {
    return Fail(Code::kInvalidArgument, "ociVersion: \"{}\" is no version such as 1.1.0", version);
  }
  if (major != "1") return Fail(Code::kUnimplemented, "ociVersion: {} is not supported, but 1.x is", version);
  return {};
}

Result<> ValidateNamespaces(const grpc::Spec& spec) {
  constexpr std::array kKnown = {"pid"sv, "network"sv, "mount"sv, "ipc"sv, "uts"sv, "user"sv, "cgroup"sv};
  std::set<std::string> seen;
  for (int i = 0; i < spec.linux().namespaces_size(); ++i) {
    const grpc::LinuxNamespace& entry = spec.linux().namespaces(i);
    if (entry.type() == "time") {
      return Fail(Code::kUnimplemented, "linux.namespaces[{}].type: time namespaces are not supported", i);
    }
    if (!Contains(kKnown, entry.type())) {
      return Fail(Code::kInvalidArgument, "linux.namespaces[{}].type: unknown namespace \"{}\"", i, entry.type());
    }
    if (!seen.insert(entry.type()).second) {
      return Fail(Code::kInvalidArgument, "linux.namespaces[{}].type: \"{}\" stands twice", i, entry.type());
    }
    if (!entry.path().empty() && !entry.path().starts_with('/')) {
      return Fail(Code::kInvalidArgument, "linux.namespaces[{}].path: \"{}\" is not absolute", i, entry.path());
    }
  }
  for (const auto& [field, name] : {std::pair{"hostname", &spec.hostname()}, {"domainname", &spec.domainname()}}) {
    constexpr size_t kMaxName = 64;  // the kernel's __NEW_UTS_LEN
    if (name->size() <= kMaxName) continue;
    return Fail(Code::kInvalidArgument, "{}: {} bytes, and at most {} are allowed", field, name->size(), kMaxName);
  }
  if (!spec.hostname().empty() && !HasNamespace(spec, "uts")) {
    return Fail(Code::kInvalidArgument, "hostname: cannot be set without a uts namespace in linux.namespaces");
  }
  if (!spec.domainname().empty() && !HasNamespace(spec, "uts")) {
    return Fail(Code::kInvalidArgument, "domainname: cannot be set without a uts namespace in linux.namespaces");
  }
  if ((spec.linux().maskedpaths_size() > 0 || spec.linux().readonlypaths_size() > 0) && !HasNamespace(spec, "mount")) {
    return Fail(Code::kInvalidArgument,
                "linux.maskedPaths, linux.readonlyPaths: need a mount namespace in linux.namespaces");
  }
  return {};
}

// As in runc: only sysctls of a namespace that the container has for itself are allowed.
Result<> ValidateSysctl(const grpc::Spec& spec, const std::string& key) {
  constexpr std::array kIpc = {"kernel.msgmax"sv, "kernel.msgmnb"sv, "kernel.msgmni"sv, "kernel.sem"sv,
                               "kernel.shmall"sv, "kernel.shmmax"sv, "kernel.shmmni"sv, "kernel.shm_rmid_forced"sv};
  std::string name = key;
  // sysctl(8) accepts both net.ipv4.ip_forward and net/ipv4/conf/eth0.1/rp_filter: convert the second form to the
  // first.
  if (const size_t first = name.find_first_of("./"); first != std::string::npos && name[first] == '/') {
    for (char& c : name) c = c == '/' ? '.' : c == '.' ? '/' : c;
  }
  if (name.empty() || name.front() == '.' || name.back() == '.' || name.find("..") != std::string::npos ||
      name.starts_with('/') || name.find("//") != std::string::npos) {
    return Fail(Code::kInvalidArgument, "linux.sysctl[\"{}\"]: no name of a sysctl", key);
  }
  if (name == "kernel.hostname") {
    return Fail(Code::kInvalidArgument, "linux.sysctl[\"{}\"]: conflicts with the field hostname: set that one", key);
  }
  std::string_view needed;
  if (name.starts_with("net.")) needed = "network";
  if (name.starts_with("fs.mqueue.") || Contains(kIpc, name)) needed = "ipc";
  if (name == "kernel.domainname") needed = "uts";
  if (needed.empty()) {
    return Fail(Code::kInvalidArgument, "linux.sysctl[\"{}\"]: is not in a separate kernel namespace", key);
  }
  if (!HasNamespace(spec, needed)) {
    return Fail(Code::kInvalidArgument, "linux.sysctl[\"{}\"]: needs the {} namespace in linux.namespaces", key,
                needed);
  }
  return {};
}

// Removes ".", ".." and empty components lexically, as runc does with Go's path.Clean. The result is absolute.
std::string Clean(std::string_view path) {
  std::string clean;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      clean.resize(clean.empty() ? 0 : clean.rfind('/'));
    } else {
      clean += fmt::format("/{}", part);
    }
  }
  return clean.empty() ? "/" : clean;
}

Result<> ValidateMounts(grpc::Spec& spec, std::vector<std::string>* warnings) {
  for (int i = 0; i < spec.mounts_size(); ++i) {
    grpc::Mount& mount = *spec.mutable_mounts(i);
    if (!mount.destination().starts_with('/')) {
      Warn(warnings, fmt::format("mounts[{}].destination: \"{}\" is not absolute, and taken as \"/{}\"", i,
                                 mount.destination(), mount.destination()));
    }
    mount.set_destination(Clean(mount.destination()));
    if (mount.destination() == "/") {
      return Fail(Code::kInvalidArgument, "mounts[{}].destination: \"/\" is the root itself, which root.path says", i);
    }
    if (mount.type().empty() && !Contains(mount.options(), "bind") && !Contains(mount.options(), "rbind")) {
      return Fail(Code::kInvalidArgument, "mounts[{}].type: missing, and neither bind nor rbind is in the options", i);
    }
    TRY(ValidateMappedMount(spec, i));
  }
  return {};
}

Result<> ValidateHooks(const grpc::Hooks& hooks) {
  const auto check = [](const auto& list, std::string_view name) -> Result<> {
    for (int i = 0; i < list.size(); ++i) {
      if (list[i].path().starts_with('/')) continue;
      return Fail(Code::kInvalidArgument, "hooks.{}[{}].path: \"{}\" is not absolute", name, i, list[i].path());
    }
    return {};
  };
  TRY(check(hooks.prestart(), "prestart"));
  TRY(check(hooks.createruntime(), "createRuntime"));
  TRY(check(hooks.createcontainer(), "createContainer"));
  TRY(check(hooks.startcontainer(), "startContainer"));
  TRY(check(hooks.poststart(), "poststart"));
  return check(hooks.poststop(), "poststop");
}

Result<> ValidateSeccomp(const grpc::LinuxSeccomp& seccomp) {
  constexpr std::array kActions = {"SCMP_ACT_KILL"sv,  "SCMP_ACT_KILL_PROCESS"sv, "SCMP_ACT_KILL_THREAD"sv,
                                   "SCMP_ACT_TRAP"sv,  "SCMP_ACT_ERRNO"sv,        "SCMP_ACT_TRACE"sv,
                                   "SCMP_ACT_ALLOW"sv, "SCMP_ACT_LOG"sv};
  constexpr std::array kOperators = {"SCMP_CMP_NE"sv, "SCMP_CMP_LT"sv, "SCMP_CMP_LE"sv,       "SCMP_CMP_EQ"sv,
                                     "SCMP_CMP_GE"sv, "SCMP_CMP_GT"sv, "SCMP_CMP_MASKED_EQ"sv};
  const auto check_action = [&](const std::string& action, const std::string& path) -> Result<> {
    if (action == "SCMP_ACT_NOTIFY") {
      return Fail(Code::kUnimplemented,
                  "{}: SCMP_ACT_NOTIFY is not supported: a process of the host cannot decide system calls of the guest",
                  path);
    }
    if (!Contains(kActions, action)) return Fail(Code::kInvalidArgument, "{}: unknown action \"{}\"", path, action);
    return {};
  };
  TRY(check_action(seccomp.defaultaction(), "linux.seccomp.defaultAction"));
  for (int i = 0; i < seccomp.syscalls_size(); ++i) {
    TRY(check_action(seccomp.syscalls(i).action(), fmt::format("linux.seccomp.syscalls[{}].action", i)));
    for (int j = 0; j < seccomp.syscalls(i).args_size(); ++j) {
      const std::string& op = seccomp.syscalls(i).args(j).op();
      if (Contains(kOperators, op)) continue;
      return Fail(Code::kInvalidArgument, "linux.seccomp.syscalls[{}].args[{}].op: unknown operator \"{}\"", i, j, op);
    }
  }
  return {};
}

Result<> ValidateDevices(const grpc::Linux& section) {
  for (int i = 0; i < section.devices_size(); ++i) {
    const grpc::LinuxDevice& device = section.devices(i);
    if (!device.path().starts_with('/')) {
      return Fail(Code::kInvalidArgument, "linux.devices[{}].path: \"{}\" is not absolute", i, device.path());
    }
    if (device.type() != "c" && device.type() != "b" && device.type() != "u" && device.type() != "p") {
      return Fail(Code::kInvalidArgument, "linux.devices[{}].type: \"{}\" is none of c, b, u, p", i, device.type());
    }
  }
  return {};
}

Result<> ValidatePaths(const grpc::Linux& section) {
  constexpr std::array kPropagations = {""sv,       "private"sv, "rprivate"sv,   "slave"sv,      "rslave"sv,
                                        "shared"sv, "rshared"sv, "unbindable"sv, "runbindable"sv};
  if (!Contains(kPropagations, section.rootfspropagation())) {
    return Fail(Code::kInvalidArgument, "linux.rootfsPropagation: \"{}\" is none of private, slave, shared, unbindable",
                section.rootfspropagation());
  }
  const auto check = [](const auto& paths, std::string_view name) -> Result<> {
    for (int i = 0; i < paths.size(); ++i) {
      if (paths[i].starts_with('/')) continue;
      return Fail(Code::kInvalidArgument, "linux.{}[{}]: \"{}\" is not absolute", name, i, paths[i]);
    }
    return {};
  };
  TRY(check(section.maskedpaths(), "maskedPaths"));
  TRY(check(section.readonlypaths(), "readonlyPaths"));
  const std::string& domain = section.personality().domain();
  if (section.has_personality() && domain != "LINUX" && domain != "LINUX32") {
    return Fail(Code::kInvalidArgument, "linux.personality.domain: \"{}\" is neither LINUX nor LINUX32", domain);
  }
  if (section.personality().flags_size() > 0) {
    return Fail(Code::kUnimplemented, "linux.personality.flags: none is supported");
  }
  return {};
}

}  // namespace

Result<> ValidateId(std::string_view id) {
  if (id.empty()) return Fail(Code::kInvalidArgument, "an id must not be empty");
  if (id.size() > kMaxIdLength) {
    return Fail(Code::kInvalidArgument, "invalid id: {} characters, and at most {} are allowed", id.size(),
                kMaxIdLength);
  }
  const bool allowed = std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           "_+-."sv.find(c) != std::string_view::npos;
  });
  if (!allowed || id == "." || id == "..") {
    return Fail(Code::kInvalidArgument,
                "invalid id {:?}: an id has letters, digits, _, +, - and ., and is neither . nor ..", id);
  }
  return {};
}

Result<> Validate(grpc::Spec& spec, std::vector<std::string>* warnings) {
  TRY(ValidateVersion(spec.version()));
  if (!spec.has_process()) return Fail(Code::kInvalidArgument, "process: required, and missing");
  TRY(ValidateProcess(*spec.mutable_process(), warnings, "process."));
  TRY(ValidateNamespaces(spec));
  TRY(ValidateMappings(spec, IsOfPod(spec)));
  for (const auto& [name, value] : spec.linux().sysctl()) TRY(ValidateSysctl(spec, name));
  TRY(ValidateMounts(spec, warnings));
  TRY(ValidateHooks(spec.hooks()));
  TRY(ValidateDevices(spec.linux()));
  TRY(ValidatePaths(spec.linux()));
  if (spec.linux().has_seccomp()) TRY(ValidateSeccomp(spec.linux().seccomp()));
  return ValidateResources(spec.linux().resources(), "linux.resources.");
}

}  // namespace kata::oci
