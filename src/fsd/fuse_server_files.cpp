// SPDX-License-Identifier: Apache-2.0
// FuseServer: open files.
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include <algorithm>
#include <limits>
#include <set>

#include "fsd/fuse_server_parts.h"
#include "fsd/open_flags.h"

namespace kata::fsd {
namespace {

// What one request copies at most on the host: a file of terabytes would keep a thread for hours. The guest's caller
// gets a short count, as copy_file_range(2) may give.
constexpr uint64_t kMaxCopy = 128UL << 20U;

// A store through a mapping leaves a file's capabilities, and comes back from the guest's cache as a write, which takes
// them on the host. (Who may map the file for writing could change it without losing them in any case.)
class KeptCapability {
 public:
  // name: the file's, in this thread's working directory; nullptr: nothing is kept.
  explicit KeptCapability(const char* name)
      : name_(name), length_(name == nullptr ? -1 : getxattr(name, kAttribute, value_, sizeof(value_))) {}
  void Restore() const {
    if (length_ > 0) (void)setxattr(name_, kAttribute, value_, static_cast<size_t>(length_), 0);
  }

 private:
  static constexpr char kAttribute[] = "security.capability";

  const char* const name_;
  char value_[64];
  const ssize_t length_;
};

constexpr auto kMaxOffset = static_cast<uint64_t>(std::numeric_limits<off_t>::max());

}  // namespace

fuse_open_out FuseServer::AddOpenFile(const std::shared_ptr<Inode>& inode, std::shared_ptr<OpenFile> file) {
  fuse_open_out out = {};
  if (options_.cache == Cache::kNever) out.open_flags |= FOPEN_DIRECT_IO;
  if (options_.cache == Cache::kAlways) out.open_flags |= FOPEN_KEEP_CACHE;
  // A file system of this computer has no errors left to tell when a file is closed.
  if (!file->path->mount->remote) out.open_flags |= FOPEN_NOFLUSH;
  file->inode = inode;
  file->pinned = PinInode(*inode, *file->path->mount);
  inodes_.NoteOpen(*inode, file->path);
  out.fh = files_.Add(std::move(file));
  return out;
}

int FuseServer::Open(Request& request, Reply& reply) {
  fuse_open_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  // Everything else is the guest's kernel's: to open a FIFO or a device of the host could block, or do things.
  if (!S_ISREG(inode->type)) return S_ISDIR(inode->type) ? EISDIR : ENXIO;
  if (!HasRoom()) return ENFILE;
  const bool kill = (in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
  if (const int error = Become(CallerOf(request, !kill)); error != 0) return error;
  std::shared_ptr<Mount> mount;
  UniqueFd fd = OpenInode(*inode, HostOpenFlags(in.flags), &mount);
  if (!fd) return errno;
  const auto file = std::make_shared<OpenFile>(std::make_shared<const OpenPath>(std::move(mount), std::move(fd)));
  reply.Put(AddOpenFile(inode, file));
  // A guest that has room for them would ask for the attributes next.
  if (reply.room() >= sizeof(fuse_open_out) + sizeof(fuse_attr_out)) (void)PutAttributes(file->fd(), reply);
  return 0;
}

int FuseServer::Read(Request& request, Reply& reply) {
  fuse_read_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto file = files_.Find(in.fh);
  if (!file) return EBADF;
  if (in.offset > kMaxOffset) return EINVAL;
  const std::vector<iovec> memory = reply.Direct(std::min(in.size, kMaxTransfer));
  const ssize_t count =
      preadv(file->fd(), memory.data(), static_cast<int>(memory.size()), static_cast<off_t>(in.offset));
  if (count < 0) return errno;
  reply.SetDirect(static_cast<size_t>(count));
  return 0;
}

int FuseServer::Write(Request& request, Reply& reply) {
  fuse_write_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto file = files_.Find(in.fh);
  if (!file) return EBADF;
  if (in.offset > kMaxOffset) return EINVAL;
  if (in.size > kMaxTransfer) return EINVAL;
  const std::vector<iovec> memory = request.Data(in.size);
  if (memory.empty() && in.size > 0) return EINVAL;
  const bool kill = (in.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
  if (const int error = Become(CallerOf(request, !kill)); error != 0) return error;
  int flags = 0;
  // Pages that come back from a mapping belong where they are.
  const bool cached = (in.write_flags & FUSE_WRITE_CACHE) != 0;
  if (!cached && (in.flags & O_APPEND) != 0) flags |= RWF_APPEND;
  // Otherwise the guest's kernel sends FSYNC.
  if (options_.cache == Cache::kNever && !cached) {
    if ((in.flags & O_DSYNC) != 0) flags |= RWF_DSYNC;
    if ((in.flags & O_SYNC) == O_SYNC) flags |= RWF_SYNC;
  }
  const FdName name(file->fd());
  const KeptCapability capability(cached && EnterProc() == 0 ? name.c_str() : nullptr);
  const ssize_t count =
      pwritev2(file->fd(), memory.data(), static_cast<int>(memory.size()), static_cast<off_t>(in.offset), flags);
  if (count < 0) return errno;
  capability.Restore();
  reply.Put(fuse_write_out{.size = static_cast<uint32_t>(count)});
  return 0;
}

int FuseServer::Release(Request& request, Reply& /*reply*/) {
  fuse_release_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto file = files_.Take(in.fh);
  if (!file) return EBADF;
  inodes_.NoteClosed(*file->inode, *file->path);
  if (file->pinned) inodes_.Unpin(*file->inode);
  return 0;
}

int FuseServer::Flush(Request& request, Reply& /*reply*/) {
  fuse_flush_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto file = files_.Find(in.fh);
  if (!file) return EBADF;
  // Any close(2) of a file flushes it, and tells the errors of writes that were late.
  const int copy = fcntl(file->fd(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return errno;
  return close(copy) == 0 ? 0 : errno;
}

int FuseServer::Sync(Request& request, Reply& /*reply*/) {
  fuse_fsync_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto file = files_.Find(in.fh);
  if (!file) return EBADF;
  const bool data = (in.fsync_flags & FUSE_FSYNC_FDATASYNC) != 0;
  return (data ? fdatasync(file->fd()) : fsync(file->fd())) == 0 ? 0 : errno;
}

int FuseServer::SyncFs(Request& request, Reply& /*reply*/) {
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  if (!S_ISDIR(inode->type) && !S_ISREG(inode->type)) return EINVAL;
  if (inode->id == kRootNode) return SyncAll();
  const InodePath path = PathOf(*inode);
  if (!path) return errno;
  return SyncFsOf(path.fd());
}

int FuseServer::SyncFsOf(int path) const {
  const UniqueFd file = Reopen(path, O_RDONLY);
  if (!file) return errno;
  return syncfs(file.get()) == 0 ? 0 : errno;
}

// The guest's kernel may keep several mounts in one superblock, or all, and syncs each superblock once.
int FuseServer::SyncAll() const {
  std::set<dev_t> done;
  int result = 0;
  for (const auto& mount : mounts_.All()) {
    struct stat status = {};
    if (fstat(mount->root.get(), &status) != 0 || !done.insert(status.st_dev).second) continue;
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) continue;
    if (const int error = SyncFsOf(mount->root.get()); error != 0) result = error;
  }
  return result;
}

int FuseServer::Seek(Request& request, Reply& reply) {
  fuse_lseek_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto file = files_.Find(in.fh);
  if (!file) return EBADF;
  // The file's own position is used by nobody.
  if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE) return EINVAL;
  const off_t offset = lseek(file->fd(), static_cast<off_t>(in.offset), static_cast<int>(in.whence));
  if (offset < 0) return errno;
  reply.Put(fuse_lseek_out{.offset = static_cast<uint64_t>(offset)});
  return 0;
}

int FuseServer::Allocate(Request& request, Reply& /*reply*/) {
  fuse_fallocate_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto file = files_.Find(in.fh);
  if (!file) return EBADF;
  if (in.offset > kMaxOffset || in.length > kMaxOffset) return EFBIG;
  // Unlike a write, this does not say whether the caller may keep set-user-id bits: users may not.
  if (const int error = Become(CallerOf(request, request.header().uid == 0)); error != 0) return error;
  return fallocate(file->fd(), static_cast<int>(in.mode), static_cast<off_t>(in.offset),
                   static_cast<off_t>(in.length)) == 0
             ? 0
             : errno;
}

int FuseServer::CopyRange(Request& request, Reply& reply) {
  fuse_copy_file_range_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto from = files_.Find(in.fh_in);
  const auto to = files_.Find(in.fh_out);
  if (!from || !to) return EBADF;
  if (in.flags != 0 || in.off_in > kMaxOffset || in.off_out > kMaxOffset) return EINVAL;
  if (const int error = Become(CallerOf(request, request.header().uid == 0)); error != 0) return error;
  auto from_offset = static_cast<off_t>(in.off_in);
  auto to_offset = static_cast<off_t>(in.off_out);
  const ssize_t count = copy_file_range(from->fd(), &from_offset, to->fd(), &to_offset, std::min(in.len, kMaxCopy), 0);
  if (count < 0) return errno;
  reply.Put(fuse_write_out{.size = static_cast<uint32_t>(count)});
  return 0;
}

}  // namespace kata::fsd
