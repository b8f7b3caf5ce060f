// SPDX-License-Identifier: Apache-2.0
// The file server: answers the FUSE requests of one guest about the files below one directory of the host.
//
// The guest is not trusted. It names files by node ids, and open ones by fhs, that it was given, and by single names in
// a directory that it knows; no symbolic link is followed and no special file opened. Permissions are the guest
// kernel's matter (it has all of a process's credentials); read-only mounts of the host hold whatever the guest asks
// for.
//
// What the process needs (main.cpp): the capabilities CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, MKNOD,
// SETFCAP, SETGID and SETUID (the last two for setfsuid(2), see credentials.h), no supplementary groups, and SIGXFSZ
// ignored. The threads that call Handle must not be the one with the parent-death signal. Of the system calls, one is
// easily overlooked by a filter: truncate(2), by the name of a descriptor in /proc.
#pragma once

#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fsd/cache.h"
#include "fsd/credentials.h"
#include "fsd/descriptor_reserve.h"
#include "fsd/freed_space.h"
#include "fsd/host_changes.h"
#include "fsd/inode.h"
#include "fsd/mounts.h"
#include "fsd/open_files.h"
#include "fsd/request.h"
#include "fsd/watcher.h"

namespace kata::fsd {

class InodePath;  // fuse_server_parts.h

class FuseServer {
 public:
  struct Options {
    Cache cache = Cache::kAuto;
    std::optional<uint64_t> timeout;  // seconds for which names and attributes are believed, instead of the cache's
    // Mount points are told as such (FUSE_ATTR_SUBMOUNT), so that they have a st_dev of their own in the guest. On, as
    // with the default configuration; the command line must ask for it, as virtiofsd's must (options.h).
    bool announce_submounts = true;
    // What the guest may make the server remember: inodes (some 250 bytes each). A guest with very much memory may have
    // more (SetGuestMemory).
    size_t max_inodes = 1UL << 20U;
    bool readdirplus = true;
    // How many files without handles are kept open, beside those that the guest has open.
    size_t max_paths = 1024;
    // How long a request that finds no space waits for that of files that the guest has just removed. The guest says
    // that it has forgotten a file before it sends another request, and that it has closed one within some 20 ms.
    std::chrono::milliseconds space_wait{50};
    // O_PATH descriptor of the server's own directory in /proc. Invalid: /proc/self is opened.
    UniqueFd proc_self;
    // With it a guest that can hear it is told what others do to the files (watcher.h). Null: none is.
    std::unique_ptr<HostChanges> changes;
  };

  // shared_directory: O_PATH or more. Fails if it is no directory, or /proc cannot be opened.
  static Result<std::unique_ptr<FuseServer>> Create(UniqueFd shared_directory, Options options);

  // Handles one request. in: the request as it lies in guest memory, which may change at any time. out: where the reply
  // goes. Returns the bytes written to out; 0: no reply (FORGET, or nothing that is a request). Thread-safe. Blocks as
  // long as the host's file system does.
  size_t Handle(std::span<const iovec> in, std::span<const iovec> out);

  // How many bytes of memory the guest has. Its kernel keeps one inode for each 64 KiB that nobody uses, and may have
  // twice as many at the server, or Options::max_inodes if that is more.
  void SetGuestMemory(uint64_t bytes);

  // Whether the request waits for what others do (kHostEvents), and nothing has happened yet. It is to be kept then,
  // and given to AnswerEvents later; Handle would answer that nothing has happened.
  bool MustWait(std::span<const iovec> in) const;
  // Answers such a request, as Handle does.
  size_t AnswerEvents(std::span<const iovec> in, std::span<const iovec> out);
  // What is to be called, by any thread, when such a request need not wait any more. Empty: nothing from now on.
  void OnEvents(std::function<void()> call);

  // For tests: what the server remembers.
  size_t inodes() const { return inodes_.size(); }
  size_t open_files() const { return files_.size() + directories_.size(); }
  size_t watched() const { return watcher_ ? watcher_->size() : 0; }

