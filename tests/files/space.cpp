// SPDX-License-Identifier: Apache-2.0
// Sizes, holes and blocks: truncate, fallocate, lseek, very large files, statfs.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

constexpr off_t kBlock = 4096;
constexpr off_t kTerabyte = 1LL << 40;

std::string Size(int fd) { return std::to_string(Status(fd).st_size); }

// How many of a file's bytes, which Fill has made, are as in this pattern of blocks: 'd' data, '0' zeros.
std::string Blocks(int fd) {
  std::string text;
  const off_t size = Status(fd).st_size;
  for (off_t at = 0; at < size && text.size() < 32; at += kBlock) {
    const std::string block = ContentsAt(fd, at, kBlock);
    const bool zero = block.find_first_not_of('\0') == std::string::npos;
    text += zero ? '0' : block[0];
  }
  return text;
}

// Blocks of 'a', 'b', 'c' and so on.
UniqueFd Fill(const char* path, int blocks) {
  UniqueFd fd(open(path, O_RDWR | O_CREAT | O_TRUNC, 0666));
  for (int i = 0; i < blocks; ++i) Ignore(Write(fd.get(), std::string(kBlock, static_cast<char>('a' + i))));
  return fd;
}

void Truncating() {
  const UniqueFd fd = Fill("truncated", 2);
  Call("truncate-larger", ftruncate(fd.get(), 4 * kBlock));
  Fact("truncate-larger-blocks", Blocks(fd.get()));
  Call("truncate-smaller", ftruncate(fd.get(), kBlock / 2));
  Call("truncate-larger-again", ftruncate(fd.get(), 2 * kBlock));
  Is("truncate-zeroes-the-rest", ContentsAt(fd.get(), kBlock / 2, kBlock).find_first_not_of('\0') == std::string::npos);
  Call("truncate-negative", ftruncate(fd.get(), -1));
  MakeDir("dir");
  Call("truncate-dir", truncate("dir", 0));
  Call("truncate-missing", truncate("missing", 0));
  Ignore(mkfifo("fifo", 0644));
  Call("truncate-fifo", truncate("fifo", 0));
  As({}, [] { Call("truncate-denied", truncate("truncated", 0)); });
  Call("write-past-end", pwrite(fd.get(), "x", 1, 5 * kBlock));
  Fact("write-past-end-blocks", Blocks(fd.get()));
}

void Allocating() {
  {
    const UniqueFd fd = Fill("allocated", 1);
    Call("fallocate", fallocate(fd.get(), 0, 0, 4 * kBlock));
    Fact("fallocate-blocks", Size(fd.get()) + " " + Blocks(fd.get()));
    Is("fallocate-takes-space", Status(fd.get()).st_blocks * 512 >= 4 * kBlock);
    Call("fallocate-keep-size", fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 8 * kBlock));
    Fact("fallocate-keep-size-size", Size(fd.get()));
    Is("fallocate-keep-size-takes-space", Status(fd.get()).st_blocks * 512 >= 8 * kBlock);
    Call("posix-fallocate", posix_fallocate(fd.get(), 0, 5 * kBlock));
    Fact("posix-fallocate-size", Size(fd.get()));
    Call("fallocate-zero-length", fallocate(fd.get(), 0, 0, 0));
    Call("fallocate-negative", fallocate(fd.get(), 0, -1, 10));
    const UniqueFd read_only(open("allocated", O_RDONLY));
    Call("fallocate-read-only", fallocate(read_only.get(), 0, 0, kBlock));
    Call("fallocate-unknown-mode", fallocate(fd.get(), 1 << 15, 0, kBlock));
  }
  const UniqueFd fd = Fill("holes", 6);
  Call("punch-hole", fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kBlock, 2 * kBlock));
  Fact("punch-hole-blocks", Blocks(fd.get()));
  Is("punch-hole-frees-space", Status(fd.get()).st_blocks * 512 < 6 * kBlock);
  Call("punch-hole-without-keep-size", fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE, 0, kBlock));
  Call("zero-range", fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 4 * kBlock, kBlock));
  Fact("zero-range-blocks", Blocks(fd.get()));
  Call("zero-range-past-end", fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 5 * kBlock, 2 * kBlock));
  Fact("zero-range-past-end-size", Size(fd.get()));
  const UniqueFd moved = Fill("moved", 6);
  Call("collapse-range", fallocate(moved.get(), FALLOC_FL_COLLAPSE_RANGE, kBlock, 2 * kBlock));
  Fact("collapse-range-blocks", Blocks(moved.get()));
  Call("collapse-range-unaligned", fallocate(moved.get(), FALLOC_FL_COLLAPSE_RANGE, 100, 50));
  Call("insert-range", fallocate(moved.get(), FALLOC_FL_INSERT_RANGE, kBlock, kBlock));
  Fact("insert-range-blocks", Blocks(moved.get()));
  MakeDir("fallocate-dir");
  const UniqueFd dir(open("fallocate-dir", O_RDONLY));
  Call("fallocate-dir", fallocate(dir.get(), 0, 0, kBlock));
}

