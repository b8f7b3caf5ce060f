// SPDX-License-Identifier: Apache-2.0
// Users, capabilities, limits, seccomp and sysctls of a container's processes.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "agent/container/container_fixture.h"

namespace kata::agent {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string Caps(const char* inheritable, const char* permitted, const char* effective, const char* bounding,
                 const char* ambient) {
  return std::string("CapInh:\t") + inheritable + "\nCapPrm:\t" + permitted + "\nCapEff:\t" + effective +
         "\nCapBnd:\t" + bounding + "\nCapAmb:\t" + ambient + "\n";
}

constexpr const char* kNone = "0000000000000000";
constexpr const char* kLook = "grep Cap /proc/self/status";

void SetCapabilities(grpc::Process* process, const std::vector<std::string>& base,
                     const std::vector<std::string>& extra) {
  auto* sets = process->mutable_capabilities();
  sets->Clear();
  for (const std::string& name : base) {
    sets->add_bounding(name);
    sets->add_permitted(name);
    sets->add_effective(name);
  }
  for (const std::string& name : extra) {
    sets->add_inheritable(name);
    sets->add_ambient(name);
  }
}

TEST_F(ContainerTest, CapabilitiesAreExactlyThoseAskedFor) {
  struct Case {
    uid_t uid;
    std::vector<std::string> base, extra;
    std::string expected;
  };
  const std::vector<Case> cases = {
      // Inheritable stays empty unless asked for (CVE-2022-29162).
      {0,
       {"CAP_CHOWN", "CAP_KILL"},
       {},
       Caps(kNone, "0000000000000021", "0000000000000021", "0000000000000021", kNone)},
      {0, {}, {}, Caps(kNone, kNone, kNone, kNone, kNone)},
      {1000, {"CAP_CHOWN", "CAP_KILL"}, {}, Caps(kNone, kNone, kNone, "0000000000000021", kNone)},
      {1000,
       {"CAP_CHOWN", "CAP_KILL"},
       {"CAP_KILL"},
       Caps("0000000000000020", "0000000000000020", "0000000000000020", "0000000000000021", "0000000000000020")},
      {0,
       {"CAP_KILL", "CAP_FROM_THE_FUTURE"},
       {},
       Caps(kNone, "0000000000000020", "0000000000000020", "0000000000000020", kNone)},
  };
  for (const Case& one : cases) {
    grpc::Spec spec = Spec(kLook);
    SetCapabilities(spec.mutable_process(), one.base, one.extra);
    spec.mutable_process()->mutable_user()->set_uid(one.uid);
    const Outcome outcome = Run(spec);
    ASSERT_FALSE(outcome.error) << outcome.error->message();
    EXPECT_EQ(outcome.out, one.expected);
  }
}

TEST_F(ContainerTest, ImpossibleCapabilitiesAreAnError) {
  grpc::Spec spec = Spec("true");
  spec.mutable_process()->mutable_capabilities()->clear_permitted();
  Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("process.capabilities"));
}

TEST_F(ContainerTest, ExecHasTheInitsCapabilitiesOrItsOwn) {
  auto container = Started(Spec("sleep 1000"));
  grpc::Process process = Script(kLook);
  EXPECT_THAT(Exec(*container, process).out, HasSubstr("CapEff:\t00000000080004eb\n"));
  SetCapabilities(&process, {"CAP_KILL"}, {});
  EXPECT_EQ(Exec(*container, process).out,
            Caps(kNone, "0000000000000020", "0000000000000020", "0000000000000020", kNone));
  Destroy(*container);
}

TEST_F(ContainerTest, UserGroupsUmaskAndHome) {
  std::ofstream(root_ + "/etc/passwd") << "root:x:0:0::/root:/bin/sh\n";
  grpc::Spec spec = Spec("id -u; id -g; id -G; umask; echo $HOME; grep NoNewPrivs /proc/self/status");
  auto* user = spec.mutable_process()->mutable_user();
  user->set_uid(1234);
  user->set_gid(5678);
  user->add_additionalgids(10);
  user->add_additionalgids(20);
  user->set_umask(0077);
  Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "1234\n5678\n5678 10 20\n0077\n/\nNoNewPrivs:\t1\n");
  spec = Spec("umask; echo $HOME; grep NoNewPrivs /proc/self/status");
  spec.mutable_process()->set_nonewprivileges(false);
  outcome = Run(spec);
  EXPECT_EQ(outcome.out, "0022\n/root\nNoNewPrivs:\t0\n");
  spec.mutable_process()->add_env("HOME=/elsewhere");
  EXPECT_THAT(Run(spec).out, HasSubstr("/elsewhere"));
}