 private:
  struct Found;
  struct Reached;
  using Handler = int (FuseServer::*)(Request&, Reply&);

  FuseServer(UniqueFd proc_fds, Options options);
  Result<> SetRoot(UniqueFd shared_directory);
  Result<> StartWatcher(std::unique_ptr<HostChanges> changes);
  static Handler HandlerOf(uint32_t opcode);

  // The handlers return 0, or the errno for the guest.
  int Init(Request& request, Reply& reply);
  int Destroy(Request& request, Reply& reply);
  void Forget(Request& request);
  void BatchForget(Request& request);
  void ForgetNode(uint64_t node, uint64_t count);
  void ForgetAll();
  // fuse_server_lookup.cpp
  int Lookup(Request& request, Reply& reply);
  int ReadLink(Request& request, Reply& reply);
  // fuse_server_names.cpp
  int MakeNode(Request& request, Reply& reply);
  int MakeDirectory(Request& request, Reply& reply);
  int MakeSymlink(Request& request, Reply& reply);
  int Link(Request& request, Reply& reply);
  int Unlink(Request& request, Reply& reply);
  int RemoveDirectory(Request& request, Reply& reply);
  int Rename(Request& request, Reply& reply);
  int Rename2(Request& request, Reply& reply);
  int Create(Request& request, Reply& reply);
  int TemporaryFile(Request& request, Reply& reply);
  // fuse_server_attributes.cpp
  int GetAttributes(Request& request, Reply& reply);
  int SetAttributes(Request& request, Reply& reply);
  int StatFs(Request& request, Reply& reply);
  int BirthTime(Request& request, Reply& reply);
  // fuse_server_ioctl.cpp
  int Ioctl(Request& request, Reply& reply);
  // fuse_server_xattrs.cpp
  int SetXattr(Request& request, Reply& reply);
  int GetXattr(Request& request, Reply& reply);
  int ListXattrs(Request& request, Reply& reply);
  int RemoveXattr(Request& request, Reply& reply);
  // fuse_server_files.cpp
  int Open(Request& request, Reply& reply);
  int Read(Request& request, Reply& reply);
  int Write(Request& request, Reply& reply);
  int Release(Request& request, Reply& reply);
  int Flush(Request& request, Reply& reply);
  int Sync(Request& request, Reply& reply);
  int SyncFs(Request& request, Reply& reply);
  int Seek(Request& request, Reply& reply);
  int Allocate(Request& request, Reply& reply);
  int CopyRange(Request& request, Reply& reply);
  // fuse_server_directories.cpp
  int OpenDir(Request& request, Reply& reply);
  int ReadDir(Request& request, Reply& reply);
  int ReadDirPlus(Request& request, Reply& reply);
  int ReleaseDir(Request& request, Reply& reply);
  int SyncDir(Request& request, Reply& reply);

  // fuse_server_watch.cpp
  int HostWatch(Request& request, Reply& reply);
  int HostEvents(Request& request, Reply& reply);
  int HostEventsEnd(Request& request, Reply& reply);

