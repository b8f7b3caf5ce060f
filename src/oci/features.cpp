// SPDX-License-Identifier: Apache-2.0
#include "oci/features.h"

#include <nlohmann/json.hpp>

namespace kata::oci {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson Capabilities() {
  return {"CAP_CHOWN",
          "CAP_DAC_OVERRIDE",
          "CAP_DAC_READ_SEARCH",
          "CAP_FOWNER",
          "CAP_FSETID",
          "CAP_KILL",
          "CAP_SETGID",
          "CAP_SETUID",
          "CAP_SETPCAP",
          "CAP_LINUX_IMMUTABLE",
          "CAP_NET_BIND_SERVICE",
          "CAP_NET_BROADCAST",
          "CAP_NET_ADMIN",
          "CAP_NET_RAW",
          "CAP_IPC_LOCK",
          "CAP_IPC_OWNER",
          "CAP_SYS_MODULE",
          "CAP_SYS_RAWIO",
          "CAP_SYS_CHROOT",
          "CAP_SYS_PTRACE",
          "CAP_SYS_PACCT",
          "CAP_SYS_ADMIN",
          "CAP_SYS_BOOT",
          "CAP_SYS_NICE",
          "CAP_SYS_RESOURCE",
          "CAP_SYS_TIME",
          "CAP_SYS_TTY_CONFIG",
          "CAP_MKNOD",
          "CAP_LEASE",
          "CAP_AUDIT_WRITE",
          "CAP_AUDIT_CONTROL",
          "CAP_SETFCAP",
          "CAP_MAC_OVERRIDE",
          "CAP_MAC_ADMIN",
          "CAP_SYSLOG",
          "CAP_WAKE_ALARM",
          "CAP_BLOCK_SUSPEND",
          "CAP_AUDIT_READ",
          "CAP_PERFMON",
          "CAP_BPF",
          "CAP_CHECKPOINT_RESTORE"};
}

// The mount options that the agent knows (agent/container/mount_options.cpp). Other options are passed to the file
// system.
OrderedJson MountOptions() {
  return {"async",          "atime",       "bind",         "defaults",    "dev",
          "diratime",       "dirsync",     "exec",         "idmap",       "lazytime",
          "loud",           "mand",        "noatime",      "nodev",       "nodiratime",
          "noexec",         "nolazytime",  "nomand",       "norelatime",  "nostrictatime",
          "nosuid",         "nosymfollow", "private",      "ratime",      "rbind",
          "rdev",           "rdiratime",   "relatime",     "ridmap",      "rexec",
          "rnoatime",       "rnodev",      "rnodiratime",  "rnoexec",     "rnorelatime",
          "rnostrictatime", "rnosuid",     "rnosymfollow", "ro",          "rprivate",
          "rrelatime",      "rro",         "rrw",          "rshared",     "rslave",
          "rstrictatime",   "rsuid",       "rsymfollow",   "runbindable", "rw",
          "shared",         "silent",      "slave",        "strictatime", "suid",
          "symfollow",      "sync",        "tmpcopyup",    "unbindable"};
}

OrderedJson Seccomp() {
  OrderedJson json;
  json["enabled"] = true;
  // Without SCMP_ACT_NOTIFY: its listener would be a socket on the host.
  json["actions"] = {"SCMP_ACT_ALLOW",       "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS",
                     "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",   "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"};
  json["operators"] = {"SCMP_CMP_EQ", "SCMP_CMP_GE",        "SCMP_CMP_GT", "SCMP_CMP_LE",
                       "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"};
#if defined(__x86_64__)
  json["archs"] = {"SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"};
#elif defined(__aarch64__)
  json["archs"] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#endif
  return json;
}

OrderedJson Linux() {
  OrderedJson json;
  json["namespaces"] = {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"};
  json["capabilities"] = Capabilities();
  // The guest enforces limits through cgroup v2; the host may have either version.
  json["cgroup"] = {{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", false}};
  json["seccomp"] = Seccomp();
  // process.apparmorProfile is not used: the VMM has a profile of its own. process.selinuxLabel becomes the VMM's
  // label.
  json["apparmor"] = {{"enabled", false}};
  json["selinux"] = {{"enabled", true}};
  json["intelRdt"] = {{"enabled", false}};
  json["mountExtensions"] = {{"idmap", {{"enabled", true}}}};
  return json;
}

}  // namespace

std::string Features() {
  OrderedJson json;
  json["ociVersionMin"] = "1.0.0";
  json["ociVersionMax"] = "1.1.0";
  json["hooks"] = {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
  json["mountOptions"] = MountOptions();
  json["linux"] = Linux();
  json["annotations"] = {{"io.katacontainers.version", KATA_VERSION}};
  return json.dump(4) + "\n";
}

}  // namespace kata::oci
