// SPDX-License-Identifier: Apache-2.0
#include "agent/container/container.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <filesystem>
#include <fstream>

#include "agent/container/cgroup.h"
#include "agent/container/container_fixture.h"
#include "base/files.h"

namespace kata::agent {
namespace {

namespace fs = std::filesystem;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

// Kills the first process that enters the cgroup.
asio::awaitable<void> KillTheFirst(asio::any_io_executor executor, std::string group) {
  const auto events = Open(group + "/cgroup.events", O_RDONLY);
  // The read makes the next poll of the file wait for a change.
  EXPECT_THAT(ReadAll(events->get()).value_or(""), HasSubstr("populated 0"));
  EXPECT_TRUE(co_await WaitChanged(executor, events->get(), std::chrono::seconds(60)));
  EXPECT_TRUE(WriteFile(group + "/cgroup.kill", "1"));
}

TEST_F(ContainerTest, RunsACommandAndTellsItsStatus) {
  const Outcome outcome = Run(Spec("echo hello; exit 7"));
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "hello\n");
  EXPECT_EQ(outcome.status, 7);
}

TEST_F(ContainerTest, HasNamespacesOfItsOwn) {
  const Outcome outcome =
      Run(Spec("echo $$; hostname; for n in pid mnt ipc uts cgroup net; do readlink /proc/self/ns/$n; done; cat "
               "/proc/self/cgroup"));
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("1\nbox\n"));
  for (const char* name : {"pid", "mnt", "ipc", "uts", "cgroup"}) {
    EXPECT_THAT(outcome.out, Not(HasSubstr(fs::read_symlink(std::string("/proc/self/ns/") + name).string()))) << name;
  }
  // The guest's network is the pod's.
  EXPECT_THAT(outcome.out, HasSubstr(fs::read_symlink("/proc/self/ns/net").string()));
  EXPECT_THAT(outcome.out, HasSubstr("0::/\n"));
}

TEST_F(ContainerTest, OnlyStdioIsOpen) {
  auto container = Started(Spec("sleep 1000"));
  const std::string list = "for fd in /proc/self/fd/*; do test -e $fd && echo ${fd##*/}; done";
  // test -e skips the descriptor by which the shell has read the directory.
  EXPECT_EQ(ExecScript(*container, list).out, "0\n1\n2\n");
  Destroy(*container);
  EXPECT_EQ(Run(Spec(list)).out, "0\n1\n2\n");
}

TEST_F(ContainerTest, ACommandThatIsNotThereHasRuncsWords) {
  struct Case {
    const char* command;
    const char* message;
    Code code;
  };
  std::ofstream(root_ + "/data/plain") << "no program";
  for (const Case& one :
       {Case{"nothing", "exec: \"nothing\": executable file not found in $PATH", Code::kNotFound},
        Case{"/bin/nothing", "exec: \"/bin/nothing\": stat /bin/nothing: no such file or directory", Code::kNotFound},
        Case{"/data/plain", "exec: \"/data/plain\": permission denied", Code::kPermissionDenied},
        Case{"/data", "exec: \"/data\": permission denied", Code::kPermissionDenied}}) {
    grpc::Spec spec = Spec("");
    spec.mutable_process()->clear_args();
    spec.mutable_process()->add_args(one.command);
    const Outcome outcome = Run(spec);
    ASSERT_TRUE(outcome.error) << one.command;
    EXPECT_EQ(outcome.error->message(), one.message);
    EXPECT_EQ(outcome.error->code(), one.code);
  }
}

TEST_F(ContainerTest, AFileThatIsNoProgramFailsTheStart) {
  std::ofstream(root_ + "/data/garbage") << "\1\2\3\4";
  fs::permissions(root_ + "/data/garbage", fs::perms(0755));
  grpc::Spec spec = Spec("");
  spec.mutable_process()->set_args(0, "/data/garbage");
  const Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->message(), "exec /data/garbage: exec format error");
}

TEST_F(ContainerTest, HasATerminalOfItsOwn) {
  grpc::Spec spec = Spec("tty; stty size; ls -l /dev/console; echo x >/dev/console");
  spec.mutable_process()->set_terminal(true);
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("/dev/pts/0\r\n"));
  EXPECT_THAT(outcome.out, HasSubstr("24 81\r\n"));
  EXPECT_THAT(outcome.out, HasSubstr("136,"));
  EXPECT_THAT(outcome.out, HasSubstr("x\r\n"));
}

TEST_F(ContainerTest, ATerminalWithoutDevptsIsAnErrorThatNamesTheField) {
  grpc::Spec spec = Spec("true");
  spec.mutable_process()->set_terminal(true);
  DropMount(&spec, "/dev/pts");
  const Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("process.terminal"));
}

