// SPDX-License-Identifier: Apache-2.0
#include "fsd/fuse_server.h"

#include <algorithm>

#include "fsd/fuse_server_parts.h"

namespace kata::fsd {
namespace {

constexpr uint32_t kPage = 4096;
constexpr uint64_t kMemoryOfAnInode = 32U << 10U;
// A VMM that the guest has broken into may say that there is any amount of memory.
constexpr uint64_t kMostInodes = 4U << 20U;
// The first version with what the guest's side of virtio-fs needs.
constexpr uint32_t kOldestMinor = 31;

// Whether a request that ended so can be handled again, as if for the first time: what makes a name has not made it,
// and the others set the same once more. A part of a range may have been moved (fallocate(2)).
bool FoundNoSpace(uint32_t opcode, int error) {
  return (error == ENOSPC || error == EDQUOT) && opcode != FUSE_FALLOCATE;
}

uint64_t TimeoutOf(Cache cache) {
  switch (cache) {
    case Cache::kNever:
      return 0;
    case Cache::kAuto:
      return 1;
    case Cache::kAlways:
      return 86400;
  }
  return 0;
}

}  // namespace

FuseServer::FuseServer(UniqueFd proc_fds, Options options)
    : proc_fds_(std::move(proc_fds)),
      options_(std::move(options)),
      freed_(options_.space_wait),
      timeout_(options_.timeout.value_or(TimeoutOf(options_.cache))),
      mounts_(options_.proc_self.get()),
      inodes_(options_.max_inodes, options_.max_paths, reserve_) {}

Result<std::unique_ptr<FuseServer>> FuseServer::Create(UniqueFd shared_directory, Options options) {
  if (!options.proc_self) {
    options.proc_self.Reset(open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!options.proc_self) return FailErrno("cannot open /proc/self");
  }
  UniqueFd proc_fds(openat(options.proc_self.get(), "fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc_fds) return FailErrno("cannot open /proc/self/fd");
  std::unique_ptr<HostChanges> changes = std::move(options.changes);
  std::unique_ptr<FuseServer> server(new FuseServer(std::move(proc_fds), std::move(options)));
  TRY(server->SetRoot(std::move(shared_directory)));
  TRY(server->StartWatcher(std::move(changes)));
  return server;
}

void FuseServer::SetGuestMemory(uint64_t bytes) {
  inodes_.SetLimit(std::max<size_t>(options_.max_inodes, std::min(bytes / kMemoryOfAnInode, kMostInodes)));
}

Result<> FuseServer::SetRoot(UniqueFd shared_directory) {
  UniqueFd path(openat(shared_directory.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!path) return FailErrno("cannot open the shared directory");
  struct statx status = {};
  if (const int error = StatusOf(path.get(), &status); error != 0) {
    return FailWith(error, "cannot look at the shared directory");
  }
  if ((status.stx_mask & STATX_MNT_ID) == 0) return Fail(Code::kUnimplemented, "statx(2) does not tell mounts");
  auto mount = mounts_.Get(status.stx_mnt_id, path.get());
  if (!mount) return FailErrno("cannot look at the mount of the shared directory");
  const InodeKey key = InodeKeyOf(*mount, status);
  inodes_.SetRoot(
      key, status.stx_mode,
      {.mount = mount, .path = std::make_shared<OpenPath>(mount, std::move(path)), .handle = {}, .dentry = {}});
  return {};
}

FuseServer::Handler FuseServer::HandlerOf(uint32_t opcode) {
  switch (opcode) {
    case FUSE_LOOKUP:
      return &FuseServer::Lookup;
    case FUSE_GETATTR:
      return &FuseServer::GetAttributes;
    case FUSE_SETATTR:
      return &FuseServer::SetAttributes;
    case FUSE_READLINK:
      return &FuseServer::ReadLink;
    case FUSE_SYMLINK:
      return &FuseServer::MakeSymlink;
    case FUSE_MKNOD:
      return &FuseServer::MakeNode;
    case FUSE_MKDIR:
      return &FuseServer::MakeDirectory;
    case FUSE_UNLINK:
      return &FuseServer::Unlink;
    case FUSE_RMDIR:
      return &FuseServer::RemoveDirectory;
    case FUSE_RENAME:
      return &FuseServer::Rename;
    case FUSE_RENAME2:
      return &FuseServer::Rename2;
    case FUSE_LINK:
      return &FuseServer::Link;
    case FUSE_OPEN:
      return &FuseServer::Open;
    case FUSE_READ:
      return &FuseServer::Read;
    case FUSE_WRITE:
      return &FuseServer::Write;
    case FUSE_STATFS:
      return &FuseServer::StatFs;
    case FUSE_RELEASE:
      return &FuseServer::Release;
    case FUSE_FSYNC:
      return &FuseServer::Sync;
    case FUSE_SETXATTR:
      return &FuseServer::SetXattr;
    case FUSE_GETXATTR:
      return &FuseServer::GetXattr;
    case FUSE_LISTXATTR:
      return &FuseServer::ListXattrs;
    case FUSE_REMOVEXATTR:
      return &FuseServer::RemoveXattr;
    case FUSE_FLUSH:
      return &FuseServer::Flush;
    case FUSE_OPENDIR:
      return &FuseServer::OpenDir;
    case FUSE_READDIR:
      return &FuseServer::ReadDir;
    case FUSE_READDIRPLUS:
      return &FuseServer::ReadDirPlus;
    case FUSE_RELEASEDIR:
      return &FuseServer::ReleaseDir;
    case FUSE_FSYNCDIR:
      return &FuseServer::SyncDir;
    case FUSE_CREATE:
      return &FuseServer::Create;
    case FUSE_TMPFILE:
      return &FuseServer::TemporaryFile;
    case FUSE_FALLOCATE:
      return &FuseServer::Allocate;
    case FUSE_LSEEK:
      return &FuseServer::Seek;
    case FUSE_COPY_FILE_RANGE:
      return &FuseServer::CopyRange;
    case FUSE_SYNCFS:
      return &FuseServer::SyncFs;
    case FUSE_IOCTL:
      return &FuseServer::Ioctl;
    case kBirthTime:
      return &FuseServer::BirthTime;
    case kHostWatch:
      return &FuseServer::HostWatch;
    case kHostEvents:
      return &FuseServer::HostEvents;
    case kHostEventsEnd:
      return &FuseServer::HostEventsEnd;
    case FUSE_DESTROY:
      return &FuseServer::Destroy;
    default:
      // The guest's kernel then does it itself, as ACCESS (by the mode), POLL (always ready) and locks (its own), or
      // tells its callers that there is no such thing.
      return nullptr;
  }
}

size_t FuseServer::Handle(std::span<const iovec> in, std::span<const iovec> out) {
  Request request;
  if (!request.Read(in)) return 0;
  const fuse_in_header& header = request.header();
  // Requests without a reply, whatever room for one there is.
  if (header.opcode == FUSE_FORGET || header.opcode == FUSE_BATCH_FORGET || header.opcode == FUSE_INTERRUPT) {
    if (!request.valid() || header.opcode == FUSE_INTERRUPT) return 0;
    header.opcode == FUSE_FORGET ? Forget(request) : BatchForget(request);
    freed_.Closed();
    return 0;
  }
  Reply reply(out, header.unique);
  if (!request.valid()) return reply.Finish(EINVAL);
  if (header.opcode == FUSE_INIT) return reply.Finish(Init(request, reply));
  if (!ready_) return reply.Finish(EIO);
  const Handler handler = HandlerOf(header.opcode);
  if (handler == nullptr) return reply.Finish(ENOSYS);
  uint64_t closed = freed_.closed();
  int error = Become(CallerOf(request, /*fsetid=*/true));
  if (error == 0) error = (this->*handler)(request, reply);
  if (header.opcode == FUSE_RELEASE) freed_.Closed();
  if (!FoundNoSpace(header.opcode, error)) return reply.Finish(error);
  const auto begin = FreedSpace::Clock::now();
  while (FoundNoSpace(header.opcode, error) && freed_.Await(closed, begin)) {
    closed = freed_.closed();
    request.Rewind();
    reply = Reply(out, header.unique);
    error = Become(CallerOf(request, /*fsetid=*/true));
    if (error == 0) error = (this->*handler)(request, reply);
  }
  return reply.Finish(error);
}

Caller FuseServer::CallerOf(const Request& request, bool fsetid) {
  return {.uid = request.header().uid, .gid = request.header().gid, .fsetid = fsetid};
}

int FuseServer::Init(Request& request, Reply& reply) {
  fuse_init_in in = {};
  // Before 7.36 it was shorter.
  if (!request.TakePart(&in, std::min(request.left(), sizeof(in))) || request.left() > 0) return EINVAL;
  fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
  if (in.major > FUSE_KERNEL_VERSION) {
    // It asks again, with our version.
    reply.Put(out);
    return 0;
  }
  if (in.major < FUSE_KERNEL_VERSION || in.minor < kOldestMinor) return EPROTO;
  // A guest that mounts it once more begins anew.
  ForgetAll();
  uint64_t offered = in.flags;
  if ((in.flags & FUSE_INIT_EXT) != 0) offered |= static_cast<uint64_t>(in.flags2) << 32U;
  uint64_t wanted = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_ASYNC_DIO |
                    FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_MAX_PAGES | FUSE_SETXATTR_EXT |
                    FUSE_INIT_EXT | FUSE_POSIX_ACL | kInitBirthTime | kInitLooksForForgets;
  if (watcher_) wanted |= kInitHostEvents;
  if (options_.readdirplus) wanted |= FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
  if (options_.announce_submounts) wanted |= FUSE_SUBMOUNTS;
  if (options_.cache != Cache::kNever) wanted |= FUSE_CACHE_SYMLINKS;
  if (options_.cache == Cache::kAuto) wanted |= FUSE_AUTO_INVAL_DATA;
  if (options_.cache == Cache::kNever) wanted |= kInitDirectIoAllowMmap;
  const uint64_t agreed = wanted & offered;
  long_setxattr_ = (agreed & FUSE_SETXATTR_EXT) != 0;
  tells_events_ = (agreed & kInitHostEvents) != 0;
  if (watcher_) watcher_->Begin();
  out.minor = std::min<uint32_t>(in.minor, FUSE_KERNEL_MINOR_VERSION);
  out.max_readahead = in.max_readahead;
  out.flags = static_cast<uint32_t>(agreed);
  out.flags2 = static_cast<uint32_t>(agreed >> 32U);
  // Reads ahead and asynchronous I/O that may be under way at once.
  out.max_background = 64;
  out.congestion_threshold = 48;
  out.max_write = kMaxTransfer;
  out.max_pages = kMaxTransfer / kPage;
  out.time_gran = 1;
  reply.Put(out);
  ready_ = true;
  return 0;
}

int FuseServer::Destroy(Request& /*request*/, Reply& /*reply*/) {
  ready_ = false;
  ForgetAll();
  return 0;
}

void FuseServer::ForgetAll() {
  files_.Clear();
  directories_.Clear();
  inodes_.Clear();
  if (watcher_) watcher_->Clear();
}

void FuseServer::ForgetNode(uint64_t node, uint64_t count) {
  // What is watched is opened for that to end, and cannot be any more when it is forgotten.
  const auto watched = tells_events_ && watcher_->Watches(node) ? inodes_.Find(node) : nullptr;
  const InodePath path = watched ? PathOf(*watched) : InodePath();
  inodes_.Forget(node, count);
  if (watched && !inodes_.Find(node)) watcher_->Forget(node, path ? path.fd() : -1);
}

void FuseServer::Forget(Request& request) {
  fuse_forget_in in = {};
  if (request.Take(&in)) ForgetNode(request.header().nodeid, in.nlookup);
}

void FuseServer::BatchForget(Request& request) {
  fuse_batch_forget_in in = {};
  if (!request.Take(&in)) return;
  fuse_forget_one one = {};
  for (uint32_t i = 0; i < in.count && request.Take(&one); ++i) ForgetNode(one.nodeid, one.nlookup);
}

}  // namespace kata::fsd
