// SPDX-License-Identifier: Apache-2.0
// Files in memory, and two processes that append; by two mounts where there are two.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>

#include "areas.h"

namespace kata::files {
namespace {

constexpr size_t kPage = 4096;

sigjmp_buf landing;

void Land(int) { siglongjmp(landing, 1); }

// Whether reading this byte raises SIGBUS.
bool Faults(const volatile char* address) {
  struct sigaction action = {}, old = {};
  action.sa_handler = Land;
  sigaction(SIGBUS, &action, &old);
  volatile bool faults = true;  // known after the jump
  if (sigsetjmp(landing, 1) == 0) {
    (void)*address;
    faults = false;
  }
  sigaction(SIGBUS, &old, nullptr);
  return faults;
}

class Mapping {
 public:
  Mapping(int fd, int protection, int flags, size_t size = 2 * kPage)
      : size_(size), memory_(mmap(nullptr, size, protection, flags, fd, 0)) {}
  ~Mapping() {
    if (good()) munmap(memory_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  bool good() const { return memory_ != MAP_FAILED; }
  char* data() const { return static_cast<char*>(memory_); }
  std::string Text(size_t size) const { return good() ? std::string(data(), size) : "no mapping"; }
  void Put(const std::string& text) const {
    if (good()) std::copy(text.begin(), text.end(), data());
  }
  long Sync() const { return msync(memory_, size_, MS_SYNC); }

 private:
  size_t size_;
  void* memory_;
};

void OneFile(const Place& place) {
  Make("file", "0123456789");
  const UniqueFd fd(open("file", O_RDWR));
  const UniqueFd other(open((place.there + "/file").c_str(), O_RDWR));
  {
    const Mapping mapping(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
    Done("shared", mapping.good());
    const Mapping second(other.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
    Done("shared-second", second.good());
    if (!mapping.good() || !second.good()) return;
    Fact("shared-content", mapping.Text(10));
    Fact("shared-second-content", second.Text(10));
    mapping.Put("AB");
    Fact("store-seen-by-read", ContentsAt(fd.get(), 0));
    Fact("store-seen-by-second-mapping", second.Text(10));
    Fact("store-seen-by-second-read", ContentsAt(other.get(), 0));
    Ignore(pwrite(other.get(), "CD", 2, 2));
    Fact("write-seen-by-mapping", mapping.Text(10));
    Fact("write-seen-by-second-mapping", second.Text(10));
    second.Put("abcd");
    Call("msync", second.Sync());
    Fact("msync-seen-by-first", mapping.Text(10));
    Fact("msync-seen-by-read", ContentsAt(fd.get(), 0));
    Is("past-end-in-last-page-is-zero", mapping.data()[100] == 0);
    Is("past-last-page-faults", Faults(mapping.data() + kPage));
    mapping.data()[20] = 'x';  // past the end: never part of the file
    Call("msync-past-end", mapping.Sync());
    Ignore(ftruncate(other.get(), 2 * kPage));
    Is("grown-does-not-fault", !Faults(mapping.data() + kPage));
    Ignore(ftruncate(other.get(), 10));
    Is("shrunk-faults", Faults(mapping.data() + kPage));
    Fact("size-then", std::to_string(Status("file").st_size));
  }
  {
    const Mapping mapping(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
    mapping.Put("closed");
  }
  Fact("stored-and-unmapped", Contents(place.there + "/file"));
}

void Kinds() {
  Make("kinds", std::string(2 * kPage, 'k'));
  const UniqueFd fd(open("kinds", O_RDWR)), read_only(open("kinds", O_RDONLY)), write_only(open("kinds", O_WRONLY));
  const auto try_map = [](const char* name, int file, int protection, int flags) {
    const Mapping mapping(file, protection, flags);
    Done(name, mapping.good());
  };
  try_map("read-only-fd-write-shared", read_only.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
  try_map("read-only-fd-write-private", read_only.get(), PROT_READ | PROT_WRITE, MAP_PRIVATE);
  try_map("write-only-fd", write_only.get(), PROT_READ, MAP_SHARED);
  try_map("executable", fd.get(), PROT_READ | PROT_EXEC, MAP_PRIVATE);
  try_map("populate", fd.get(), PROT_READ, MAP_SHARED | MAP_POPULATE);
  try_map("sync", fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC);
  const UniqueFd dir(open(".", O_RDONLY));
  try_map("directory", dir.get(), PROT_READ, MAP_SHARED);
  const UniqueFd direct(open("kinds", O_RDWR | O_DIRECT));
  try_map("direct", direct.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
  {
    const Mapping mapping(fd.get(), PROT_READ | PROT_WRITE, MAP_PRIVATE);
    if (!mapping.good()) return;
    mapping.Put("private");
    Fact("private-not-written", ContentsAt(fd.get(), 0, 7));
    Ignore(pwrite(fd.get(), "X", 1, kPage));
    Fact("private-untouched-page-shows-write", std::string(1, mapping.data()[kPage]));
    Call("madvise-remove-hole", madvise(mapping.data(), kPage, MADV_DONTNEED));
    Fact("private-dropped", mapping.Text(7));
  }
  {
    const Mapping mapping(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
    if (!mapping.good()) return;
    Call("madvise-remove", madvise(mapping.data(), kPage, MADV_REMOVE));
    Is("madvise-remove-zero", mapping.data()[0] == 0);
    Ignore(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPage, kPage));
    Is("punched-hole-in-mapping", mapping.data()[kPage] == 0);
    unsigned char resident[2];
    Call("mincore", mincore(mapping.data(), 2 * kPage, resident));
    Call("mlock", mlock(mapping.data(), kPage));
  }
  {
    // What copies a file by its holes has to find what was stored in one of them.
    const UniqueFd sparse(open("sparse", O_RDWR | O_CREAT | O_TRUNC, 0666));
    Ignore(ftruncate(sparse.get(), 64 * kPage));
    const Mapping mapping(sparse.get(), PROT_READ | PROT_WRITE, MAP_SHARED, 64 * kPage);
    if (!mapping.good()) return;
    mapping.data()[32 * kPage] = 's';
    Call("stored-in-hole-is-data", lseek(sparse.get(), 0, SEEK_DATA));
  }
  Make("unlinked", "still here");
  const UniqueFd unlinked(open("unlinked", O_RDWR));
  const Mapping mapping(unlinked.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
  Ignore(unlink("unlinked"));
  Fact("unlinked-content", mapping.Text(10));
  mapping.Put("and");
  Fact("unlinked-store", ContentsAt(unlinked.get(), 0));
}

// Two processes, each with its own open file: every store of the one is a value for the other.
void TwoProcesses(const Place& place) {
  Make("counter", std::string(kPage, '\0'));
  Steps steps;
  const pid_t pid = fork();
  if (pid == 0) {
    steps.Child();
    const UniqueFd fd(open((place.there + "/counter").c_str(), O_RDWR));
    const Mapping mapping(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED, kPage);
    for (int i = 0; i < 3; ++i) {
      if (!steps.Await() || !mapping.good()) _exit(1);
      auto* value = reinterpret_cast<volatile int*>(mapping.data());
      *value = *value + 10;
      steps.Tell();
    }
    _exit(0);
  }
  steps.Parent();
  const UniqueFd fd(open("counter", O_RDWR));
  const Mapping mapping(fd.get(), PROT_READ | PROT_WRITE, MAP_SHARED, kPage);
  std::string values;
  for (int i = 0; i < 3 && mapping.good(); ++i) {
    auto* value = reinterpret_cast<volatile int*>(mapping.data());
    *value = *value + 1;
    steps.Tell();
    if (!steps.Await()) break;
    values += std::to_string(*value) + " ";
  }
  waitpid(pid, nullptr, 0);
  Fact("two-processes", values);
}

void Appending(const Place& place) {
  constexpr int kRecords = 100, kSize = 32;
  Make("log");
  Steps steps;
  const pid_t pid = fork();
  const auto write_all = [&](const std::string& path, char who) {
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_APPEND));
    for (int i = 0; i < kRecords; ++i) {
      char record[kSize + 1];
      snprintf(record, sizeof record, "%c%04d%*s\n", who, i, kSize - 6, "");
      Ignore(write(fd.get(), record, kSize));
    }
  };
  if (pid == 0) {
    steps.Child();
    steps.Await();
    write_all(place.there + "/log", 'c');
    _exit(0);
  }
  steps.Parent();
  steps.Tell();
  write_all("log", 'p');
  waitpid(pid, nullptr, 0);
  std::set<std::string> records;
  const UniqueFd fd(open("log", O_RDONLY));
  int broken = 0;
  for (off_t at = 0;; at += kSize) {
    const std::string record = ContentsAt(fd.get(), at, kSize);
    if (record.empty()) break;
    if (record.size() == kSize && record.back() == '\n' && (record[0] == 'c' || record[0] == 'p')) {
      records.insert(record);
    } else {
      ++broken;
    }
  }
  Is("append-by-two-all-there", records.size() == size_t{2} * kRecords);
  Is("append-by-two-none-broken", broken == 0);
  Fact("append-by-two-size", std::to_string(Status("log").st_size));
}

}  // namespace

void Mmap(const Place& place) {
  OneFile(place);
  TwoProcesses(place);
  Appending(place);
  if (place.here == place.there) Kinds();
}

}  // namespace kata::files