TEST_F(ContainerTest, ExecJoinsEverything) {
  auto container = Started(Spec("sleep 1000"));
  const std::string look = "for n in pid mnt ipc uts cgroup net user; do readlink /proc/%/ns/$n; done";
  std::string of_init = look;
  of_init.replace(of_init.find('%'), 1, "1");
  std::string of_self = look;
  of_self.replace(of_self.find('%'), 1, "self");
  const Outcome init = ExecScript(*container, of_init);
  const Outcome self = ExecScript(*container, of_self);
  ASSERT_FALSE(init.error) << init.error->message();
  EXPECT_EQ(init.out, self.out);
  EXPECT_THAT(ExecScript(*container, "cat /proc/self/cgroup").out, testing::EndsWith("0::/\n"));
  EXPECT_EQ(ExecScript(*container, "exit 9").status, 9);
  EXPECT_EQ(ExecScript(*container, "kill -TERM $$").status, 128 + SIGTERM);
  Destroy(*container);
}

TEST_F(ContainerTest, ExecHasItsOwnUserDirectoryAndErrors) {
  std::ofstream(root_ + "/etc/passwd") << "root:x:0:0::/root:/bin/sh\nfred:x:1001:1002::/data:/bin/sh\n";
  auto container = Started(Spec("sleep 1000"));
  grpc::Process process = Script("id -u; id -g; id -G; pwd; echo $HOME; umask");
  process.mutable_user()->set_uid(1001);
  process.mutable_user()->set_gid(1002);
  process.mutable_user()->add_additionalgids(1003);
  process.mutable_user()->set_umask(0027);
  process.set_cwd("/tmp");
  const Outcome outcome = Exec(*container, process);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "1001\n1002\n1002 1003\n/tmp\n/data\n0027\n");

  process.set_cwd("/nowhere");
  Outcome failed = Exec(*container, process);
  ASSERT_TRUE(failed.error);
  EXPECT_THAT(failed.error->message(), HasSubstr("process.cwd"));
  process.set_cwd("/");
  process.set_args(0, "nothing");
  failed = Exec(*container, process);
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->message(), "exec: \"nothing\": executable file not found in $PATH");
  Destroy(*container);
}

TEST_F(ContainerTest, ExecHasATerminal) {
  auto container = Started(Spec("sleep 1000"));
  const Reaper::Hold hold;
  grpc::Process process = Script("read line; tty; echo got $line");
  process.set_terminal(true);
  ProcessIo io;
  io.terminal = true;
  auto started = Await(container->Exec(process, std::move(io)));
  ASSERT_TRUE(started) << started.error().message();
  ASSERT_TRUE(WriteAll(started->terminal.get(), "words\n"));
  ASSERT_TRUE(Await(Reaper::Get().Wait(started->pid)));
  const std::string text = ReadToEnd(started->terminal.get());
  EXPECT_THAT(text, HasSubstr("/dev/pts/0"));
  EXPECT_THAT(text, HasSubstr("got words"));
  Destroy(*container);
}

TEST_F(ContainerTest, ExecIsRefusedWhenPausedOrEnded) {
  auto container = Started(Spec("sleep 1000"));
  ASSERT_TRUE(Await(container->Pause()));
  Outcome outcome = ExecScript(*container, "true");
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Code::kFailedPrecondition);
  ASSERT_TRUE(Await(container->Resume()));
  EXPECT_EQ(ExecScript(*container, "true").status, 0);
  Reaper::Get().Claim(container->init().pid);
  ASSERT_TRUE(container->SignalAll(SIGKILL));
  ASSERT_TRUE(Await(Reaper::Get().Wait(container->init().pid)));
  outcome = ExecScript(*container, "true");
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Code::kFailedPrecondition);
  Destroy(*container);
}

TEST_F(ContainerTest, PausesKillsAndCounts) {
  auto container = Started(Spec("sleep 1000 & sleep 1000 & wait"));
  const auto pids = container->Pids();
  ASSERT_TRUE(pids);
  EXPECT_THAT(*pids, testing::Contains(container->init().pid));
  ASSERT_TRUE(Await(container->Pause()));
  EXPECT_THAT(*ReadFile(cgroup_mount_ + "/" + container->cgroup_path() + "/cgroup.events"), HasSubstr("frozen 1"));
  const auto stats = container->Stats();
  ASSERT_TRUE(stats);
  EXPECT_GE(stats->pids_stats().current(), 1U);
  EXPECT_GT(stats->cpu_stats().cpu_usage().total_usage(), 0U);
  // SIGKILL also ends a frozen process.
  Destroy(*container);
  EXPECT_FALSE(fs::exists(cgroup_mount_ + "/" + container->cgroup_path()));
}

