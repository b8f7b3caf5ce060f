// SPDX-License-Identifier: Apache-2.0
// Reading and writing in all ways that there are.
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

void Basic() {
  const UniqueFd fd(open("file", O_RDWR | O_CREAT | O_TRUNC, 0666));
  Call("write", Write(fd.get(), "0123456789"));
  Call("read-at-end", static_cast<long>(ContentsAt(fd.get(), 10).size()));
  Call("read-past-end", static_cast<long>(ContentsAt(fd.get(), 100).size()));
  Fact("read-across-end", ContentsAt(fd.get(), 8));
  char a[4], b[4];
  const iovec vectors[2] = {{a, 4}, {b, 4}};
  Call("preadv", preadv(fd.get(), vectors, 2, 1));
  Fact("preadv-content", std::string(a, 4) + std::string(b, 4));
  iovec out[2] = {{const_cast<char*>("AB"), 2}, {const_cast<char*>("CD"), 2}};
  Call("pwritev", pwritev(fd.get(), out, 2, 3));
  Fact("pwritev-content", ContentsAt(fd.get(), 0));
  Call("pread-negative", pread(fd.get(), a, 1, -1));
  Call("read-nothing", read(fd.get(), a, 0));
  // The second of two pages may not be touched: what lies in the first is transferred.
  char* pages = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  Ignore(mprotect(pages + 4096, 4096, PROT_NONE));
  Call("write-bad-address", pwrite(fd.get(), pages + 4096, 10, 0));
  Call("read-bad-address", pread(fd.get(), pages + 4096, 10, 0));
  Call("write-partly-bad-address", pwrite(fd.get(), pages + 4092, 10, 0));
  Call("read-partly-bad-address", pread(fd.get(), pages + 4092, 10, 0));
  const std::string large(3 << 20, 'L');
  Call("write-3-mib", pwrite(fd.get(), large.data(), large.size(), 0));
  std::string read_back(3 << 20, '\0');
  Call("read-3-mib", pread(fd.get(), read_back.data(), read_back.size(), 0));
  Is("read-3-mib-same", large == read_back);
  Call("fsync", fsync(fd.get()));
  Call("fdatasync", fdatasync(fd.get()));
  Call("syncfs", syncfs(fd.get()));
  Call("sync-file-range", sync_file_range(fd.get(), 0, 4096, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
  Call("readahead", readahead(fd.get(), 0, 65536));
  Call("fadvise-dontneed", posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED));
  const UniqueFd read_only(open("file", O_RDONLY));
  Call("fsync-read-only", fsync(read_only.get()));
  {
    const UniqueFd appending(open("file", O_RDWR | O_APPEND));
    Ignore(ftruncate(appending.get(), 4));
    Call("append-seek", lseek(appending.get(), 1, SEEK_SET));
    Call("append-write", Write(appending.get(), "xx"));
    Call("append-offset", lseek(appending.get(), 0, SEEK_CUR));
    Call("append-pwrite", pwrite(appending.get(), "yy", 2, 0));
    Fact("append-content", ContentsAt(appending.get(), 0));
    Call("append-off", fcntl(appending.get(), F_SETFL, 0));
    Call("append-off-pwrite", pwrite(appending.get(), "zz", 2, 0));
    Fact("append-off-content", ContentsAt(appending.get(), 0));
  }
  // The offset belongs to the open file, which a child has too.
  Ignore(lseek(fd.get(), 0, SEEK_SET));
  InChild([&] { return static_cast<int>(Write(fd.get(), "child")); });
  Call("offset-shared-with-child", lseek(fd.get(), 0, SEEK_CUR));
  pollfd wait = {fd.get(), POLLIN | POLLOUT, 0};
  Call("poll", poll(&wait, 1, 0));
  Is("poll-ready", (wait.revents & (POLLIN | POLLOUT)) == (POLLIN | POLLOUT));
  const UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event = {EPOLLIN, {}};
  Call("epoll-add", epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event));
}

void Flagged() {
  Make("flagged", std::string(4096, 'f'));
  const UniqueFd fd(open("flagged", O_RDWR));
  char buffer[16];
  const iovec in = {buffer, sizeof buffer};
  const iovec out = {const_cast<char*>("text"), 4};
  ContentsAt(fd.get(), 0);
  Call("rwf-nowait-read", preadv2(fd.get(), &in, 1, 0, RWF_NOWAIT));
  long written = pwritev2(fd.get(), &out, 1, 0, RWF_NOWAIT);
  if (written < 0 && errno == EAGAIN) written = 4;  // it may; what counts is whether it can be asked for
  Call("rwf-nowait-write", written);
  Call("rwf-hipri-read", preadv2(fd.get(), &in, 1, 0, RWF_HIPRI));
  Call("rwf-dsync-write", pwritev2(fd.get(), &out, 1, 0, RWF_DSYNC));
  Call("rwf-sync-write", pwritev2(fd.get(), &out, 1, 0, RWF_SYNC));
  Call("rwf-append-write", pwritev2(fd.get(), &out, 1, 0, RWF_APPEND));
  Fact("rwf-append-size", std::to_string(Status(fd.get()).st_size));
  Call("rwf-unknown", preadv2(fd.get(), &in, 1, 0, 1 << 20));
}

