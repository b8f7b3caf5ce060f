// SPDX-License-Identifier: Apache-2.0
// Random operations on files, each compared with what it has to come out as:
// files-random DIRECTORY [SECOND] COUNT SEED [JOBS]
//
// Each of JOBS processes works on a file of its own in DIRECTORY, and names it by SECOND, the same directory by another
// mount, as often. Everything follows from the seed, which is printed with the last operations when something differs.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <span>

#include "base/unique_fd.h"
#include "random_model.h"

namespace kata::files {
namespace {

constexpr size_t kPage = 4096, kMost = 300 << 10, kLongest = 70 << 10;
constexpr size_t kRemembered = 40;

// A file with two descriptors and a mapping that live on from operation to operation.
class File {
 public:
  File(std::string here, std::string there, uint64_t seed)
      : names_{std::move(here), std::move(there)}, seed_(seed), random_(seed) {}

  // False when something was not as it has to be, which has been printed.
  bool Run(size_t count) {
    for (size_t which = 0; which < fds_.size(); ++which) Reopen(which, O_CREAT | O_TRUNC);
    for (size_t i = 0; i < count && good_; ++i) {
      number_ = i;
      One();
      if (good_ && i % 97 == 96) Whole();
    }
    if (good_) Whole();
    Unmap();
    unlink(Name());
    return good_;
  }

 private:
  using Operation = void (File::*)();

  const char* Name() { return names_[random_.Below(2)].c_str(); }
  UniqueFd& Fd() { return fds_[random_.Below(2)]; }

  [[gnu::format(printf, 2, 3)]] void Say(const char* format, ...) {
    std::array<char, 200> line;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line.data(), line.size(), format, arguments);
    va_end(arguments);
    said_.emplace_back(std::to_string(number_) + " " + line.data());
    if (said_.size() > kRemembered) said_.pop_front();
  }

  void Fail(const std::string& what) {
    if (!good_) return;
    good_ = false;
    const int error = errno;
    std::string text = "seed " + std::to_string(seed_) + ", " + names_[0] + ":\n";
    for (const std::string& line : said_) text += "  " + line + "\n";
    text += what + " (errno " + std::to_string(error) + ", size " + std::to_string(model_.size()) + ")\n";
    fputs(text.c_str(), stderr);
  }
  bool Expect(bool as_it_should, const char* what) {
    if (!as_it_should) Fail(what);
    return as_it_should;
  }
  void Compare(const char* what, size_t offset, const std::string& got, const std::string& wanted) {
    if (got == wanted) return;
    if (got.size() != wanted.size()) {
      return Fail(std::string(what) + ": " + std::to_string(got.size()) + " bytes instead of " +
                  std::to_string(wanted.size()));
    }
    const auto at = std::mismatch(got.begin(), got.end(), wanted.begin()).first - got.begin();
    const auto index = static_cast<size_t>(at);
    Fail(std::string(what) + ": at " + std::to_string(offset + index) + " is " +
         std::to_string(static_cast<unsigned char>(got[index])) + " instead of " +
         std::to_string(static_cast<unsigned char>(wanted[index])));
  }

  // Somewhere in the file, or a little behind it; page borders more often than others.
  size_t Offset() {
    const size_t offset = random_.Below(std::min(model_.size() + kPage, kMost));
    return random_.OneIn(3) ? offset / kPage * kPage : offset;
  }
  size_t Length(size_t offset) {
    size_t length = 1 + random_.Below(random_.OneIn(4) ? kLongest : kPage * 2);
    if (random_.OneIn(3)) length = (length + kPage - 1) / kPage * kPage;
    return std::min(length, kMost - std::min(offset, kMost));
  }
  std::string Text(size_t length) {
    std::string text(length, '\0');
    const auto first = static_cast<unsigned char>(random_.Next());
    for (size_t i = 0; i < length; ++i) text[i] = static_cast<char>(first + i * 7 + i / 251);
    return text;
  }

  void Reopen(size_t which, int flags) {
    if (random_.OneIn(8)) flags |= O_SYNC;
    fds_[which].Reset();
    fds_[which].Reset(open(Name(), O_RDWR | O_CLOEXEC | flags, 0644));
    if (Expect(fds_[which].get() >= 0, "open") && (flags & O_TRUNC) != 0) model_.Truncate(0);
  }
  void Unmap() {
    if (mapping_ != nullptr) Expect(munmap(mapping_, mapped_) == 0, "munmap");
    mapping_ = nullptr;
  }