  // A descriptor of the inode, O_PATH or more. Empty: errno says why.
  InodePath PathOf(const Inode& inode);
  // As PathOf, but not by names.
  InodePath PathWithoutName(const Inode& inode, const Access& access);
  // As PathOf, by the names of the inode and of the directories above it, from one on that is found otherwise.
  InodePath Follow(const Inode& inode, Access access);
  // Finds and opens (O_PATH) the node of the request. 0; ESTALE: the guest does not know it; or the errno of the host.
  int Reach(const Request& request, Reached* reached);
  // Before a name goes: opens the file that it names if the guest knows it by a handle only, which would lead nowhere
  // when this was its last name. KeepVictim keeps it when the name has gone.
  struct Victim;
  Victim FindVictim(const Reached& directory, const char* name);
  void KeepVictim(const Victim& victim);
  // After a rename: the file that has the name now is found by it.
  void NoteName(const Reached& directory, const char* name);
  // Looks a name up in a directory, and counts the lookup.
  int LookUpName(const std::shared_ptr<Inode>& parent, const char* name, Found* found);
  // Counts a lookup of the file behind a descriptor (O_PATH), which was found in `parent`'s mount or at the root of
  // another, at `dentry` if it has a name.
  int EnterPath(UniqueFd path, const Mount& parent, std::shared_ptr<const Dentry> dentry, Found* found);
  int Enter(Access access, Found* found);
  // As EnterPath, of a file that is open for I/O.
  int EnterFile(int file, const Mount& parent, std::shared_ptr<const Dentry> dentry, Found* found);
  void Describe(const Mount& mount, const Mount& parent, Found* found);
  int PutEntry(const std::shared_ptr<Inode>& parent, const char* name, Reply& reply);
  void FillAttributes(const struct statx& status, fuse_attr* attributes) const;
  void FillEntry(const Found& found, fuse_entry_out* entry) const;
  int PutAttributes(int fd, Reply& reply);
  // Whether a file (O_PATH or more) has no security.capability for certain, so that the guest need not ask.
  bool LacksCapability(int fd) const;
  int RemoveName(Request& request, int flags);
  int RenameNames(Request& request, uint64_t new_parent, unsigned flags);
  int SetSize(const Inode& inode, const InodePath& path, const fuse_setattr_in& wanted);
  int SyncFsOf(int path) const;
  int SyncAll() const;
  // Gives a file that was opened its fh, and tells the guest how to use it.
  fuse_open_out AddOpenFile(const std::shared_ptr<Inode>& inode, std::shared_ptr<OpenFile> file);
  // The reply to CREATE and TMPFILE: a file that was made in `directory`'s mount, and is open.
  int PutMade(UniqueFd file, const std::shared_ptr<Mount>& mount, std::shared_ptr<const Dentry> dentry, Reply& reply);
  // While the guest has an inode open that has no handle, its descriptor stays: the host may remove its name. Whether
  // it has none, so that InodeTable::Unpin is to follow.
  bool PinInode(const Inode& inode, const Mount& mount);
  // Whether the guest may open one more file: it may not have the reserve of descriptors. Asked before anything is
  // done.
  bool HasRoom();
  int ReadEntries(Request& request, Reply& reply, bool plus);
  // Opens an inode, of which the caller knows that it is a regular file. Invalid: errno says why.
  UniqueFd OpenInode(const Inode& inode, int flags, std::shared_ptr<Mount>* mount);
  // Opens the file of a descriptor (O_PATH) once more, with other flags. The caller knows that it is a regular file or
  // a directory.
  UniqueFd Reopen(int path, int flags) const;
  // For the system calls that take paths only: an inode's path in this thread's working directory.
  int EnterProc() const { return EnterDirectory(proc_fds_.get()); }
  static Caller CallerOf(const Request& request, bool fsetid);
  // The node of the request. nullptr: the guest does not know it.
  std::shared_ptr<Inode> NodeOf(const Request& request) const { return inodes_.Find(request.header().nodeid); }

  const UniqueFd proc_fds_;  // /proc/self/fd
  const Options options_;
  const DescriptorReserve reserve_;
  FreedSpace freed_;
  const uint64_t timeout_;  // seconds
  MountTable mounts_;
  InodeTable inodes_;
  OpenTable<OpenFile> files_;
  OpenTable<OpenDirectory> directories_;
  std::atomic<bool> ready_ = false;          // INIT has come
  std::atomic<bool> long_setxattr_ = false;  // FUSE_SETXATTR_EXT
  std::atomic<bool> tells_events_ = false;   // kInitHostEvents
  // The last one: its thread ends first. Null: there is none.
  std::unique_ptr<Watcher> watcher_;
};

}  // namespace kata::fsd