TEST_F(ContainerTest, AUserCanReopenItsStreams) {
  grpc::Spec spec = Spec("echo reopened >/dev/stdout");
  spec.mutable_process()->mutable_user()->set_uid(1234);
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "reopened\n");
}

TEST_F(ContainerTest, LimitsAndPriorities) {
  grpc::Spec spec = Spec(
      "ulimit -n; ulimit -Hn; ulimit -c; set -- $(cat /proc/self/stat); echo ${19}; cat /proc/self/oom_score_adj; grep "
      "^policy /proc/self/sched");
  auto* limit = spec.mutable_process()->add_rlimits();
  limit->set_type("RLIMIT_NOFILE");
  limit->set_soft(100);
  limit->set_hard(200);
  limit = spec.mutable_process()->add_rlimits();
  limit->set_type("RLIMIT_CORE");
  spec.mutable_process()->set_oomscoreadj(321);
  spec.mutable_process()->mutable_scheduler()->set_policy("SCHED_BATCH");
  spec.mutable_process()->mutable_scheduler()->set_nice(7);
  spec.mutable_process()->mutable_iopriority()->set_class_("IOPRIO_CLASS_BE");
  spec.mutable_process()->mutable_iopriority()->set_priority(6);
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("100\n200\n0\n7\n321\n"));
}

TEST_F(ContainerTest, AttributesThatCannotBeNameTheField) {
  grpc::Spec spec = Spec("true");
  spec.mutable_process()->add_rlimits()->set_type("RLIMIT_FOO");
  EXPECT_THAT(Run(spec).error.value().message(), HasSubstr("process.rlimits[0].type"));
  spec = Spec("true");
  spec.mutable_process()->mutable_iopriority()->set_class_("FAST");
  EXPECT_THAT(Run(spec).error.value().message(), HasSubstr("process.ioPriority.class"));
  spec = Spec("true");
  spec.mutable_process()->mutable_scheduler()->set_policy("SCHED_FAST");
  EXPECT_THAT(Run(spec).error.value().message(), HasSubstr("process.scheduler.policy"));
  spec = Spec("true");
  spec.mutable_process()->set_oomscoreadj(2000);
  EXPECT_THAT(Run(spec).error.value().message(), HasSubstr("process.oomScoreAdj"));
}

TEST_F(ContainerTest, PersonalityAndSysctl) {
  grpc::Spec spec = Spec("cat /proc/self/personality /proc/sys/kernel/msgmax; cat /proc/sys/kernel/domainname");
  spec.mutable_linux()->mutable_personality()->set_domain("LINUX32");
  (*spec.mutable_linux()->mutable_sysctl())["kernel.msgmax"] = "4321";
  spec.set_domainname("example");
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "00000008\n4321\nexample\n");
  (*spec.mutable_linux()->mutable_sysctl())["kernel.no_such_thing"] = "1";
  EXPECT_THAT(Run(spec).error.value().message(), HasSubstr("linux.sysctl[\"kernel.no_such_thing\"]"));
}

void AddProfile(grpc::Spec* spec) {
  auto* profile = spec->mutable_linux()->mutable_seccomp();
  profile->set_defaultaction("SCMP_ACT_ALLOW");
  auto* call = profile->add_syscalls();
  call->add_names("mkdir");
  call->add_names("mkdirat");
  call->set_action("SCMP_ACT_ERRNO");
  call->set_errnoret(ENOTTY);
}

TEST_F(ContainerTest, SeccompHoldsForInitAndExec) {
  for (const bool no_new_privileges : {true, false}) {
    grpc::Spec spec = Spec("mkdir /data/x 2>&1; grep Seccomp: /proc/self/status; sleep 1000");
    AddProfile(&spec);
    spec.mutable_process()->set_nonewprivileges(no_new_privileges);
    auto container = Started(spec);
    grpc::Process process = Script("mkdir /data/x 2>&1; grep Seccomp: /proc/self/status /proc/1/status");
    process.set_nonewprivileges(no_new_privileges);
    const Outcome outcome = Exec(*container, process);
    ASSERT_FALSE(outcome.error) << outcome.error->message();
    EXPECT_THAT(outcome.out, HasSubstr("Inappropriate ioctl"));
    EXPECT_THAT(outcome.out, HasSubstr("/proc/self/status:Seccomp:\t2"));
    EXPECT_THAT(outcome.out, HasSubstr("/proc/1/status:Seccomp:\t2"));
    Destroy(*container);
  }
}

