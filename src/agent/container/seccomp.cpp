// SPDX-License-Identifier: Apache-2.0
#include "agent/container/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/files.h"

namespace kata::agent {

namespace {

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

Result<uint32_t> ParseAction(const std::string& name, std::optional<uint32_t> error, const std::string& field) {
  constexpr uint32_t kDefaultErrno = EPERM;
  const uint32_t value = error.value_or(kDefaultErrno);
  if (value > 0xffff) return Fail(Code::kInvalidArgument, "linux.seccomp.{}: errno {} is too large", field, value);
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(value);
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(value);
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_NOTIFY") {
    return Fail(Code::kUnimplemented, "linux.seccomp.{}: SCMP_ACT_NOTIFY needs a listener on the host", field);
  }
  return Fail(Code::kInvalidArgument, "linux.seccomp.{}: \"{}\" is no action", field, name);
}

Result<scmp_compare> ParseOperator(const std::string& name, const std::string& field) {
  struct Operator {
    const char* name;
    scmp_compare value;
  };
  constexpr Operator kOperators[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
                                     {"SCMP_CMP_LT", SCMP_CMP_LT},
                                     {"SCMP_CMP_LE", SCMP_CMP_LE},
                                     {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                     {"SCMP_CMP_GE", SCMP_CMP_GE},
                                     {"SCMP_CMP_GT", SCMP_CMP_GT},
                                     {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  for (const Operator& candidate : kOperators) {
    if (name == candidate.name) return candidate.value;
  }
  return Fail(Code::kInvalidArgument, "linux.seccomp.{}.op: \"{}\" is no operator", field, name);
}

Result<std::vector<scmp_arg_cmp>> ParseArguments(const grpc::LinuxSyscall& call, const std::string& field) {
  std::vector<scmp_arg_cmp> arguments;
  for (int i = 0; i < call.args_size(); ++i) {
    const auto& argument = call.args(i);
    const std::string where = fmt::format("{}.args[{}]", field, i);
    if (argument.index() > 5) {
      return Fail(Code::kInvalidArgument, "linux.seccomp.{}.index: {} is above 5", where, argument.index());
    }
    arguments.push_back({static_cast<unsigned>(argument.index()), TRY(ParseOperator(argument.op(), where)),
                         argument.value(), argument.valuetwo()});
  }
  return arguments;
}

Result<> AddRule(scmp_filter_ctx filter, uint32_t action, const std::string& name,
                 const std::vector<scmp_arg_cmp>& arguments) {
  const int number = seccomp_syscall_resolve_name(name.c_str());
  if (number == __NR_SCMP_ERROR) return {};
  const int failed =
      seccomp_rule_add_array(filter, action, number, static_cast<unsigned>(arguments.size()), arguments.data());
  // EDOM: the call does not exist on this architecture.
  if (failed != 0 && failed != -EDOM) return FailWith(-failed, "linux.seccomp: cannot add a rule for {}", name);
  return {};
}

Result<> AddSyscalls(scmp_filter_ctx filter, const grpc::LinuxSeccomp& profile, uint32_t default_action) {
  for (int i = 0; i < profile.syscalls_size(); ++i) {
    const auto& call = profile.syscalls(i);
    const std::string field = fmt::format("syscalls[{}]", i);
    std::optional<uint32_t> error;
    if (call.ErrnoRet_case() == grpc::LinuxSyscall::kErrnoret) error = call.errnoret();
    const uint32_t action = TRY(ParseAction(call.action(), error, field + ".action"));
    if (action == default_action) continue;
    const auto arguments = TRY(ParseArguments(call, field));
    std::set<unsigned> indexes;
    for (const auto& argument : arguments) indexes.insert(argument.arg);
    for (const std::string& name : call.names()) {
      if (indexes.size() == arguments.size()) {
        TRY(AddRule(filter, action, name, arguments));
        continue;
      }
      // libseccomp accepts only one condition on each argument. With several on the same argument, each condition
      // becomes a rule of its own, so that they are alternatives (as runc).
      for (const auto& argument : arguments) TRY(AddRule(filter, action, name, {argument}));
    }
  }
  return {};
}

// libseccomp's number for an architecture such as SCMP_ARCH_X86_64; 0 if unknown.
uint32_t ArchitectureToken(std::string name) {
  if (!name.starts_with("SCMP_ARCH_")) return 0;
  name.erase(0, 10);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return seccomp_arch_resolve_name(name.c_str());
}

Result<> AddArchitectures(scmp_filter_ctx filter, const grpc::LinuxSeccomp& profile) {
  for (int i = 0; i < profile.architectures_size(); ++i) {
    const uint32_t token = ArchitectureToken(profile.architectures(i));
    if (token == 0) {
      return Fail(Code::kInvalidArgument, "linux.seccomp.architectures[{}]: \"{}\" is unknown", i,
                  profile.architectures(i));
    }
    const int failed = seccomp_arch_add(filter, token);
    if (failed != 0 && failed != -EEXIST) return FailWith(-failed, "linux.seccomp.architectures[{}]", i);
  }
  return {};
}

// The highest system call number among the calls that the profile names, for each architecture that it names. To the
// kernel, x32 is the architecture x86_64 with a bit set in the call's number, so x86_64 has two such numbers.
constexpr uint32_t kX32Bit = 0x40000000;
struct NewestCalls {
  uint32_t ordinary = UINT32_MAX;  // UINT32_MAX: not named, so that no call is above it
  uint32_t x32 = UINT32_MAX;
};

std::map<uint32_t, NewestCalls> FindNewestCalls(const grpc::LinuxSeccomp& profile) {
  std::map<uint32_t, NewestCalls> newest;
  for (const std::string& architecture : profile.architectures()) {
    const uint32_t token = ArchitectureToken(architecture);
    int highest = 0;
    for (const auto& call : profile.syscalls()) {
      for (const std::string& name : call.names()) {
        // The number is negative if the architecture lacks the call.
        highest = std::max(highest, seccomp_syscall_resolve_name_arch(token, name.c_str()));
      }
    }
    if (highest == 0) continue;
    if (token == SCMP_ARCH_X32) {
      newest[SCMP_ARCH_X86_64].x32 = static_cast<uint32_t>(highest) | kX32Bit;
    } else {
      newest[token].ordinary = static_cast<uint32_t>(highest);
    }
  }
  return newest;
}

bool Permits(uint32_t action) {
  const uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
  // SECCOMP_RET_TRACE counts as permitting, because the tracer decides.
  return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

// The code that runs before libseccomp's filter, and returns ENOSYS for calls that are newer than the profile. It may
// be put in front, because libseccomp's filter loads everything that it needs by itself.
std::vector<sock_filter> UnknownCallsPart(const grpc::LinuxSeccomp& profile, uint32_t default_action) {
  const auto number = static_cast<uint32_t>(offsetof(seccomp_data, nr));
  std::vector<sock_filter> code;
  if (Permits(default_action)) return code;
  const auto newest = FindNewestCalls(profile);
  if (newest.empty()) return code;
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offsetof(seccomp_data, arch))));
  std::vector<size_t> to_filter;  // jumps to the end of this code, which are patched last
  // Appends two instructions: a call above newest_call jumps to the return, which is to_return instructions further on;
  // all other calls jump to the end.
  const auto compare = [&](uint32_t newest_call, uint8_t to_return) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_call, static_cast<uint8_t>(to_return + 1), 0));
    to_filter.push_back(code.size());
    code.push_back(BPF_STMT(BPF_JMP | BPF_JA, 0));
  };
  for (const auto& [architecture, calls] : newest) {
    const size_t begin = code.size();
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 0));
    code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number));
    if (architecture == SCMP_ARCH_X86_64) {
      code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kX32Bit, 0, 2));
      compare(calls.x32, 2);
    }
    compare(calls.ordinary, 0);
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    code[begin].jf = static_cast<uint8_t>(code.size() - begin - 1);
  }
  for (const size_t jump : to_filter) code[jump].k = static_cast<uint32_t>(code.size() - jump - 1);
  return code;
}

