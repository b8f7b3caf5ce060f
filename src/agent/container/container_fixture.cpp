// SPDX-License-Identifier: Apache-2.0
#include "agent/container/container_fixture.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string_view>

#include "base/files.h"

namespace kata::agent {

namespace fs = std::filesystem;

namespace {

constexpr const char* kApplets[] = {"sh",    "cat",  "echo",     "ls",       "id",    "true",  "false",
                                    "sleep", "stat", "mount",    "mkdir",    "mknod", "touch", "grep",
                                    "ps",    "tty",  "stty",     "readlink", "env",   "kill",  "umount",
                                    "dd",    "nice", "hostname", "head",     "wc",    "rm",    "test"};

// The path of a dynamic busybox, since this machine's own may be static. Looked up once. Empty: there is none, and the
// copy that follows fails.
const std::string& Busybox() {
  static const std::string path = [] {
    std::string printed;
    FILE* script = popen(KATA_BUSYBOX_SCRIPT, "re");
    if (script == nullptr) return printed;
    for (int c = fgetc(script); c != EOF && c != '\n'; c = fgetc(script)) printed.push_back(static_cast<char>(c));
    pclose(script);
    return printed;
  }();
  return path;
}

void CopyLibrary(const std::string& path, const std::string& root) {
  fs::create_directories(root + fs::path(path).parent_path().string());
  fs::copy_file(path, root + path, fs::copy_options::overwrite_existing);
}

void MakeRoot(const std::string& root) {
  for (const char* name : {"bin", "etc", "proc", "sys", "dev", "tmp", "root", "data"})
    fs::create_directories(root + "/" + name);
  fs::copy_file(Busybox(), root + "/bin/busybox");
  for (const char* applet : kApplets) fs::create_symlink("busybox", root + "/bin/" + applet);
  for (const char* library :
       {"/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libresolv.so.2", "/lib64/ld-linux-x86-64.so.2"}) {
    CopyLibrary(library, root);
  }
  fs::permissions(root + "/tmp", fs::perms::all);
}

void AddNamespaces(grpc::Spec* spec, std::initializer_list<const char*> types) {
  for (const char* type : types) spec->mutable_linux()->add_namespaces()->set_type(type);
}

}  // namespace

// Reads until end of file, or EIO, with which the master of a pty ends.
std::string ReadToEnd(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(fd, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(count));
  return text;
}

PipePair MakePipe() {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void AddMount(grpc::Spec* spec, const std::string& destination, const std::string& type, const std::string& source,
              const std::vector<std::string>& options) {
  auto* mount = spec->add_mounts();
  mount->set_destination(destination);
  mount->set_type(type);
  mount->set_source(source);
  for (const std::string& option : options) mount->add_options(option);
}

void DropMount(grpc::Spec* spec, const std::string& destination) {
  for (int i = 0; i < spec->mounts_size(); ++i) {
    if (spec->mounts(i).destination() != destination) continue;
    spec->mutable_mounts()->DeleteSubrange(i, 1);
    return;
  }
  ADD_FAILURE() << "no mount at " << destination;
}

void ContainerTest::SetUp() {
  ASSERT_EQ(geteuid(), 0U) << "these tests make containers and need root";
  std::string pattern = "/tmp/kata-container-XXXXXX";
  directory_ = mkdtemp(pattern.data());
  fs::permissions(directory_, fs::perms(0755));
  root_ = directory_ + "/rootfs";
  MakeRoot(root_);
  struct statfs info {};
  ASSERT_EQ(statfs("/sys/fs/cgroup", &info), 0);
  cgroup_mount_ = info.f_type == CGROUP2_SUPER_MAGIC ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
  reaper_ = std::make_unique<Reaper>(context_.get_executor());
}

void ContainerTest::TearDown() {
  reaper_.reset();
  context_.restart();
  context_.poll();
  const auto removed = RemoveTree(directory_);
  EXPECT_TRUE(removed) << removed.error().message();
}

grpc::Process ContainerTest::Script(const std::string& script) const {
  grpc::Process process;
  for (const std::string& arg : {std::string("/bin/sh"), std::string("-c"), script}) process.add_args(arg);
  process.add_env("PATH=/bin");
  process.set_cwd("/");
  return process;
}

grpc::Spec ContainerTest::Spec(const std::string& script) const {
  grpc::Spec spec;
  spec.set_version("1.0.2");
  *spec.mutable_process() = Script(script);
  for (const char* name : {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
                           "CAP_MKNOD", "CAP_NET_BIND_SERVICE"}) {
    auto* capabilities = spec.mutable_process()->mutable_capabilities();
    capabilities->add_bounding(name);
    capabilities->add_effective(name);
    capabilities->add_permitted(name);
  }
  spec.mutable_process()->set_nonewprivileges(true);
  spec.mutable_root()->set_path(root_);
  spec.set_hostname("box");
  AddNamespaces(&spec, {"pid", "mount", "ipc", "uts", "cgroup"});
  AddMount(&spec, "/proc", "proc", "proc", {"nosuid", "noexec", "nodev"});
  AddMount(&spec, "/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"});
  AddMount(&spec, "/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"});
  AddMount(&spec, "/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"});
  AddMount(&spec, "/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"});
  AddMount(&spec, "/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"});
  AddMount(&spec, "/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"});
  return spec;
}

