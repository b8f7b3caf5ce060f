// SPDX-License-Identifier: Apache-2.0
#include "agent/container/seccomp.h"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "base/unique_fd.h"

namespace kata::agent {
namespace {

using testing::HasSubstr;

grpc::LinuxSyscall* AddCall(grpc::LinuxSeccomp* profile, const std::string& name, const std::string& action) {
  auto* call = profile->add_syscalls();
  call->add_names(name);
  call->set_action(action);
  return call;
}

grpc::LinuxSeccompArg* AddArgument(grpc::LinuxSyscall* call, uint64_t index, const std::string& op, uint64_t value,
                                   uint64_t value_two = 0) {
  auto* argument = call->add_args();
  argument->set_index(index);
  argument->set_op(op);
  argument->set_value(value);
  argument->set_valuetwo(value_two);
  return argument;
}

// Runs probe in a process under the profile. Returns the probe's result, or the wait status if a signal has killed it.
int Under(const grpc::LinuxSeccomp& profile, const std::function<int()>& probe) {
  const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  const auto compiled = CompileSeccomp(profile, file.get());
  EXPECT_TRUE(compiled) << compiled.error().message();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const auto filter = ReadSeccomp(file.get());
    if (!filter || !LoadSeccomp(*filter)) _exit(99);
    _exit(probe());
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : status;
}

int ErrnoOfPersonality(unsigned long argument) { return syscall(SYS_personality, argument) < 0 ? errno : 0; }

std::string Refusal(const grpc::LinuxSeccomp& profile) {
  const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  const auto compiled = CompileSeccomp(profile, file.get());
  return compiled ? "accepted" : compiled.error().message();
}

TEST(Seccomp, ErrnoIsThePermissionsUnlessTheProfileSaysAnother) {
  grpc::LinuxSeccomp profile;
  profile.set_defaultaction("SCMP_ACT_ALLOW");
  profile.add_architectures("SCMP_ARCH_X86_64");
  profile.add_architectures("SCMP_ARCH_X86");
  auto* call = AddCall(&profile, "personality", "SCMP_ACT_ERRNO");
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(0xffffffff); }), EPERM);
  call->set_errnoret(ENOTTY);
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(0xffffffff); }), ENOTTY);
}

// Not with sanitizers, because such a profile refuses their own system calls.
#ifndef __SANITIZE_ADDRESS__
TEST(Seccomp, DefaultErrno) {
  grpc::LinuxSeccomp profile;
  profile.set_defaultaction("SCMP_ACT_ERRNO");
  profile.set_defaulterrnoret(ENOSYS);
  for (const char* name : {"exit_group", "no_such_call_at_all"}) AddCall(&profile, name, "SCMP_ACT_ALLOW");
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(0xffffffff); }), ENOSYS);
}

// A system call number that no kernel has.
constexpr long kCallOfTheFuture = 5000;

int ErrnoOf(long call) { return syscall(call, -1, 0, 0, 0, 0, 0) < 0 ? errno : 0; }

// As with runc, a call that is newer than all calls in the profile fails with ENOSYS, not EPERM.
TEST(Seccomp, ACallNewerThanTheProfileDoesNotExist) {
  grpc::LinuxSeccomp profile;
  profile.set_defaultaction("SCMP_ACT_ERRNO");
  for (const char* name : {"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86_64"}) profile.add_architectures(name);
  for (const char* name : {"exit_group", "faccessat2"}) AddCall(&profile, name, "SCMP_ACT_ALLOW");
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(kCallOfTheFuture); }), ENOSYS);
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(SYS_faccessat2 + 1); }), ENOSYS);
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(SYS_faccessat2 - 1); }), EPERM) << "left out, but not newer";
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(0xffffffff); }), EPERM);
  // x32's calls have numbers of their own in the same architecture.
  constexpr long kX32 = 0x40000000;
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(kX32 + kCallOfTheFuture); }), ENOSYS);
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(kX32 + SYS_personality); }), EPERM);
  // ENOSYS also replaces the profile's own errno, and a signal.
  profile.set_defaulterrnoret(ENOTTY);
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(kCallOfTheFuture); }), ENOSYS);
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(0xffffffff); }), ENOTTY);
  profile.set_defaultaction("SCMP_ACT_KILL_PROCESS");
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(kCallOfTheFuture); }), ENOSYS);
}

TEST(Seccomp, ANewCallThatTheProfileLetsPassReachesTheKernel) {
  grpc::LinuxSeccomp profile;
  profile.set_defaultaction("SCMP_ACT_ALLOW");
  profile.add_architectures("SCMP_ARCH_X86_64");
  AddCall(&profile, "personality", "SCMP_ACT_ERRNO")->set_errnoret(ENOTTY);
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(SYS_faccessat2); }), EFAULT);
  // Only for the architectures that the profile names, as with runc.
  profile.set_defaultaction("SCMP_ACT_ERRNO");
  AddCall(&profile, "exit_group", "SCMP_ACT_ALLOW");
  profile.clear_architectures();
  EXPECT_EQ(Under(profile, [] { return ErrnoOf(kCallOfTheFuture); }), EPERM);
}