Result<uint32_t> ParseFlags(const grpc::LinuxSeccomp& profile) {
  uint32_t flags = 0;
  for (const std::string& name : profile.flags()) {
    if (name == "SECCOMP_FILTER_FLAG_LOG") {
      flags |= SECCOMP_FILTER_FLAG_LOG;
    } else if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") {
      flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    } else if (name == "SECCOMP_FILTER_FLAG_TSYNC") {
      flags |= SECCOMP_FILTER_FLAG_TSYNC;
    } else {
      return Fail(Code::kInvalidArgument, "linux.seccomp.flags: \"{}\" is unknown", name);
    }
  }
  return flags;
}

}  // namespace

Result<> CompileSeccomp(const grpc::LinuxSeccomp& profile, int file) {
  std::optional<uint32_t> error;
  if (profile.has_defaulterrnoret()) error = profile.defaulterrnoret();
  const uint32_t default_action = TRY(ParseAction(profile.defaultaction(), error, "defaultAction"));
  const uint32_t flags = TRY(ParseFlags(profile));
  const Filter filter(seccomp_init(default_action), seccomp_release);
  if (!filter) return Fail(Code::kInvalidArgument, "linux.seccomp.defaultAction: libseccomp refuses it");
  TRY(AddArchitectures(filter.get(), profile));
  TRY(AddSyscalls(filter.get(), profile, default_action));
  TRY(WriteAll(file, {reinterpret_cast<const char*>(&flags), sizeof flags}));
  const std::vector<sock_filter> part = UnknownCallsPart(profile, default_action);
  TRY(WriteAll(file, {reinterpret_cast<const char*>(part.data()), part.size() * sizeof(sock_filter)}));
  const int failed = seccomp_export_bpf(filter.get(), file);
  if (failed != 0) return FailWith(-failed, "linux.seccomp: cannot compile the filter");
  return {};
}

Result<SeccompFilter> ReadSeccomp(int file) {
  struct stat info {};
  SeccompFilter filter;
  if (fstat(file, &info) != 0) return FailErrno("linux.seccomp: cannot look at the filter");
  if (info.st_size == 0) return filter;
  const size_t size = static_cast<size_t>(info.st_size) - sizeof filter.flags;
  filter.code.resize(size / sizeof(sock_filter));
  if (filter.code.size() > 0xffff) return Fail(Code::kInvalidArgument, "linux.seccomp: the filter is too long");
  if (pread(file, &filter.flags, sizeof filter.flags, 0) != sizeof filter.flags ||
      pread(file, filter.code.data(), size, sizeof filter.flags) != static_cast<ssize_t>(size)) {
    return FailErrno("linux.seccomp: cannot read the filter");
  }
  return filter;
}

bool LoadSeccomp(const SeccompFilter& filter) {
  if (filter.code.empty()) return true;
  const sock_fprog program{static_cast<uint16_t>(filter.code.size()), const_cast<sock_filter*>(filter.code.data())};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program) == 0;
}

}  // namespace kata::agent
