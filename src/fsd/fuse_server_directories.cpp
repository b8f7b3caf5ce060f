// SPDX-License-Identifier: Apache-2.0
// FuseServer: open directories.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "fsd/fuse_server_parts.h"

namespace kata::fsd {
namespace {

// What one request reads at most: the reply is collected in memory of ours.
constexpr size_t kMaxEntries = 256UL << 10U;
// Otherwise a list would seem to end there (kOpenReadsFull).
static_assert(kMaxEntries >= kMostOfAList);

bool IsDots(const char* name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

void PutDirent(const OpenDirectory::Entry& entry, Reply& reply) {
  const size_t length = strlen(entry.name);
  const fuse_dirent dirent = {
      .ino = entry.number, .off = entry.next, .namelen = static_cast<uint32_t>(length), .type = entry.type};
  static_assert(sizeof(dirent) == FUSE_NAME_OFFSET);
  reply.Put(dirent);
  constexpr std::string_view kZeros("\0\0\0\0\0\0\0", 7);
  reply.PutBytes({entry.name, length});
  reply.PutBytes(kZeros.substr(0, FUSE_REC_ALIGN(length) - length));
}

}  // namespace

int FuseServer::OpenDir(Request& request, Reply& reply) {
  fuse_open_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  if (!S_ISDIR(inode->type)) return ENOTDIR;
  if (!HasRoom()) return ENFILE;
  const InodePath path = PathOf(*inode);
  if (!path) return errno;
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (static_cast<int>(in.flags) & O_NOATIME);
  UniqueFd directory(openat(path.fd(), ".", flags));
  if (!directory) return errno;
  fuse_open_out out = {.open_flags = kOpenReadsFull};
  if (options_.cache == Cache::kAlways) out.open_flags |= FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
  const auto open = std::make_shared<OpenDirectory>(std::move(directory), inode);
  open->pinned = PinInode(*inode, path.mount());
  out.fh = directories_.Add(open);
  reply.Put(out);
  return 0;
}

int FuseServer::ReadEntries(Request& request, Reply& reply, bool plus) {
  fuse_read_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto directory = directories_.Find(in.fh);
  if (!directory) return EBADF;
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  const size_t room = std::min({size_t{in.size}, reply.room(), kMaxEntries});
  const std::lock_guard lock(directory->mutex());
  if (const int error = directory->Seek(in.offset); error != 0) return error;
  int error = 0;
  std::vector<uint64_t> counted;
  for (OpenDirectory::Entry entry; directory->Peek(&entry, &error); directory->Pass()) {
    const size_t length = FUSE_REC_ALIGN((plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET) + strlen(entry.name));
    if (reply.size() + length > room) break;
    if (plus) {
      // Zeros: the guest looks it up for itself, as one that has just gone.
      fuse_entry_out out = {};
      Found found;
      if (!IsDots(entry.name) && LookUpName(inode, entry.name, &found) == 0) {
        FillEntry(found, &out);
        counted.push_back(found.inode->id);
        entry.type = static_cast<uint8_t>(found.inode->type >> 12U);
      }
      reply.Put(out);
    }
    PutDirent(entry, reply);
  }
  // The error is told now, instead of the entries before it: with these the reply would have room left, which the guest
  // takes for the end of the directory. What the guest is not told of was not looked up.
  for (size_t i = 0; error != 0 && i < counted.size(); ++i) inodes_.Forget(counted[i], 1);
  return error;
}

int FuseServer::ReadDir(Request& request, Reply& reply) { return ReadEntries(request, reply, /*plus=*/false); }

int FuseServer::ReadDirPlus(Request& request, Reply& reply) { return ReadEntries(request, reply, /*plus=*/true); }

int FuseServer::ReleaseDir(Request& request, Reply& /*reply*/) {
  fuse_release_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto directory = directories_.Take(in.fh);
  if (!directory) return EBADF;
  if (directory->pinned) inodes_.Unpin(*directory->inode);
  return 0;
}

int FuseServer::SyncDir(Request& request, Reply& /*reply*/) {
  fuse_fsync_in in;
  if (!request.Take(&in)) return EINVAL;
  const auto directory = directories_.Find(in.fh);
  if (!directory) return EBADF;
  const bool data = (in.fsync_flags & FUSE_FSYNC_FDATASYNC) != 0;
  return (data ? fdatasync(directory->fd()) : fsync(directory->fd())) == 0 ? 0 : errno;
}

}  // namespace kata::fsd
