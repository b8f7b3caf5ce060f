// SPDX-License-Identifier: Apache-2.0
#include "fsd/file_handle.h"

#include <fcntl.h>

#include <cstring>

namespace kata::fsd {
namespace {

// struct file_handle ends with an array without a size.
template <size_t size>
union Buffer {
  file_handle handle;
  char memory[sizeof(file_handle) + size];
};

}  // namespace

FileHandle FileHandle::Of(int directory, const char* name) {
  Buffer<kMax> buffer = {};
  buffer.handle.handle_bytes = kMax;
  int mount = 0;
  FileHandle result;
  if (name_to_handle_at(directory, name, &buffer.handle, &mount, *name == '\0' ? AT_EMPTY_PATH : 0) != 0) return result;
  if (buffer.handle.handle_bytes > kMax) return result;
  memcpy(result.bytes_.data(), buffer.memory + sizeof(file_handle), buffer.handle.handle_bytes);
  result.type_ = buffer.handle.handle_type;
  result.length_ = static_cast<uint8_t>(buffer.handle.handle_bytes);
  return result;
}

UniqueFd FileHandle::Open(int anchor, int flags) const {
  Buffer<kMax> buffer = {};
  buffer.handle.handle_bytes = length_;
  buffer.handle.handle_type = type_;
  memcpy(buffer.memory + sizeof(file_handle), bytes_.data(), length_);
  return UniqueFd(open_by_handle_at(anchor, &buffer.handle, flags | O_CLOEXEC));
}

}  // namespace kata::fsd