grpc::Spec ContainerTest::UserSpec(const std::string& script) const {
  grpc::Spec spec = Spec(script);
  AddNamespaces(&spec, {"user"});
  for (auto* mapping : {spec.mutable_linux()->add_uidmappings(), spec.mutable_linux()->add_gidmappings()}) {
    mapping->set_containerid(0);
    mapping->set_hostid(100000);
    mapping->set_size(65536);
  }
  EXPECT_EQ(lchown(root_.c_str(), 100000, 100000), 0);
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    EXPECT_EQ(lchown(entry.path().c_str(), 100000, 100000), 0);
  }
  return spec;
}

ContainerOptions ContainerTest::Options(const grpc::Spec& spec) {
  ContainerOptions options;
  options.id = "kata-test-" + std::to_string(getpid()) + "-" + std::to_string(serial_++);
  options.spec = spec;
  options.cgroup_mount = cgroup_mount_;
  return options;
}

Outcome ContainerTest::Run(const grpc::Spec& spec) { return Run(Options(spec)); }

Outcome ContainerTest::Run(ContainerOptions options) {
  const Reaper::Hold hold;
  const std::string group = cgroup_mount_ + "/" + options.id;
  const bool terminal = options.spec.process().terminal();
  PipePair out = MakePipe();
  ProcessIo io;
  io.terminal = terminal;
  io.rows = 24;
  io.columns = 81;
  io.stderr_write.Reset(fcntl(out.write.get(), F_DUPFD_CLOEXEC, 0));
  io.stdout_write = std::move(out.write);
  Outcome outcome;
  auto created = Await(Container::Create(executor(), std::move(options), std::move(io)));
  if (!created) {
    outcome.error = created.error();
    EXPECT_FALSE(fs::exists(group)) << "the cgroup stayed";
    return outcome;
  }
  Container& container = **created;
  const pid_t pid = container.init().pid;
  Reaper::Get().Claim(pid);
  const auto started = Await(container.Start());
  if (!started) {
    outcome.error = started.error();
  } else {
    outcome.status = Await(Reaper::Get().Wait(pid))->Shell();
    outcome.out = ReadToEnd(terminal ? container.init().terminal.get() : out.read.get());
  }
  Destroy(container);
  EXPECT_FALSE(fs::exists(group)) << "the cgroup stayed";
  return outcome;
}

std::unique_ptr<Container> ContainerTest::Started(const grpc::Spec& spec) {
  auto created = Await(Container::Create(executor(), Options(spec), ProcessIo()));
  if (!created) throw std::runtime_error(created.error().message());
  const auto started = Await((*created)->Start());
  if (!started) throw std::runtime_error(started.error().message());
  return *std::move(created);
}

Outcome ContainerTest::Exec(Container& container, const grpc::Process& process) {
  const Reaper::Hold hold;
  PipePair out = MakePipe();
  ProcessIo io;
  io.terminal = process.terminal();
  io.stderr_write.Reset(fcntl(out.write.get(), F_DUPFD_CLOEXEC, 0));
  io.stdout_write = std::move(out.write);
  Outcome outcome;
  auto started = Await(container.Exec(process, std::move(io)));
  if (!started) {
    outcome.error = started.error();
    return outcome;
  }
  outcome.status = Await(Reaper::Get().Wait(started->pid))->Shell();
  outcome.out = ReadToEnd(process.terminal() ? started->terminal.get() : out.read.get());
  return outcome;
}

Outcome ContainerTest::ExecScript(Container& container, const std::string& script) {
  return Exec(container, Script(script));
}

void ContainerTest::Destroy(Container& container) {
  const auto destroyed = Await(container.Destroy());
  EXPECT_TRUE(destroyed) << destroyed.error().message();
}

}  // namespace kata::agent
