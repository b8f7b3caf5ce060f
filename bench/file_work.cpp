// SPDX-License-Identifier: Apache-2.0
// One piece of work with files; prints the seconds that it took, by the clock of where it runs: file-work WORK ...
//
//   create DIRECTORY COUNT SIZE               files of so many bytes
//   list DIRECTORY                            what `ls -l` asks
//   walk DIRECTORY                            what `find -size` asks, in all directories below
//   remove DIRECTORY                          the directory, with all that is in it
//   write|read FILE MIB BLOCK JOBS            from begin to end; each job a file of its own, all synced at the end
//   random-write|random-read FILE MIB BLOCK JOBS COUNT
//   run COMMAND...                            another program, its output thrown away
//   drop                                      this kernel's caches; what is not written yet is written
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace kata::bench {
namespace {

constexpr long kMib = 1 << 20;

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "file-work: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

template <typename T>
T Checked(T result, const std::string& what) {
  if (result < 0) Fail(what);
  return result;
}

void Create(const std::string& directory, int count, size_t size) {
  Checked(mkdir(directory.c_str(), 0755), directory);
  const std::string content(size, 'x');
  for (int i = 0; i < count; ++i) {
    const std::string path = directory + "/file-" + std::to_string(i);
    const UniqueFd fd(Checked(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644), path));
    if (size > 0) Checked(write(fd.get(), content.data(), size), path);
  }
}

void List(const std::string& directory) {
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr) Fail(directory);
  while (const dirent* entry = readdir(dir)) {
    struct stat status = {};
    Checked(fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW), entry->d_name);
  }
  closedir(dir);
}

int Visit(const char*, const struct stat*, int, FTW*) { return 0; }

int Delete(const char* path, const struct stat*, int, FTW*) { return remove(path); }

// Reads or writes one file with blocks of this size: all of it, or count blocks at random places.
void Transfer(const std::string& path, bool writing, long size, long block, long count) {
  const UniqueFd fd(
      Checked(open(path.c_str(), writing ? O_WRONLY | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0644), path));
  std::vector<char> buffer(block, 'w');
  std::mt19937 random(1);  // the same places in every run
  const long blocks = size / block;
  for (long i = 0; i < (count > 0 ? count : blocks); ++i) {
    const long place = (count > 0 ? static_cast<long>(random() % blocks) : i) * block;
    const ssize_t done =
        writing ? pwrite(fd.get(), buffer.data(), block, place) : pread(fd.get(), buffer.data(), block, place);
    if (Checked(done, path) != block) Fail(path + ": short");
  }
  if (writing) Checked(fsync(fd.get()), path);
}

void InJobs(int jobs, const std::function<void(int)>& work) {
  for (int job = 0; job < jobs; ++job) {
    if (Checked(fork(), "fork") == 0) {
      work(job);
      _exit(0);
    }
  }
  for (int job = 0; job < jobs; ++job) {
    int status = 0;
    Checked(wait(&status), "wait");
    if (status != 0) exit(1);
  }
}

void RunProgram(std::span<char*> command) {
  const pid_t pid = Checked(fork(), "fork");
  if (pid == 0) {
    const UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
    dup2(null.get(), STDOUT_FILENO);
    std::vector<char*> argv(command.begin(), command.end());
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    Fail(argv[0]);
  }
  int status = 0;
  Checked(waitpid(pid, &status, 0), "wait");
  if (status != 0) {
    fprintf(stderr, "file-work: %s failed with status 0x%x\n", command[0], status);
    exit(1);
  }
}

void Drop() {
  sync();
  const UniqueFd fd(Checked(open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC), "drop_caches"));
  Checked(write(fd.get(), "3", 1), "drop_caches");
}

// False: no such work.
bool Work(std::span<char*> words) {
  const std::string work = words[0];
  const auto number = [&](size_t index) { return strtol(words[index], nullptr, 10); };
  if (work == "create" && words.size() == 4) {
    Create(words[1], static_cast<int>(number(2)), number(3));
  } else if (work == "list" && words.size() == 2) {
    List(words[1]);
  } else if (work == "walk" && words.size() == 2) {
    Checked(nftw(words[1], Visit, 64, FTW_PHYS), words[1]);
  } else if (work == "remove" && words.size() == 2) {
    Checked(nftw(words[1], Delete, 64, FTW_PHYS | FTW_DEPTH), words[1]);
  } else if ((work == "write" || work == "read") && words.size() == 5) {
    InJobs(static_cast<int>(number(4)),
           [&](int job) { Transfer(words[1] + std::to_string(job), work == "write", number(2) * kMib, number(3), 0); });
  } else if ((work == "random-write" || work == "random-read") && words.size() == 6) {
    InJobs(static_cast<int>(number(4)), [&](int job) {
      Transfer(words[1] + std::to_string(job), work == "random-write", number(2) * kMib, number(3), number(5));
    });
  } else if (work == "run" && words.size() > 1) {
    RunProgram(words.subspan(1));
  } else if (work == "drop" && words.size() == 1) {
    Drop();
  } else {
    return false;
  }
  return true;
}

int Main(std::span<char*> arguments) {
  timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (arguments.size() < 2 || !Work(arguments.subspan(1))) {
    fprintf(stderr, "usage: file-work WORK ..., see the top of bench/file_work.cpp\n");
    return 2;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.6f\n",
         static_cast<double>(end.tv_sec - start.tv_sec) + static_cast<double>(end.tv_nsec - start.tv_nsec) / 1e9);
  return 0;
}

}  // namespace
}  // namespace kata::bench

int main(int argc, char** argv) { return kata::bench::Main(std::span(argv, argc)); }
