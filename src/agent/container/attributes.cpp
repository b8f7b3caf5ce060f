// SPDX-License-Identifier: Apache-2.0
#include "agent/container/attributes.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>
#include <string_view>

#include "base/files.h"

namespace kata::agent {

namespace {

struct Name {
  std::string_view name;
  uint64_t value;
};

template <size_t N>
std::optional<uint64_t> Find(const Name (&names)[N], std::string_view name) {
  for (const Name& entry : names) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

constexpr Name kLimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},       {"RLIMIT_FSIZE", RLIMIT_FSIZE},       {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},   {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK}};
constexpr Name kIoClasses[] = {{"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
constexpr Name kPolicies[] = {{"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},      {"SCHED_BATCH", 3},
                              {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}};
constexpr Name kSchedulerFlags[] = {{"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
                                    {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
                                    {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
                                    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};

// The argument of sched_setattr(2), which glibc 2.36 does not declare.
struct SchedulerAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};

Result<> SetLimits(pid_t pid, const grpc::Process& process) {
  for (int i = 0; i < process.rlimits_size(); ++i) {
    const auto& wanted = process.rlimits(i);
    const auto resource = Find(kLimits, wanted.type());
    if (!resource) {
      return Fail(Code::kInvalidArgument, "process.rlimits[{}].type: \"{}\" is no limit", i, wanted.type());
    }
    const rlimit limit{wanted.soft(), wanted.hard()};
    if (prlimit(pid, static_cast<__rlimit_resource>(*resource), &limit, nullptr) != 0) {
      return FailErrno("process.rlimits[{}]: cannot set {} to {} (hard {})", i, wanted.type(), wanted.soft(),
                       wanted.hard());
    }
  }
  return {};
}

Result<> SetIoPriority(pid_t pid, const grpc::LinuxIOPriority& wanted) {
  constexpr int kClassShift = 13;
  constexpr int kWhoProcess = 1;
  const auto io_class = Find(kIoClasses, wanted.class_());
  if (!io_class) return Fail(Code::kInvalidArgument, "process.ioPriority.class: \"{}\" is unknown", wanted.class_());
  if (wanted.priority() < 0 || wanted.priority() > 7) {
    return Fail(Code::kInvalidArgument, "process.ioPriority.priority: {} is not between 0 and 7", wanted.priority());
  }
  const int value = static_cast<int>(*io_class) << kClassShift | wanted.priority();
  if (syscall(SYS_ioprio_set, kWhoProcess, pid, value) != 0) return FailErrno("process.ioPriority: cannot set it");
  return {};
}

Result<> SetScheduler(pid_t pid, const grpc::LinuxScheduler& wanted) {
  const auto policy = Find(kPolicies, wanted.policy());
  if (!policy) return Fail(Code::kInvalidArgument, "process.scheduler.policy: \"{}\" is unknown", wanted.policy());
  SchedulerAttributes attributes{};
  attributes.size = sizeof attributes;
  attributes.policy = static_cast<uint32_t>(*policy);
  attributes.nice = wanted.nice();
  attributes.priority = static_cast<uint32_t>(wanted.priority());
  attributes.runtime = wanted.runtime();
  attributes.deadline = wanted.deadline();
  attributes.period = wanted.period();
  for (const std::string& name : wanted.flags()) {
    const auto flag = Find(kSchedulerFlags, name);
    if (!flag) return Fail(Code::kInvalidArgument, "process.scheduler.flags: \"{}\" is unknown", name);
    attributes.flags |= *flag;
  }
  if (syscall(SYS_sched_setattr, pid, &attributes, 0) != 0) {
    return FailErrno("process.scheduler: cannot set {}", wanted.policy());
  }
  return {};
}

Result<> SetOomScore(pid_t pid, int pidfd, int64_t score) {
  if (score < -1000 || score > 1000) {
    return Fail(Code::kInvalidArgument, "process.oomScoreAdj: {} is not between -1000 and 1000", score);
  }
  const UniqueFd file = TRY(Open(fmt::format("/proc/{}/oom_score_adj", pid), O_WRONLY));
  pollfd ended{pidfd, POLLIN, 0};
  if (poll(&ended, 1, 0) > 0) return Fail(Code::kAborted, "the process has ended");
  // Written also if it is 0, since the process has inherited the agent's value.
  const std::string text = fmt::format("{}", score);
  if (write(file.get(), text.data(), text.size()) < 0) return FailErrno("process.oomScoreAdj: cannot set {}", score);
  return {};
}

}  // namespace

Result<> ApplyAttributes(pid_t pid, int pidfd, const grpc::Process& process) {
  TRY(SetOomScore(pid, pidfd, process.oomscoreadj()));
  TRY(SetLimits(pid, process));
  if (process.has_iopriority()) TRY(SetIoPriority(pid, process.iopriority()));
  if (process.has_scheduler()) return SetScheduler(pid, process.scheduler());
  // Resets the policy that the process has inherited from the agent.
  const sched_param none{};
  if (sched_setscheduler(pid, SCHED_OTHER, &none) != 0)
    return FailErrno("cannot give process {} the usual scheduling policy", pid);
  return {};
}

Result<> ApplyPersonality(const grpc::LinuxPersonality& wanted) {
  unsigned long domain = PER_LINUX;
  if (wanted.domain() == "LINUX32") {
    domain = PER_LINUX32;
  } else if (wanted.domain() != "LINUX") {
    return Fail(Code::kInvalidArgument, "linux.personality.domain: \"{}\" is not LINUX or LINUX32", wanted.domain());
  }
  if (wanted.flags_size() != 0) return Fail(Code::kUnimplemented, "linux.personality.flags are not supported");
  if (personality(domain) < 0) return FailErrno("linux.personality: cannot set it");
  return {};
}

}  // namespace kata::agent