void Seeking() {
  const UniqueFd fd(open("sparse", O_RDWR | O_CREAT, 0666));
  Ignore(pwrite(fd.get(), "x", 1, 16 * kBlock));
  Ignore(ftruncate(fd.get(), 32 * kBlock));
  Ignore(fsync(fd.get()));
  Call("seek-data", lseek(fd.get(), 0, SEEK_DATA));
  Call("seek-hole", lseek(fd.get(), 0, SEEK_HOLE));
  Call("seek-hole-after-data", lseek(fd.get(), 16 * kBlock, SEEK_HOLE));
  Call("seek-data-none", lseek(fd.get(), 20 * kBlock, SEEK_DATA));
  Call("seek-data-past-end", lseek(fd.get(), 40 * kBlock, SEEK_DATA));
  Call("seek-hole-at-end", lseek(fd.get(), 32 * kBlock, SEEK_HOLE));
  Call("seek-end", lseek(fd.get(), 0, SEEK_END));
  Call("seek-past-end", lseek(fd.get(), 100, SEEK_END));
  Call("seek-negative", lseek(fd.get(), -1, SEEK_SET));
  Call("seek-unknown", lseek(fd.get(), 0, 17));
  Is("sparse-takes-little", Status(fd.get()).st_blocks * 512 <= 2 * kBlock);
  const UniqueFd full = Fill("dense", 2);
  Call("dense-seek-hole", lseek(full.get(), 0, SEEK_HOLE));
  Call("dense-seek-data", lseek(full.get(), kBlock, SEEK_DATA));
  // Not yet written to a disk.
  const UniqueFd dirty(open("dirty", O_RDWR | O_CREAT, 0666));
  Ignore(pwrite(dirty.get(), "x", 1, 8 * kBlock));
  Call("dirty-seek-data", lseek(dirty.get(), 0, SEEK_DATA));
}

void Large() {
  const UniqueFd fd(open("large", O_RDWR | O_CREAT, 0666));
  Call("truncate-10-tb", ftruncate(fd.get(), 10 * kTerabyte));
  Fact("truncate-10-tb-size", Size(fd.get()));
  Call("write-at-10-tb", pwrite(fd.get(), "end", 3, 10 * kTerabyte));
  Fact("read-at-10-tb", ContentsAt(fd.get(), 10 * kTerabyte));
  Call("seek-data-10-tb", lseek(fd.get(), 0, SEEK_DATA));
  Call("truncate-largest", ftruncate(fd.get(), INT64_MAX));
  Call("write-at-largest", pwrite(fd.get(), "x", 1, INT64_MAX));
  Call("write-across-largest", pwrite(fd.get(), "xy", 2, INT64_MAX - 1));
  Call("read-at-largest", ContentsAt(fd.get(), INT64_MAX - 1, 1).empty() ? 0 : 1);
  Call("write-at-negative", pwrite(fd.get(), "x", 1, -1));
  Ignore(unlink("large"));
}

void FileSizeLimit() {
  InChild([] {
    const rlimit limit = {10000, 10000};
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
    const UniqueFd fd(open("limited", O_RDWR | O_CREAT, 0666));
    Call("fsize-write-across", Write(fd.get(), std::string(12000, 'x')));
    Call("fsize-write-after", Write(fd.get(), "x"));
    Call("fsize-truncate", ftruncate(fd.get(), 20000));
    Call("fsize-fallocate", fallocate(fd.get(), 0, 0, 20000));
    return 0;
  });
  Fact("fsize-signal", std::to_string(InChild([] {
         const rlimit limit = {100, 100};
         setrlimit(RLIMIT_FSIZE, &limit);
         signal(SIGXFSZ, SIG_DFL);
         const UniqueFd fd(open("limited2", O_RDWR | O_CREAT, 0666));
         Ignore(pwrite(fd.get(), "x", 1, 200));
         return 0;
       })));
}

void FileSystem() {
  struct statfs fs = {};
  Call("statfs", statfs(".", &fs));
  Is("statfs-type-is-fuse", fs.f_type == FUSE_SUPER_MAGIC);
  Fact("statfs-name-length", std::to_string(fs.f_namelen));
  Fact("statfs-block-size", std::to_string(fs.f_bsize));
  Is("statfs-blocks", fs.f_blocks > 0 && fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree);
  Is("statfs-files", fs.f_ffree <= fs.f_files);
  struct statvfs vfs = {};
  Call("statvfs", statvfs(".", &vfs));
  Is("statvfs-read-only", (vfs.f_flag & ST_RDONLY) != 0);
  Is("statvfs-relatime", (vfs.f_flag & ST_RELATIME) != 0);
  Fact("st-blksize", std::to_string(Status("holes").st_blksize));
  const UniqueFd fd = Fill("mapped", 2);
  alignas(fiemap) char memory[sizeof(fiemap) + 4 * sizeof(fiemap_extent)] = {};
  auto* map = reinterpret_cast<fiemap*>(memory);
  map->fm_length = FIEMAP_MAX_OFFSET;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = 4;
  Call("fiemap", ioctl(fd.get(), FS_IOC_FIEMAP, map));
  Is("fiemap-extents", map->fm_mapped_extents > 0);
  const UniqueFd clone(open("clone", O_RDWR | O_CREAT, 0666));
  Call("ficlone", ioctl(clone.get(), FICLONE, fd.get()));
  int size = 0;
  Call("figetbsz", ioctl(fd.get(), FIGETBSZ, &size));
  Call("fionread", ioctl(fd.get(), FIONREAD, &size));
  Call("unknown-ioctl", ioctl(fd.get(), _IO('K', 77)));
}

}  // namespace

void Space(const Place&) {
  Truncating();
  Allocating();
  Seeking();
  Large();
  FileSizeLimit();
  FileSystem();
}

}  // namespace kata::files