// The profile need not allow any call for the sake of LoadSeccomp.
TEST(Seccomp, NothingIsCalledAfterTheFilterIsLoaded) {
  grpc::LinuxSeccomp profile;
  profile.set_defaultaction("SCMP_ACT_KILL_PROCESS");
  AddCall(&profile, "exit_group", "SCMP_ACT_ALLOW");
  EXPECT_EQ(Under(profile, [] { return 7; }), 7);
}

#endif

TEST(Seccomp, ArgumentsAreAndedUnlessTheyShareAnIndex) {
  grpc::LinuxSeccomp profile;
  profile.set_defaultaction("SCMP_ACT_ALLOW");
  auto* call = AddCall(&profile, "personality", "SCMP_ACT_ERRNO");
  AddArgument(call, 0, "SCMP_CMP_EQ", 0xffffffff);
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(0xffffffff); }), EPERM);
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(PER_LINUX); }), 0);
  // A second condition on the same argument is an alternative.
  AddArgument(call, 0, "SCMP_CMP_EQ", PER_LINUX);
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(PER_LINUX); }), EPERM);
  // One on another argument narrows the rule.
  call->clear_args();
  AddArgument(call, 0, "SCMP_CMP_EQ", 0xffffffff);
  AddArgument(call, 1, "SCMP_CMP_EQ", 77);
  EXPECT_EQ(Under(profile, [] { return syscall(SYS_personality, 0xffffffff, 0) < 0 ? errno : 0; }), 0);
  EXPECT_EQ(Under(profile, [] { return syscall(SYS_personality, 0xffffffff, 77) < 0 ? errno : 0; }), EPERM);
}

TEST(Seccomp, Operators) {
  struct Case {
    const char* op;
    uint64_t value, value_two, hit, miss;
  };
  for (const Case& one : {Case{"SCMP_CMP_NE", 5, 0, 4, 5}, Case{"SCMP_CMP_LT", 5, 0, 4, 5},
                          Case{"SCMP_CMP_LE", 5, 0, 5, 6}, Case{"SCMP_CMP_GE", 5, 0, 5, 4},
                          Case{"SCMP_CMP_GT", 5, 0, 6, 5}, Case{"SCMP_CMP_MASKED_EQ", 0xf, 0x5, 0x15, 0x16}}) {
    grpc::LinuxSeccomp profile;
    profile.set_defaultaction("SCMP_ACT_ALLOW");
    AddArgument(AddCall(&profile, "close", "SCMP_ACT_ERRNO"), 1, one.op, one.value, one.value_two);
    EXPECT_EQ(Under(profile, [&] { return syscall(SYS_close, 1000, one.hit) < 0 ? errno : 0; }), EPERM) << one.op;
    EXPECT_EQ(Under(profile, [&] { return syscall(SYS_close, 1000, one.miss) < 0 ? errno : 0; }), EBADF) << one.op;
  }
}

TEST(Seccomp, KillAndTrap) {
  grpc::LinuxSeccomp profile;
  profile.set_defaultaction("SCMP_ACT_ALLOW");
  auto* call = AddCall(&profile, "personality", "SCMP_ACT_KILL_PROCESS");
  EXPECT_EQ(WTERMSIG(Under(profile, [] { return ErrnoOfPersonality(0); })), SIGSYS);
  call->set_action("SCMP_ACT_TRAP");
  EXPECT_EQ(WTERMSIG(Under(profile, [] { return ErrnoOfPersonality(0); })), SIGSYS);
  call->set_action("SCMP_ACT_LOG");
  profile.add_flags("SECCOMP_FILTER_FLAG_LOG");
  EXPECT_EQ(Under(profile, [] { return ErrnoOfPersonality(0xffffffff); }), 0);
}

TEST(Seccomp, RefusalsNameTheField) {
  grpc::LinuxSeccomp profile;
  profile.set_defaultaction("SCMP_ACT_MAYBE");
  EXPECT_THAT(Refusal(profile), HasSubstr("linux.seccomp.defaultAction"));
  profile.set_defaultaction("SCMP_ACT_ALLOW");
  profile.add_architectures("SCMP_ARCH_PDP11");
  EXPECT_THAT(Refusal(profile), HasSubstr("linux.seccomp.architectures[0]"));
  profile.clear_architectures();
  profile.add_flags("SECCOMP_FILTER_FLAG_X");
  EXPECT_THAT(Refusal(profile), HasSubstr("linux.seccomp.flags"));
  profile.clear_flags();
  auto* call = AddCall(&profile, "close", "SCMP_ACT_NOTIFY");
  EXPECT_THAT(Refusal(profile), HasSubstr("linux.seccomp.syscalls[0].action"));
  call->set_action("SCMP_ACT_ERRNO");
  AddArgument(call, 6, "SCMP_CMP_EQ", 0);
  EXPECT_THAT(Refusal(profile), HasSubstr("linux.seccomp.syscalls[0].args[0].index"));
  call->clear_args();
  AddArgument(call, 0, "SCMP_CMP_XX", 0);
  EXPECT_THAT(Refusal(profile), HasSubstr("linux.seccomp.syscalls[0].args[0].op"));
}

TEST(Seccomp, AnEmptyFileIsNoFilter) {
  const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  const auto filter = ReadSeccomp(file.get());
  ASSERT_TRUE(filter);
  EXPECT_TRUE(filter->code.empty());
  EXPECT_TRUE(LoadSeccomp(*filter));
}

}  // namespace
}  // namespace kata::agent