TEST_F(ContainerTest, StartsOnce) {
  auto container = Started(Spec("sleep 1000"));
  const auto again = Await(container->Start());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  Destroy(*container);
}

TEST_F(ContainerTest, ACreatedContainerRunsNothingAndCanBeDestroyed) {
  auto created = Await(Container::Create(executor(), Options(Spec("touch /data/ran")), ProcessIo()));
  ASSERT_TRUE(created) << created.error().message();
  EXPECT_THAT(*(*created)->Pids(), SizeIs(1));
  Destroy(**created);
  EXPECT_FALSE(fs::exists(root_ + "/data/ran"));
}

TEST_F(ContainerTest, RemovesCgroupsThatTheContainerMade) {
  ContainerOptions options = Options(Spec("sleep 1000"));
  options.spec.mutable_linux()->set_cgroupspath("/" + options.id + "-parent/leaf");
  const std::string parent = cgroup_mount_ + "/" + options.id + "-parent";
  auto created = Await(Container::Create(executor(), std::move(options), ProcessIo()));
  ASSERT_TRUE(created) << created.error().message();
  std::string below = parent + "/leaf";
  for (int depth = 0; depth < 40; ++depth) ASSERT_TRUE(fs::create_directory(below += "/sub"));
  ASSERT_TRUE(fs::create_directory(parent + "/leaf/other"));
  Destroy(**created);
  EXPECT_FALSE(fs::exists(parent));
}

TEST_F(ContainerTest, ACgroupInUseIsRefused) {
  auto first = Started(Spec("sleep 1000"));
  ContainerOptions options = Options(Spec("true"));
  options.spec.mutable_linux()->set_cgroupspath(first->cgroup_path());
  auto second = Await(Container::Create(executor(), std::move(options), ProcessIo()));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kAlreadyExists);
  EXPECT_THAT(*first->Pids(), SizeIs(1));
  Destroy(*first);
}

// A process that is forked into a frozen cgroup hangs.
TEST_F(ContainerTest, AnInitThatHangsIsGivenUpAndKilled) {
  for (const grpc::Spec& spec : {Spec("true"), UserSpec("true")}) {
    ContainerOptions options = Options(spec);
    options.ready_limit = std::chrono::seconds(1);
    const std::string group = cgroup_mount_ + "/" + options.id;
    ASSERT_TRUE(fs::create_directory(group));
    ASSERT_TRUE(WriteFile(group + "/cgroup.freeze", "1"));
    const Outcome outcome = Run(std::move(options));
    ASSERT_TRUE(outcome.error);
    EXPECT_EQ(outcome.error->code(), Code::kDeadlineExceeded) << outcome.error->message();
    EXPECT_FALSE(fs::exists(group));
  }
}

TEST_F(ContainerTest, AnInitThatIsKilledSaysSo) {
  auto options = Options(Spec("true"));
  const std::string group = cgroup_mount_ + "/" + options.id;
  ASSERT_TRUE(fs::create_directory(group));
  ASSERT_TRUE(WriteFile(group + "/cgroup.freeze", "1"));
  asio::co_spawn(executor(), KillTheFirst(executor(), group), asio::detached);
  const Outcome outcome = Run(std::move(options));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Code::kAborted) << outcome.error->message();
}

TEST_F(ContainerTest, ALimitWithoutItsControllerNamesTheField) {
  grpc::Spec spec = Spec("true");
  (*spec.mutable_linux()->mutable_resources()->mutable_unified())["nothing.max"] = "1";
  const Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Code::kUnimplemented);
  EXPECT_THAT(outcome.error->message(), HasSubstr("linux.resources.unified[\"nothing.max\"]"));
}

TEST_F(ContainerTest, StartContainerHooksRunInsideBeforeTheCommand) {
  grpc::Spec spec = Spec("cat /data/order; cat /data/state");
  for (const char* line : {"echo one >>/data/order; cat >/data/state", "echo two >>/data/order"}) {
    auto* hook = spec.mutable_hooks()->add_startcontainer();
    hook->set_path("/bin/sh");
    for (const char* arg : {"sh", "-c", line}) hook->add_args(arg);
    hook->add_env("PATH=/bin");
  }
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("one\ntwo\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\"pid\":1,"));
}