  void Read() {
    const size_t offset = Offset(), length = Length(offset);
    Say("read %zu+%zu", offset, length);
    std::string got(length, '?');
    const ssize_t count = pread(Fd().get(), got.data(), length, static_cast<off_t>(offset));
    if (!Expect(count >= 0, "pread")) return;
    got.resize(static_cast<size_t>(count));
    Compare("pread", offset, got, model_.Read(offset, length));
  }
  void ReadMany() {
    const size_t offset = Offset(), length = Length(offset) / 3 + 1;
    Say("preadv %zu+3*%zu", offset, length);
    std::string got(3 * length, '?');
    const iovec parts[3] = {{got.data(), length}, {got.data() + length, length}, {got.data() + 2 * length, length}};
    const ssize_t count = preadv(Fd().get(), parts, 3, static_cast<off_t>(offset));
    if (!Expect(count >= 0, "preadv")) return;
    got.resize(static_cast<size_t>(count));
    Compare("preadv", offset, got, model_.Read(offset, 3 * length));
  }
  void Write() {
    const size_t offset = Offset(), length = Length(offset);
    Say("write %zu+%zu", offset, length);
    const std::string text = Text(length);
    const auto count = pwrite(Fd().get(), text.data(), length, static_cast<off_t>(offset));
    if (Expect(count == static_cast<ssize_t>(length), "pwrite")) model_.Write(offset, text);
  }
  void Append() {
    const size_t length = Length(model_.size());
    Say("append %zu", length);
    const std::string text = Text(length);
    const UniqueFd fd(open(Name(), O_WRONLY | O_APPEND | O_CLOEXEC));
    const ssize_t count = write(fd.get(), text.data(), length);
    if (Expect(count == static_cast<ssize_t>(length), "append")) model_.Write(model_.size(), text);
  }
  // O_DIRECT, beside what the page cache has.
  void Direct() {
    const size_t offset = Offset() / kPage * kPage;
    const size_t length = std::max(Length(offset) / kPage, size_t{1}) * kPage;
    const bool writes = random_.OneIn(2) && offset + length <= kMost;
    Say("direct %s %zu+%zu", writes ? "write" : "read", offset, length);
    const UniqueFd fd(open(Name(), O_RDWR | O_DIRECT | O_CLOEXEC));
    if (!fd && errno == EINVAL) return;  // a file system without it, such as tmpfs
    char* block = static_cast<char*>(aligned_alloc(kPage, length));
    const std::string text = Text(length);
    if (writes) {
      memcpy(block, text.data(), length);
      const ssize_t count = pwrite(fd.get(), block, length, static_cast<off_t>(offset));
      if (Expect(count == static_cast<ssize_t>(length), "direct write")) model_.Write(offset, text);
    } else {
      const ssize_t count = pread(fd.get(), block, length, static_cast<off_t>(offset));
      if (Expect(count >= 0, "direct read")) {
        Compare("direct read", offset, {block, static_cast<size_t>(count)}, model_.Read(offset, length));
      }
    }
    free(block);
  }
  void Map() {
    Unmap();
    mapped_ = kMost;
    Say("map");
    void* address = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_SHARED, Fd().get(), 0);
    if (Expect(address != MAP_FAILED, "mmap")) mapping_ = static_cast<char*>(address);
  }
  void Load() {
    if (mapping_ == nullptr || model_.size() == 0) return Map();
    const size_t offset = random_.Below(model_.size()), length = std::min(Length(offset), model_.size() - offset);
    Say("load %zu+%zu", offset, length);
    Compare("load", offset, {mapping_ + offset, length}, model_.Read(offset, length));
  }
  void Store() {
    if (mapping_ == nullptr || model_.size() == 0) return Map();
    const size_t offset = random_.Below(model_.size()), length = std::min(Length(offset), model_.size() - offset);
    Say("store %zu+%zu", offset, length);
    const std::string text = Text(length);
    memcpy(mapping_ + offset, text.data(), length);
    model_.Write(offset, text);
    if (random_.OneIn(4)) Expect(msync(mapping_, mapped_, random_.OneIn(2) ? MS_SYNC : MS_ASYNC) == 0, "msync");
  }
  void Truncate() {
    const size_t size = random_.OneIn(3) ? random_.Below(kMost) : random_.Below(model_.size() + kPage * 2);
    const size_t capped = std::min(size, kMost);
    Say("truncate %zu", capped);
    const auto wanted = static_cast<off_t>(capped);
    const bool done = random_.OneIn(2) ? truncate(Name(), wanted) == 0 : ftruncate(Fd().get(), wanted) == 0;
    if (Expect(done, "truncate")) model_.Truncate(capped);
  }
  void Allocate() {
    constexpr int kModes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                              FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
    const int mode = kModes[random_.Below(std::size(kModes))];
    const size_t offset = Offset(), length = std::max(Length(offset), size_t{1});
    Say("fallocate %d %zu+%zu", mode, offset, length);
    if (fallocate(Fd().get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
      Expect(errno == EOPNOTSUPP, "fallocate");  // some file systems have only some of it
      return;
    }
    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) model_.Zero(offset, length);
    if ((mode & FALLOC_FL_KEEP_SIZE) == 0) model_.Grow(offset + length);
  }
  // Takes blocks out of the file, or puts some in: all that lies behind them moves.
  void Move() {
    const bool removes = random_.OneIn(2);
    const size_t blocks = model_.size() / kPage, first = random_.Below(blocks);
    const size_t most = removes ? blocks - first : (kMost - model_.size()) / kPage;
    const size_t offset = first * kPage, length = (1 + random_.Below(std::min(most, size_t{8}))) * kPage;
    if (offset + (removes ? length : 0) >= model_.size() || (!removes && model_.size() + length > kMost)) return;
    Say("%s %zu+%zu", removes ? "collapse" : "insert", offset, length);
    const int mode = removes ? FALLOC_FL_COLLAPSE_RANGE : FALLOC_FL_INSERT_RANGE;
    if (fallocate(Fd().get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
      Expect(errno == EOPNOTSUPP, "fallocate");
    } else if (removes) {
      model_.Remove(offset, length);
    } else {
      model_.Insert(offset, length);
    }
  }
  void Copy() {
    const size_t from = random_.Below(model_.size()), to = Offset();
    const size_t distance = from > to ? from - to : to - from;
    const size_t length = std::min({Length(to), distance, model_.size() - std::min(from, model_.size())});
    if (length == 0) return;
    Say("copy %zu+%zu to %zu", from, length, to);
    auto in = static_cast<off_t>(from), out = static_cast<off_t>(to);
    for (size_t left = length; left > 0;) {
      const ssize_t count = copy_file_range(fds_[0].get(), &in, fds_[1].get(), &out, left, 0);
      if (!Expect(count > 0, "copy_file_range")) return;
      left -= static_cast<size_t>(count);
    }
    model_.Write(to, model_.Read(from, length));
  }
  void SendFile() {
    const size_t offset = Offset(), length = std::min(Length(offset), size_t{60} << 10U);  // what a pipe takes
    Say("sendfile %zu+%zu", offset, length);
    int ends[2];
    if (!Expect(pipe2(ends, O_CLOEXEC) == 0, "pipe")) return;
    const UniqueFd out(ends[0]), in(ends[1]);
    auto at = static_cast<off_t>(offset);
    const ssize_t count = sendfile(in.get(), Fd().get(), &at, length);
    if (!Expect(count >= 0, "sendfile")) return;
    std::string got(static_cast<size_t>(count), '?');
    for (size_t done = 0; done < got.size();) {
      const ssize_t part = read(out.get(), got.data() + done, got.size() - done);
      if (!Expect(part > 0, "read of a pipe")) return;
      done += static_cast<size_t>(part);
    }
    Compare("sendfile", offset, got, model_.Read(offset, length).substr(0, got.size()));
    Expect(count > 0 || offset >= model_.size(), "sendfile has sent nothing");
  }
  void Sync() {
    Say("sync");
    const int fd = Fd().get();
    const int result = random_.OneIn(2) ? fsync(fd) : fdatasync(fd);
    Expect(result == 0, "fsync");
    if (random_.OneIn(2)) Expect(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "fadvise");
  }
  void OpenAnew() {
    const bool truncates = random_.OneIn(10);
    Say("open%s", truncates ? " and truncate" : "");
    Reopen(random_.Below(2), truncates ? O_TRUNC : 0);
  }
  void Rename() {
    Say("rename");
    // By one of the mounts: from one to another it is refused everywhere.
    const std::string& name = names_[random_.Below(2)];
    const std::string other = name + "~";
    if (!Expect(rename(name.c_str(), other.c_str()) == 0, "rename")) return;
    Expect(rename(other.c_str(), name.c_str()) == 0, "rename back");
  }
  void Look() {
    struct stat by_name, by_fd;
    Say("stat");
    if (!Expect(stat(Name(), &by_name) == 0 && fstat(Fd().get(), &by_fd) == 0, "stat")) return;
    const auto size = static_cast<off_t>(model_.size());
    Expect(by_name.st_size == size, "st_size by name");
    Expect(by_fd.st_size == size, "st_size by descriptor");
    Expect(lseek(Fd().get(), 0, SEEK_END) == size, "SEEK_END");
  }
  // What lseek(2) calls a hole has to be zeros.
  void Holes() {
    Say("holes");
    const int fd = Fd().get();
    for (off_t at = 0; at < static_cast<off_t>(model_.size());) {
      off_t data = lseek(fd, at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) data = static_cast<off_t>(model_.size());
      if (!Expect(data >= at, "SEEK_DATA")) return;
      const auto length = static_cast<size_t>(data - at);
      Compare("hole", static_cast<size_t>(at), std::string(length, '\0'), model_.Read(static_cast<size_t>(at), length));
      if (data >= static_cast<off_t>(model_.size())) return;
      const off_t hole = lseek(fd, data, SEEK_HOLE);
      // Where SEEK_DATA has found data there may be none to SEEK_HOLE: on ext4 with blocks of 1 KiB, with runc as well.
      if (!Expect(hole >= data && hole > at, "SEEK_HOLE")) return;
      at = hole;
    }
  }
  void Whole() {
    Say("everything");
    const UniqueFd fd(open(Name(), O_RDONLY | O_CLOEXEC));
    std::string got(kMost + 1, '?');
    const ssize_t count = pread(fd.get(), got.data(), got.size(), 0);
    if (!Expect(count >= 0, "pread")) return;
    got.resize(static_cast<size_t>(count));
    Compare("everything", 0, got, model_.Read(0, kMost + 1));
  }

  void One() {
    constexpr Operation kOperations[] = {
        &File::Read, &File::Read, &File::ReadMany, &File::Write, &File::Write,    &File::Append,   &File::Direct,
        &File::Load, &File::Load, &File::Store,    &File::Store, &File::Truncate, &File::Allocate, &File::Allocate,
        &File::Copy, &File::Move, &File::SendFile, &File::Sync,  &File::Look,     &File::OpenAnew, &File::Holes,
    };
    if (random_.OneIn(50)) return Rename();
    if (random_.OneIn(50)) return Map();
    (this->*kOperations[random_.Below(std::size(kOperations))])();
  }

  const std::array<std::string, 2> names_;
  const uint64_t seed_;
  Random random_;
  Model model_;
  std::array<UniqueFd, 2> fds_;
  char* mapping_ = nullptr;
  size_t mapped_ = 0;
  std::deque<std::string> said_;
  size_t number_ = 0;
  bool good_ = true;
};

int Main(std::span<char*> arguments) {
  const size_t numbers = arguments.size() > 2 && arguments[2][0] == '/' ? 3 : 2;
  if (arguments.size() < numbers + 2) {
    fprintf(stderr, "usage: files-random DIRECTORY [SECOND] COUNT SEED [JOBS]\n");
    return 2;
  }
  const std::string here = arguments[1], there = arguments[numbers - 1];
  const uint64_t count = strtoull(arguments[numbers], nullptr, 10),
                 seed = strtoull(arguments[numbers + 1], nullptr, 10);
  const uint64_t jobs = arguments.size() > numbers + 2 ? strtoull(arguments[numbers + 2], nullptr, 10) : 1;
  bool good = true;
  for (uint64_t job = 0; job < jobs; ++job) {
    const pid_t pid = fork();
    if (pid < 0) {
      perror("fork");
      good = false;
      break;
    }
    if (pid > 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const std::string name = "/random-" + std::to_string(job);
    _exit(File(here + name, there + name, seed + job).Run(count) ? 0 : 1);
  }
  for (int status = 0; wait(&status) > 0;) good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return good ? 0 : 1;
}

}  // namespace
}  // namespace kata::files

int main(int argc, char** argv) { return kata::files::Main(std::span(argv, argc)); }
