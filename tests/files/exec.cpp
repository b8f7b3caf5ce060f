// SPDX-License-Identifier: Apache-2.0
// Programs: who may execute what, with whose rights it runs, and files that are busy while they run.
#include "exec.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "areas.h"

namespace kata::files {

int ExecHelper(std::span<char*> arguments) {
  if (strcmp(arguments[1], "--pause") == 0) {
    for (;;) pause();
  }
  if (strcmp(arguments[1], "--wait") == 0) {
    char byte = 0;
    Ignore(write(STDOUT_FILENO, "r", 1));
    Ignore(read(STDIN_FILENO, &byte, 1));
    return 0;
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  Ignore(syscall(SYS_capget, &header, data));
  printf("%u:%u capabilities %x", geteuid(), getegid(), data[0].effective);
  return 0;
}

namespace {

// A copy of this program, so that its bits and its text belong to the area.
void CopyProgram(const char* path) {
  const UniqueFd from(open("/proc/self/exe", O_RDONLY)), to(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755));
  const off_t size = Status(from.get()).st_size;
  for (off_t done = 0; done < size;) {
    const ssize_t count = sendfile(to.get(), from.get(), &done, size - done);
    if (count <= 0) break;
  }
}

// What it prints, or the name of execve's error.
std::string Run(const char* path, const char* argument, uid_t uid) {
  int out[2], failed[2];
  Ignore(pipe2(out, O_CLOEXEC) + pipe2(failed, O_CLOEXEC));
  const UniqueFd out_read(out[0]), failed_read(failed[0]);
  UniqueFd out_write(out[1]), failed_write(failed[1]);
  const pid_t pid = fork();
  if (pid == 0) {
    Ignore(dup2(out_write.get(), STDOUT_FILENO));
    Ignore(dup2(open("/dev/null", O_RDWR), STDIN_FILENO));
    Ignore(setresgid(uid, uid, uid) + setresuid(uid, uid, uid));
    char* const argv[] = {const_cast<char*>(path), const_cast<char*>(argument), nullptr};
    char* const environment[] = {nullptr};
    execve(path, argv, environment);
    const int error = errno;
    Ignore(write(failed_write.get(), &error, sizeof error));
    _exit(1);
  }
  out_write.Reset(), failed_write.Reset();
  int error = 0;
  std::string text(200, '\0');
  if (read(failed_read.get(), &error, sizeof error) == sizeof error) {
    text = ErrorName(error);
  } else {
    const ssize_t size = read(out_read.get(), text.data(), text.size());
    text.resize(size > 0 ? size : 0);
  }
  waitpid(pid, nullptr, 0);
  return text;
}

void Rights() {
  CopyProgram("program");
  Fact("root", Run("./program", "--ids", 0).substr(0, 3));
  Fact("user", Run("./program", "--ids", 1000));
  Ignore(chown("program", 2000, 3000));
  Ignore(chmod("program", 04755));
  Fact("set-user-id", Run("./program", "--ids", 1000));
  Ignore(chmod("program", 02755));
  Fact("set-group-id", Run("./program", "--ids", 1000));
  Ignore(chmod("program", 06755));
  Fact("both", Run("./program", "--ids", 1000));
  Ignore(chmod("program", 0755));
  const vfs_cap_data capability = {VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, {{1U << CAP_NET_RAW, 0}, {0, 0}}};
  Call("capability-set", setxattr("program", "security.capability", &capability, sizeof capability, 0));
  Fact("capability", Run("./program", "--ids", 1000));
  Append("program", "x");
  Fact("capability-after-write", Run("./program", "--ids", 1000));
  Ignore(chmod("program", 0744));
  Fact("no-execute-bit-for-user", Run("./program", "--ids", 1000));
  Ignore(chmod("program", 0644));
  Fact("no-execute-bit-for-root", Run("./program", "--ids", 0));
  Ignore(chmod("program", 0711));
  Fact("execute-without-read", Run("./program", "--ids", 1000));
  Make("script", "#!./program --ids\n", 0755);
  Fact("script", Run("./script", nullptr, 1000));
  Make("no-interpreter", "#!/no/such/program\n", 0755);
  Fact("missing-interpreter", Run("./no-interpreter", nullptr, 1000));
  Make("nonsense", "nonsense", 0755);
  Fact("no-format", Run("./nonsense", nullptr, 1000));
  MakeDir("dir", 0755);
  Fact("directory", Run("./dir", nullptr, 1000));
  Fact("missing", Run("./missing", nullptr, 1000));
  Fact("below-file", Run("./program/x", nullptr, 1000));
}

void Busy() {
  Ignore(chmod("program", 0755));
  int in[2], out[2];
  Ignore(pipe2(in, O_CLOEXEC) + pipe2(out, O_CLOEXEC));
  const UniqueFd in_read(in[0]), out_read(out[0]), out_write(out[1]);
  UniqueFd in_write(in[1]);
  const pid_t pid = fork();
  if (pid == 0) {
    Ignore(dup2(in_read.get(), STDIN_FILENO));
    Ignore(dup2(out_write.get(), STDOUT_FILENO));
    execl("./program", "./program", "--wait", nullptr);
    Ignore(write(STDOUT_FILENO, "f", 1));
    _exit(1);
  }
  char byte = 0;
  Ignore(read(out_read.get(), &byte, 1));
  Is("busy-runs", byte == 'r');
  Opened("busy-open-write", open("program", O_WRONLY));
  Call("busy-truncate", truncate("program", 10));
  Opened("busy-open-read", open("program", O_RDONLY));
  Call("busy-chmod", chmod("program", 0700));
  Call("busy-rename", rename("program", "renamed"));
  Call("busy-unlink", unlink("renamed"));
  char target[256];
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  const ssize_t size = readlink(link.c_str(), target, sizeof target);
  Is("busy-unlinked-exe", size > 0 && std::string_view(target, size).ends_with(" (deleted)"));
  in_write.Reset();
  waitpid(pid, nullptr, 0);
  CopyProgram("written");
  const UniqueFd writer(open("written", O_WRONLY));
  Fact("open-for-writing", Run("./written", "--ids", 1000));
}

}  // namespace

void Exec(const Place&) {
  Rights();
  Busy();
}

}  // namespace kata::files