// The agent's code makes no system call after it has loaded the filter, whatever that refuses. This holds also without
// no_new_privs, where loading needs a capability that the program does not get.
TEST_F(ContainerTest, AFilterMayKillForAllThatAProgramDoesNotNeed) {
  for (const bool no_new_privileges : {true, false}) {
    for (const uid_t uid : {0U, 1000U}) {
      grpc::Spec spec = Spec("");
      spec.mutable_process()->clear_args();
      for (const char* arg : {"/bin/cat", "/proc/self/status"}) spec.mutable_process()->add_args(arg);
      spec.mutable_process()->set_nonewprivileges(no_new_privileges);
      spec.mutable_process()->mutable_user()->set_uid(uid);
      auto* profile = spec.mutable_linux()->mutable_seccomp();
      profile->set_defaultaction("SCMP_ACT_ALLOW");
      auto* call = profile->add_syscalls();
      call->set_action("SCMP_ACT_KILL_PROCESS");
      // System calls that the agent's code makes before, and the program does not.
      for (const char* name :
           {"getcwd",       "chdir",   "capset", "capget",  "setgroups",   "setresuid", "setresgid", "prctl",
            "sendmsg",      "recvmsg", "keyctl", "seccomp", "close_range", "umask",     "clone3",    "setsid",
            "memfd_create", "statx",   "dup2",   "socket",  "poll",        "waitid"}) {
        call->add_names(name);
      }
      const Outcome outcome = Run(spec);
      ASSERT_FALSE(outcome.error) << outcome.error->message();
      EXPECT_EQ(outcome.status, 0);
      const std::string rights = uid == 0 ? "00000000080004eb" : kNone;
      EXPECT_THAT(outcome.out, HasSubstr("CapPrm:\t" + rights + "\nCapEff:\t" + rights));
      EXPECT_THAT(outcome.out, HasSubstr("Seccomp:\t2"));
      EXPECT_THAT(outcome.out, HasSubstr(no_new_privileges ? "NoNewPrivs:\t1" : "NoNewPrivs:\t0"));
    }
  }
}

TEST_F(ContainerTest, AGroupThatIsListedTwiceIsOne) {
  auto container = Started(Spec("sleep 1000"));
  grpc::Process process = Script("grep Groups: /proc/self/status");
  for (const gid_t group : {5U, 7U, 5U, 5U}) process.mutable_user()->add_additionalgids(group);
  EXPECT_EQ(Exec(*container, process).out, "Groups:\t5 7 \n");
  process.mutable_user()->clear_additionalgids();
  EXPECT_EQ(Exec(*container, process).out, "Groups:\t \n");
  Destroy(*container);
}

// The directory is entered once, as root if root may enter it, so the user needs no search permission.
TEST_F(ContainerTest, AWorkingDirectoryThatTheUserMayNotSearch) {
  fs::create_directory(root_ + "/data/closed");
  fs::permissions(root_ + "/data/closed", fs::perms::owner_all);
  grpc::Spec spec = Spec("readlink /proc/self/cwd; cd /data/closed || sleep 1000");
  spec.mutable_process()->set_cwd("/data/closed");
  spec.mutable_process()->mutable_user()->set_uid(1000);
  auto container = Started(spec);
  grpc::Process process = Script("readlink /proc/self/cwd; test -r . || echo closed");
  process.set_cwd("/data/closed");
  process.mutable_user()->set_uid(1000);
  const Outcome outcome = Exec(*container, process);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "/data/closed\nclosed\n");
  process.set_cwd("/data/missing");
  EXPECT_THAT(Exec(*container, process).error.value().message(), HasSubstr("chdir to cwd (\"/data/missing\") failed"));
  Destroy(*container);
}

// The reverse: the container's root has no rights over a directory of the host's users, but a group of the user has.
TEST_F(ContainerTest, AWorkingDirectoryThatOnlyTheUserMayEnter) {
  grpc::Spec spec = UserSpec("readlink /proc/self/cwd");
  const std::string directory = root_ + "/data/shared";
  fs::create_directory(directory);
  ASSERT_EQ(lchown(directory.c_str(), 0, 100007), 0);
  ASSERT_EQ(chmod(directory.c_str(), 0070), 0);
  spec.mutable_process()->set_cwd("/data/shared");
  spec.mutable_process()->mutable_user()->set_uid(1000);
  spec.mutable_process()->mutable_user()->set_gid(7);
  Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "/data/shared\n");
  spec.mutable_process()->mutable_user()->set_gid(8);
  outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("chdir to cwd (\"/data/shared\") failed"));
}