void Direct() {
  Make("direct", std::string(8192, 'd'));
  const UniqueFd fd(open("direct", O_RDWR | O_DIRECT));
  alignas(4096) static char block[4096];
  Call("direct-read", pread(fd.get(), block, sizeof block, 0));
  Is("direct-read-content", block[0] == 'd' && block[4095] == 'd');
  block[0] = 'D';
  Call("direct-write", pwrite(fd.get(), block, sizeof block, 4096));
  Fact("direct-write-seen",
       Contents("direct").substr(0, 1) + ContentsAt(UniqueFd(open("direct", O_RDONLY)).get(), 4096, 1));
  Call("direct-unaligned-offset", pread(fd.get(), block, sizeof block, 7));
  Call("direct-unaligned-length", pread(fd.get(), block, 7, 0));
  Call("direct-unaligned-memory", pread(fd.get(), block + 1, 2048, 0));
  Call("direct-at-end", pread(fd.get(), block, sizeof block, 8192));
  const UniqueFd cached(open("direct", O_RDWR));
  ContentsAt(cached.get(), 0);
  block[0] = 'E';
  Ignore(pwrite(fd.get(), block, sizeof block, 0));
  Fact("direct-write-seen-by-cached", ContentsAt(cached.get(), 0, 1));
  Ignore(pwrite(cached.get(), "F", 1, 0));
  Ignore(pread(fd.get(), block, sizeof block, 0));
  Fact("cached-write-seen-by-direct", std::string(block, 1));
}

void Copying() {
  Make("source", "0123456789");
  const UniqueFd from(open("source", O_RDWR));
  const UniqueFd to(open("copied", O_RDWR | O_CREAT | O_TRUNC, 0666));
  Call("copy-file-range", copy_file_range(from.get(), nullptr, to.get(), nullptr, 5, 0));
  Fact("copy-file-range-content", Contents("copied"));
  Call("copy-file-range-rest", copy_file_range(from.get(), nullptr, to.get(), nullptr, 100, 0));
  Call("copy-file-range-at-end", copy_file_range(from.get(), nullptr, to.get(), nullptr, 100, 0));
  Fact("copy-file-range-all", Contents("copied"));
  off_t in = 0, out = 5;
  Call("copy-file-range-same-file", copy_file_range(from.get(), &in, from.get(), &out, 3, 0));
  in = 0, out = 2;
  Call("copy-file-range-overlapping", copy_file_range(from.get(), &in, from.get(), &out, 5, 0));
  Fact("copy-file-range-same-file-content", Contents("source"));
  Call("copy-file-range-flags", copy_file_range(from.get(), nullptr, to.get(), nullptr, 1, 1));
  const UniqueFd appending(open("copied", O_WRONLY | O_APPEND));
  in = 0;
  Call("copy-file-range-to-append", copy_file_range(from.get(), &in, appending.get(), nullptr, 1, 0));
  const UniqueFd read_only(open("copied", O_RDONLY));
  Call("copy-file-range-to-read-only", copy_file_range(from.get(), &in, read_only.get(), nullptr, 1, 0));
  const UniqueFd dir(open(".", O_RDONLY));
  Call("copy-file-range-from-dir", copy_file_range(dir.get(), nullptr, to.get(), nullptr, 1, 0));
  off_t offset = 0;
  Call("sendfile", sendfile(to.get(), from.get(), &offset, 10));
  int ends[2];
  Ignore(pipe2(ends, O_CLOEXEC));
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  in = 0;
  Call("splice-to-pipe", splice(from.get(), &in, write_end.get(), nullptr, 6, 0));
  out = 0;
  Call("splice-from-pipe", splice(read_end.get(), nullptr, to.get(), &out, 6, 0));
  Fact("splice-content", ContentsAt(to.get(), 0, 6));
}

// The kernel's own asynchronous calls; io_uring is switched off on many hosts.
void Asynchronous() {
  Make("aio", "0123456789");
  const UniqueFd fd(open("aio", O_RDWR));
  aio_context_t context = 0;
  Call("aio-setup", syscall(SYS_io_setup, 4, &context));
  char buffer[10] = {};
  iocb request = {};
  request.aio_lio_opcode = IOCB_CMD_PREAD;
  request.aio_fildes = static_cast<uint32_t>(fd.get());
  request.aio_buf = reinterpret_cast<uint64_t>(buffer);
  request.aio_nbytes = sizeof buffer;
  iocb* requests[] = {&request};
  Call("aio-submit", syscall(SYS_io_submit, context, 1, requests));
  io_event event = {};
  timespec limit = {5, 0};
  Call("aio-event", syscall(SYS_io_getevents, context, 1, 1, &event, &limit));
  Call("aio-read", static_cast<long>(event.res));
  request.aio_lio_opcode = IOCB_CMD_FSYNC;
  request.aio_buf = 0, request.aio_nbytes = 0;
  Call("aio-fsync", syscall(SYS_io_submit, context, 1, requests));
  Ignore(syscall(SYS_io_destroy, context));
}

}  // namespace

void InputOutput(const Place&) {
  Basic();
  Flagged();
  Direct();
  Copying();
  Asynchronous();
}

}  // namespace kata::files
