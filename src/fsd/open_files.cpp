// SPDX-License-Identifier: Apache-2.0
#include "fsd/open_files.h"

#include <dirent.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace kata::fsd {
namespace {

constexpr size_t kChunk = 8192;

// What getdents64(2) gives; the C library's struct dirent64 is the same, but of the size of the longest name.
struct RawEntry {
  uint64_t number;
  int64_t next;
  uint16_t length;
  uint8_t type;
};
constexpr size_t kNameOffset = offsetof(RawEntry, type) + 1;

RawEntry ReadEntry(const char* memory) {
  RawEntry entry;
  memcpy(&entry, memory, kNameOffset);
  return entry;
}

}  // namespace

int OpenDirectory::Seek(uint64_t offset) {
  // From the beginning the directory is read anew, so that a rewound one shows what has changed.
  if (offset == position_ && offset != 0) return 0;
  entries_.clear();
  begin_ = 0;
  if (lseek(fd_.get(), static_cast<off_t>(offset), SEEK_SET) < 0) return errno;
  position_ = offset;
  return 0;
}

bool OpenDirectory::Peek(Entry* entry, int* error) {
  *error = 0;
  if (begin_ == entries_.size()) {
    entries_.resize(kChunk);
    begin_ = 0;
    const long count = syscall(SYS_getdents64, fd_.get(), entries_.data(), entries_.size());
    if (count < 0) *error = errno;
    entries_.resize(count < 0 ? 0 : static_cast<size_t>(count));
    if (count <= 0) return false;
  }
  const RawEntry raw = ReadEntry(entries_.data() + begin_);
  *entry = {.number = raw.number,
            .next = static_cast<uint64_t>(raw.next),
            .type = raw.type,
            .name = entries_.data() + begin_ + kNameOffset};
  return true;
}

void OpenDirectory::Pass() {
  const RawEntry raw = ReadEntry(entries_.data() + begin_);
  begin_ += raw.length;
  position_ = static_cast<uint64_t>(raw.next);
}

}  // namespace kata::fsd
