// SPDX-License-Identifier: Apache-2.0
// Checks "process" of a spec.
#include <algorithm>
#include <array>
#include <set>

#include "oci/contains.h"
#include "oci/validate.h"

namespace kata::oci {
namespace {

using std::string_view_literals::operator""sv;

// capabilities(7), in the order of their numbers.
constexpr std::array kCapabilities = {"CAP_CHOWN"sv,
                                      "CAP_DAC_OVERRIDE"sv,
                                      "CAP_DAC_READ_SEARCH"sv,
                                      "CAP_FOWNER"sv,
                                      "CAP_FSETID"sv,
                                      "CAP_KILL"sv,
                                      "CAP_SETGID"sv,
                                      "CAP_SETUID"sv,
                                      "CAP_SETPCAP"sv,
                                      "CAP_LINUX_IMMUTABLE"sv,
                                      "CAP_NET_BIND_SERVICE"sv,
                                      "CAP_NET_BROADCAST"sv,
                                      "CAP_NET_ADMIN"sv,
                                      "CAP_NET_RAW"sv,
                                      "CAP_IPC_LOCK"sv,
                                      "CAP_IPC_OWNER"sv,
                                      "CAP_SYS_MODULE"sv,
                                      "CAP_SYS_RAWIO"sv,
                                      "CAP_SYS_CHROOT"sv,
                                      "CAP_SYS_PTRACE"sv,
                                      "CAP_SYS_PACCT"sv,
                                      "CAP_SYS_ADMIN"sv,
                                      "CAP_SYS_BOOT"sv,
                                      "CAP_SYS_NICE"sv,
                                      "CAP_SYS_RESOURCE"sv,
                                      "CAP_SYS_TIME"sv,
                                      "CAP_SYS_TTY_CONFIG"sv,
                                      "CAP_MKNOD"sv,
                                      "CAP_LEASE"sv,
                                      "CAP_AUDIT_WRITE"sv,
                                      "CAP_AUDIT_CONTROL"sv,
                                      "CAP_SETFCAP"sv,
                                      "CAP_MAC_OVERRIDE"sv,
                                      "CAP_MAC_ADMIN"sv,
                                      "CAP_SYSLOG"sv,
                                      "CAP_WAKE_ALARM"sv,
                                      "CAP_BLOCK_SUSPEND"sv,
                                      "CAP_AUDIT_READ"sv,
                                      "CAP_PERFMON"sv,
                                      "CAP_BPF"sv,
                                      "CAP_CHECKPOINT_RESTORE"sv};

// getrlimit(2).
constexpr std::array kRlimits = {"RLIMIT_AS"sv,     "RLIMIT_CORE"sv,   "RLIMIT_CPU"sv,        "RLIMIT_DATA"sv,
                                 "RLIMIT_FSIZE"sv,  "RLIMIT_LOCKS"sv,  "RLIMIT_MEMLOCK"sv,    "RLIMIT_MSGQUEUE"sv,
                                 "RLIMIT_NICE"sv,   "RLIMIT_NOFILE"sv, "RLIMIT_NPROC"sv,      "RLIMIT_RSS"sv,
                                 "RLIMIT_RTPRIO"sv, "RLIMIT_RTTIME"sv, "RLIMIT_SIGPENDING"sv, "RLIMIT_STACK"sv};

// sched(7) and sched_setattr(2).
constexpr std::array kPolicies = {"SCHED_OTHER"sv, "SCHED_FIFO"sv, "SCHED_RR"sv,      "SCHED_BATCH"sv,
                                  "SCHED_ISO"sv,   "SCHED_IDLE"sv, "SCHED_DEADLINE"sv};
constexpr std::array kFlags = {"SCHED_FLAG_RESET_ON_FORK"sv, "SCHED_FLAG_RECLAIM"sv,     "SCHED_FLAG_DL_OVERRUN"sv,
                               "SCHED_FLAG_KEEP_POLICY"sv,   "SCHED_FLAG_KEEP_PARAMS"sv, "SCHED_FLAG_UTIL_CLAMP_MIN"sv,
                               "SCHED_FLAG_UTIL_CLAMP_MAX"sv};

// Removes names that are not in kCapabilities, as runc does with unknown ones, so that newer engines still work.
template <typename List>
void DropUnknown(List* names, std::set<std::string>& unknown) {
  for (int i = names->size() - 1; i >= 0; --i) {
    if (Contains(kCapabilities, names->Get(i))) continue;
    unknown.insert(names->Get(i));
    names->DeleteSubrange(i, 1);
  }
}

void NormalizeCapabilities(grpc::LinuxCapabilities& capabilities, std::vector<std::string>* warnings,
                           std::string_view prefix) {
  std::set<std::string> unknown;
  DropUnknown(capabilities.mutable_bounding(), unknown);
  DropUnknown(capabilities.mutable_effective(), unknown);
  DropUnknown(capabilities.mutable_inheritable(), unknown);
  DropUnknown(capabilities.mutable_permitted(), unknown);
  DropUnknown(capabilities.mutable_ambient(), unknown);
  if (warnings == nullptr || unknown.empty()) return;
  warnings->push_back(fmt::format("{}capabilities: ignoring unknown or unavailable capabilities: [{}]", prefix,
                                  fmt::join(unknown, " ")));
}

// Uses runc's messages.
Result<> ValidateEnvironment(const grpc::Process& process, std::string_view prefix) {
  for (int i = 0; i < process.env_size(); ++i) {
    const size_t equals = process.env(i).find('=');
    if (equals == std::string::npos) {
      return Fail(Code::kInvalidArgument, "{}env[{}]: invalid environment variable: \"{}\"", prefix, i, process.env(i));
    }
    if (equals == 0) {
      return Fail(Code::kInvalidArgument, "{}env[{}]: environment variable name can't be empty: \"{}\"", prefix, i,
                  process.env(i));
    }
  }
  return {};
}

Result<> ValidateRlimits(const grpc::Process& process, std::string_view prefix) {
  std::set<std::string> seen;
  for (int i = 0; i < process.rlimits_size(); ++i) {
    const grpc::POSIXRlimit& rlimit = process.rlimits(i);
    if (!Contains(kRlimits, rlimit.type())) {
      return Fail(Code::kInvalidArgument, "{}rlimits[{}].type: unknown limit \"{}\"", prefix, i, rlimit.type());
    }
    if (!seen.insert(rlimit.type()).second) {
      return Fail(Code::kInvalidArgument, "{}rlimits[{}].type: \"{}\" stands twice", prefix, i, rlimit.type());
    }
    if (rlimit.soft() > rlimit.hard()) {
      return Fail(Code::kInvalidArgument, "{}rlimits[{}].soft: {} is more than the hard limit {}", prefix, i,
                  rlimit.soft(), rlimit.hard());
    }
  }
  return {};
}

Result<> ValidateScheduler(const grpc::LinuxScheduler& scheduler, std::string_view prefix) {
  const std::string& policy = scheduler.policy();
  if (!Contains(kPolicies, policy)) {
    return Fail(Code::kInvalidArgument, "{}scheduler.policy: unknown policy \"{}\"", prefix, policy);
  }
  for (int i = 0; i < scheduler.flags_size(); ++i) {
    if (Contains(kFlags, scheduler.flags(i))) continue;
    return Fail(Code::kInvalidArgument, "{}scheduler.flags[{}]: unknown flag \"{}\"", prefix, i, scheduler.flags(i));
  }
  if (scheduler.nice() < -20 || scheduler.nice() > 19) {
    return Fail(Code::kInvalidArgument, "{}scheduler.nice: {} is not in the range of -20 to 19", prefix,
                scheduler.nice());
  }
  const bool realtime = policy == "SCHED_FIFO" || policy == "SCHED_RR";
  if (scheduler.priority() < (realtime ? 1 : 0) || scheduler.priority() > (realtime ? 99 : 0)) {
    return Fail(Code::kInvalidArgument,
                "{}scheduler.priority: {} is not allowed: SCHED_FIFO and SCHED_RR have 1 to 99, "
                "other policies 0",
                prefix, scheduler.priority());
  }
  if (policy != "SCHED_DEADLINE" &&
      (scheduler.runtime() != 0 || scheduler.deadline() != 0 || scheduler.period() != 0)) {
    return Fail(Code::kInvalidArgument, "{}scheduler: runtime, deadline and period need the policy SCHED_DEADLINE",
                prefix);
  }
  return {};
}

Result<> ValidateIoPriority(const grpc::LinuxIOPriority& priority, std::string_view prefix) {
  constexpr std::array kClasses = {"IOPRIO_CLASS_RT"sv, "IOPRIO_CLASS_BE"sv, "IOPRIO_CLASS_IDLE"sv};
  if (!Contains(kClasses, priority.class_())) {
    return Fail(Code::kInvalidArgument, "{}ioPriority.class: unknown class \"{}\"", prefix, priority.class_());
  }
  if (priority.priority() < 0 || priority.priority() > 7) {
    return Fail(Code::kInvalidArgument, "{}ioPriority.priority: {} is not in the range of 0 to 7", prefix,
                priority.priority());
  }
  return {};
}

}  // namespace

Result<> ValidateProcess(grpc::Process& process, std::vector<std::string>* warnings, std::string_view prefix) {
  if (process.args_size() == 0) return Fail(Code::kInvalidArgument, "{}args: must not be empty", prefix);
  if (!process.cwd().starts_with('/')) {
    return Fail(Code::kInvalidArgument, "{}cwd: \"{}\" is not an absolute path", prefix, process.cwd());
  }
  if (process.oomscoreadj() < -1000 || process.oomscoreadj() > 1000) {
    return Fail(Code::kInvalidArgument, "{}oomScoreAdj: {} is not in the range of -1000 to 1000", prefix,
                process.oomscoreadj());
  }
  if (process.user().has_umask() && process.user().umask() > 0777) {
    return Fail(Code::kInvalidArgument, "{}user.umask: {} is more than 511 (octal 777)", prefix,
                process.user().umask());
  }
  TRY(ValidateEnvironment(process, prefix));
  TRY(ValidateRlimits(process, prefix));
  if (process.has_scheduler()) TRY(ValidateScheduler(process.scheduler(), prefix));
  if (process.has_iopriority()) TRY(ValidateIoPriority(process.iopriority(), prefix));
  if (process.has_capabilities()) NormalizeCapabilities(*process.mutable_capabilities(), warnings, prefix);
  return {};
}

}  // namespace kata::oci
