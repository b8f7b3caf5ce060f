// SPDX-License-Identifier: Apache-2.0
#include "fsd/host_changes.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

namespace kata::fsd {
namespace {

constexpr int kHandleFid = 0x200;  // AT_HANDLE_FID: a handle that need not be opened (Linux 6.5)

// A fid is what stands in a record between its header and its name: the file system's id, and a handle.
constexpr size_t kFidBegin = sizeof(fanotify_event_info_header);
constexpr size_t kFidHead = sizeof(__kernel_fsid_t) + sizeof(file_handle);

template <typename T>
T At(std::string_view bytes, size_t offset) {
  T value;
  memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

bool ParseInfo(std::string_view info, HostChange* change) {
  if (info.size() < kFidBegin + kFidHead) return false;
  const uint64_t length = kFidHead + At<uint32_t>(info, kFidBegin + sizeof(__kernel_fsid_t));
  if (length > info.size() - kFidBegin) return false;
  const std::string_view fid = info.substr(kFidBegin, length);
  const auto kind = At<fanotify_event_info_header>(info, 0).info_type;
  if (kind == FAN_EVENT_INFO_TYPE_FID) {
    change->file = fid;
    return true;
  }
  if (kind != FAN_EVENT_INFO_TYPE_DFID_NAME && kind != FAN_EVENT_INFO_TYPE_OLD_DFID_NAME &&
      kind != FAN_EVENT_INFO_TYPE_NEW_DFID_NAME) {
    return true;
  }
  const std::string_view rest = info.substr(kFidBegin + length);
  const size_t end = rest.find('\0');
  if (end == std::string_view::npos) return false;
  HostChange::Entry& entry = kind == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME ? change->new_entry : change->entry;
  entry.directory = fid;
  entry.name = rest.substr(0, end);
  return true;
}

// The kernel ends a thread's parent-death signal with its user, so another thread does it.
int OpenGroupAs(uint32_t user) {
  int group = -1;
  int error = 0;
  try {
    std::thread([&] {
      // By itself this call concerns one thread. A user namespace may not have that user.
      (void)syscall(SYS_setresuid, -1, user, -1);
      group = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME_TARGET, 0);
      error = errno;
    }).join();
  } catch (const std::system_error& failed) {
    error = failed.code().value();
  }
  errno = error;
  return group;
}

int Mark(int group, unsigned flags, uint64_t mask, int directory, const char* path) {
  return fanotify_mark(group, flags, mask, directory, path) == 0 ? 0 : errno;
}

}  // namespace

bool ParseChange(std::string_view event, HostChange* change) {
  if (event.size() < sizeof(fanotify_event_metadata)) return false;
  const auto head = At<fanotify_event_metadata>(event, 0);
  if (head.vers != FANOTIFY_METADATA_VERSION || head.metadata_len < sizeof head || head.event_len != event.size()) {
    return false;
  }
  *change = {.mask = head.mask, .own = head.pid != 0, .file = {}, .entry = {}, .new_entry = {}};
  for (std::string_view rest = event.substr(std::min<size_t>(head.metadata_len, event.size())); !rest.empty();) {
    if (rest.size() < sizeof(fanotify_event_info_header)) return false;
    const size_t length = At<fanotify_event_info_header>(rest, 0).len;
    if (length < sizeof(fanotify_event_info_header) || length > rest.size()) return false;
    if (!ParseInfo(rest.substr(0, length), change)) return false;
    rest.remove_prefix(length);
  }
  return true;
}

HostChanges::HostChanges(UniqueFd group) : group_(std::move(group)), buffer_(kBuffer, '\0') {}

Result<std::unique_ptr<HostChanges>> HostChanges::Open(uint32_t user) {
  UniqueFd group(OpenGroupAs(user));
  if (!group) return FailErrno("cannot be told of changes to files (fanotify_init)");
  return std::unique_ptr<HostChanges>(new HostChanges(std::move(group)));
}

std::string HostChanges::FidOf(int path) {
  struct statfs status = {};
  if (fstatfs(path, &status) != 0) return {};
  union {
    file_handle handle;
    char memory[sizeof(file_handle) + MAX_HANDLE_SZ];
  } buffer = {};
  int mount = 0;
  buffer.handle.handle_bytes = MAX_HANDLE_SZ;
  int result = name_to_handle_at(path, "", &buffer.handle, &mount, AT_EMPTY_PATH | kHandleFid);
  if (result != 0 && errno == EINVAL) {
    buffer.handle.handle_bytes = MAX_HANDLE_SZ;
    result = name_to_handle_at(path, "", &buffer.handle, &mount, AT_EMPTY_PATH);
  }
  if (result != 0) return {};
  std::string fid(reinterpret_cast<const char*>(&status.f_fsid), sizeof(uint64_t));
  fid.append(buffer.memory, sizeof(file_handle) + buffer.handle.handle_bytes);
  return fid;
}

int HostChanges::Add(int directory, const char* path, uint64_t mask) const {
  return Mark(group_.get(), FAN_MARK_ADD, mask, directory, path);
}

int HostChanges::Remove(int directory, const char* path, uint64_t mask) const {
  return Mark(group_.get(), FAN_MARK_REMOVE, mask, directory, path);
}

void HostChanges::RemoveAll() const { (void)Mark(group_.get(), FAN_MARK_FLUSH, 0, AT_FDCWD, nullptr); }

void HostChanges::Read(const std::function<void(const HostChange&)>& tell, bool* overflow) {
  const ssize_t size = read(group_.get(), buffer_.data(), buffer_.size());
  if (size <= 0) return;
  for (std::string_view rest(buffer_.data(), static_cast<size_t>(size)); rest.size() >= sizeof(uint32_t);) {
    const size_t length = std::min<size_t>(At<uint32_t>(rest, 0), rest.size());
    HostChange change;
    if (!ParseChange(rest.substr(0, length), &change)) {
      *overflow = true;
      return;
    }
    if ((change.mask & FAN_Q_OVERFLOW) != 0) {
      *overflow = true;
    } else {
      tell(change);
    }
    rest.remove_prefix(length);
  }
}

}  // namespace kata::fsd
