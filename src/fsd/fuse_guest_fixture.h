// SPDX-License-Identifier: Apache-2.0
// For tests: speaks to a FuseServer as the kernel of a guest does, without a guest.
#pragma once

#include <linux/fuse.h>

#include <atomic>
#include <cstring>
#include <string>
#include <string_view>

#include "fsd/fuse_server.h"

namespace kata::fsd {

// A reply.
struct Answer {
  size_t length = 0;  // what Handle returned
  fuse_out_header header = {};
  int error = 0;  // a positive errno
  std::string body;

  // The structure at an offset of the body; zeros where there is none.
  template <typename T>
  T As(size_t offset = 0) const {
    T value = {};
    if (error == 0 && body.size() >= offset + sizeof(T)) memcpy(&value, body.data() + offset, sizeof(T));
    return value;
  }
  bool ok() const { return length >= sizeof(fuse_out_header) && error == 0; }
};

inline std::string Bytes(std::string_view text) { return std::string(text); }
// With the NUL that ends a name.
inline std::string Name(std::string_view text) { return std::string(text) + '\0'; }
template <typename T>
std::string Struct(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

class FuseGuest {
 public:
  explicit FuseGuest(FuseServer& server) : server_(server) {}

  // Who makes the calls.
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t umask = 022;
  // What the last Init agreed on.
  fuse_init_out agreed = {};

  Answer Call(uint32_t opcode, uint64_t node, const std::string& arguments, size_t room = 4096);
  // Sends bytes as they are.
  Answer Send(std::string bytes, size_t room = 4096);

  Answer Init(uint64_t flags = ~0ULL);
  Answer Lookup(uint64_t parent, std::string_view name);
  // Looks up each part of a path. 0: there is none.
  uint64_t Walk(std::string_view path);
  void Forget(uint64_t node, uint64_t count);
  fuse_attr Attributes(uint64_t node);
  Answer SetAttributes(uint64_t node, const fuse_setattr_in& in);
  Answer MakeDirectory(uint64_t parent, std::string_view name, uint32_t mode);
  Answer MakeNode(uint64_t parent, std::string_view name, uint32_t mode, uint32_t device = 0);
  Answer Symlink(uint64_t parent, std::string_view name, std::string_view target);
  Answer Link(uint64_t node, uint64_t parent, std::string_view name);
  Answer Unlink(uint64_t parent, std::string_view name);
  Answer RemoveDirectory(uint64_t parent, std::string_view name);
  Answer Rename(uint64_t parent, std::string_view name, uint64_t new_parent, std::string_view new_name,
                uint32_t flags = 0);
  Answer Create(uint64_t parent, std::string_view name, uint32_t flags, uint32_t mode, uint32_t opcode = FUSE_CREATE);
  Answer Open(uint64_t node, uint32_t flags, uint32_t open_flags = 0);
  Answer Read(uint64_t node, uint64_t fh, uint64_t offset, uint32_t size, uint32_t opcode = FUSE_READ);
  Answer Write(uint64_t node, uint64_t fh, uint64_t offset, std::string_view data, uint32_t flags = 0,
               uint32_t write_flags = 0);
  Answer Release(uint64_t node, uint64_t fh);
  Answer OpenDirectory(uint64_t node);
  Answer SetXattr(uint64_t node, std::string_view name, std::string_view value, uint32_t flags = 0,
                  uint32_t setxattr_flags = 0);
  Answer GetXattr(uint64_t node, std::string_view name, uint32_t size = 1024);
  Answer ListXattrs(uint64_t node, uint32_t size = 1024);
  Answer RemoveXattr(uint64_t node, std::string_view name);

 private:
  FuseServer& server_;
  std::atomic<uint64_t> unique_ = 1;
};

}  // namespace kata::fsd