// As with runc, hooks have the container's user, its filter, and its environment unless they have their own.
TEST_F(ContainerTest, StartContainerHooksAreTheContainersProcesses) {
  for (const bool no_new_privileges : {true, false}) {
    std::filesystem::remove(root_ + "/data/seen");
    std::filesystem::permissions(root_ + "/data", std::filesystem::perms::all);
    grpc::Spec spec = Spec("cat /data/seen");
    spec.mutable_process()->add_env("OF=container");
    spec.mutable_process()->mutable_user()->set_uid(77);
    spec.mutable_process()->set_cwd("/tmp");
    spec.mutable_process()->set_nonewprivileges(no_new_privileges);
    auto* profile = spec.mutable_linux()->mutable_seccomp();
    profile->set_defaultaction("SCMP_ACT_ALLOW");
    auto* call = profile->add_syscalls();
    call->add_names("mkdir");
    call->set_action("SCMP_ACT_ERRNO");
    call->set_errnoret(ENOTTY);
    for (const bool inherits : {true, false}) {
      auto* hook = spec.mutable_hooks()->add_startcontainer();
      hook->set_path("/bin/sh");
      const char* script =
          "exec >>/data/seen 2>&1; echo $OF; pwd; id -u; mkdir /data/x; grep -E '^(Seccomp|CapPrm|CapEff):' "
          "/proc/self/status";
      for (const char* arg : {"sh", "-c", script}) hook->add_args(arg);
      hook->set_inheritsenv(inherits);
      if (!inherits) hook->add_env("PATH=/bin");
    }
    const Outcome outcome = Run(spec);
    ASSERT_FALSE(outcome.error) << outcome.error->message();
    const std::string same =
        "/tmp\n77\nmkdir: can't create directory '/data/x': Inappropriate ioctl for device\n"
        "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nSeccomp:\t2\n";
    EXPECT_EQ(outcome.out, "container\n" + same + "\n" + same) << no_new_privileges;
  }
}

TEST_F(ContainerTest, AHookThatFailsOrHangsFailsTheStart) {
  grpc::Spec spec = Spec("touch /data/ran");
  auto* hook = spec.mutable_hooks()->add_startcontainer();
  hook->set_path("/bin/sh");
  for (const char* arg : {"sh", "-c", "echo reason >&2; exit 3"}) hook->add_args(arg);
  Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("startContainer hook #0"));
  EXPECT_THAT(outcome.error->message(), HasSubstr("reason"));
  hook->set_args(2, "/bin/sleep 1000");
  hook->set_timeout(1);
  outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Code::kDeadlineExceeded);
  EXPECT_FALSE(fs::exists(root_ + "/data/ran"));
}

TEST_F(ContainerTest, JoinsThePodsNamespaces) {
  auto pod = Started(Spec("sleep 1000"));
  const std::string ns = "/proc/" + std::to_string(pod->init().pid) + "/ns/";
  grpc::Spec spec =
      Spec("for n in pid ipc uts; do readlink /proc/self/ns/$n; done; hostname; ps | grep -c 'sleep 1000'");
  for (auto& one : *spec.mutable_linux()->mutable_namespaces()) {
    if (one.type() != "mount" && one.type() != "cgroup") one.set_path("/pod/" + one.type());
  }
  spec.clear_hostname();
  ContainerOptions options = Options(spec);
  options.pid_namespace = *Open(ns + "pid", O_RDONLY);
  options.ipc_namespace = *Open(ns + "ipc", O_RDONLY);
  options.uts_namespace = *Open(ns + "uts", O_RDONLY);
  const std::string expected = fs::read_symlink(ns + "pid").string() + "\n" + fs::read_symlink(ns + "ipc").string() +
                               "\n" + fs::read_symlink(ns + "uts").string() + "\nbox\n";
  const Outcome outcome = Run(std::move(options));
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr(expected));
  Destroy(*pod);
}

TEST_F(ContainerTest, ThePodsPidNamespaceThatHasEndedIsAnError) {
  auto pod = Started(Spec("sleep 1000"));
  grpc::Spec spec = Spec("true");
  spec.mutable_linux()->mutable_namespaces(0)->set_path("/pod/pid");
  ContainerOptions options = Options(spec);
  options.pid_namespace = *Open("/proc/" + std::to_string(pod->init().pid) + "/ns/pid", O_RDONLY);
  Destroy(*pod);
  const Outcome outcome = Run(std::move(options));
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("linux.namespaces"));
}

TEST_F(ContainerTest, OutputsAndSignalsOfManyInARow) {
  for (int i = 0; i < 20; ++i) {
    const Outcome outcome = Run(Spec("echo " + std::to_string(i)));
    ASSERT_FALSE(outcome.error) << outcome.error->message();
    ASSERT_EQ(outcome.out, std::to_string(i) + "\n");
  }
}

}  // namespace
}  // namespace kata::agent