TEST_F(ContainerTest, AnInitIsNotDumpableWhileItIsOurs) {
  // The /proc directory of a process that is not dumpable belongs to root and not to the process's user
  // (CVE-2019-5736).
  auto created = Await(Container::Create(executor(), Options(UserSpec("sleep 1000")), ProcessIo()));
  ASSERT_TRUE(created) << created.error().message();
  const std::string status = "/proc/" + std::to_string((*created)->init().pid) + "/status";
  struct stat info {};
  ASSERT_EQ(stat(status.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
  ASSERT_TRUE(Await((*created)->Start()));
  ASSERT_EQ(stat(status.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 100000U);
  Destroy(**created);
}

TEST_F(ContainerTest, AUserNamespaceMapsUsers) {
  grpc::Spec spec = UserSpec(
      "id -u; cat /proc/self/uid_map; stat -c %u /bin/busybox; echo x >/data/x; stat -c %t:%T /dev/null; echo "
      ">/dev/null; "
      "stat -c %u /dev/shm; ls /sys/class >/dev/null && echo sys; umount /proc 2>/dev/null; cat "
      "/proc/self/oom_score_adj; "
      "grep 0:: /proc/self/cgroup; ls /sys/fs/cgroup/cgroup.procs");
  spec.mutable_process()->set_oomscoreadj(77);
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out,
            "0\n         0     100000      65536\n0\n1:3\n0\nsys\n77\n0::/\n/sys/fs/cgroup/cgroup.procs\n");
  struct stat info {};
  ASSERT_EQ(stat((root_ + "/data/x").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 100000U);
}

TEST_F(ContainerTest, AUserNamespaceHasTerminalsAndExecs) {
  grpc::Spec spec = UserSpec("tty; stat -c %u /dev/pts/0");
  spec.mutable_process()->set_terminal(true);
  Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "/dev/pts/0\r\n0\r\n");

  auto container = Started(UserSpec("sleep 1000"));
  grpc::Process process =
      Script("id -u; readlink /proc/self/ns/user; readlink /proc/1/ns/user; cat /proc/self/uid_map");
  process.mutable_user()->set_uid(5);
  process.mutable_user()->add_additionalgids(6);
  outcome = Exec(*container, process);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, testing::StartsWith("5\nuser:["));
  EXPECT_THAT(outcome.out, HasSubstr("100000      65536"));
  Destroy(*container);
}

TEST_F(ContainerTest, AUserNamespaceCannotUncoverTheGuest) {
  std::ofstream(directory_ + "/marker") << "the guest's";
  grpc::Spec spec = UserSpec("umount -l / 2>&1; umount -l /proc 2>&1; cat " + directory_ + "/marker 2>&1; ls /");
  for (auto* set : {spec.mutable_process()->mutable_capabilities()->mutable_bounding(),
                    spec.mutable_process()->mutable_capabilities()->mutable_effective(),
                    spec.mutable_process()->mutable_capabilities()->mutable_permitted()}) {
    *set->Add() = "CAP_SYS_ADMIN";
  }
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("can't unmount /"));
  EXPECT_THAT(outcome.out, HasSubstr("marker': No such file"));
  EXPECT_THAT(outcome.out, HasSubstr("proc"));  // ls has listed something
}

TEST_F(ContainerTest, AUserNamespaceWithoutRootIsAnErrorThatNamesTheField) {
  grpc::Spec spec = UserSpec("true");
  spec.mutable_linux()->mutable_uidmappings(0)->set_containerid(1);
  const Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("linux.uidMappings"));
}

TEST_F(ContainerTest, AMountThatCannotBeMappedIsNamed) {
  grpc::Spec spec = UserSpec("true");
  AddMount(&spec, "/data", "bind", "/proc/sys", {"bind", "idmap"});
  Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("(\"/proc/sys\" at /data): cannot map the mount's ids, since"));

  // A mapping of its own, which the kernel refuses: two ids for one.
  grpc::Mount& mount = *spec.mutable_mounts(spec.mounts_size() - 1);
  for (auto* mapping : {mount.add_uidmappings(), mount.add_uidmappings(), mount.add_gidmappings()})
    mapping->set_size(1);
  outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("(\"/proc/sys\" at /data): uidMappings: "));
  mount.clear_gidmappings();
  mount.mutable_uidmappings()->RemoveLast();
  outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("(\"/proc/sys\" at /data): gidMappings: "));
}

}  // namespace
}  // namespace kata::agent
