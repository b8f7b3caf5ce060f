// SPDX-License-Identifier: Apache-2.0
#include "fsd/fuse_guest_fixture.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace kata::fsd {
namespace {

// Memory in pieces, as a guest's is. Each is an allocation of its own, so that a sanitizer sees what goes beyond.
class Pieces {
 public:
  explicit Pieces(std::string_view bytes) : Pieces(bytes.size()) {
    size_t done = 0;
    for (const iovec& part : parts_) {
      memcpy(part.iov_base, bytes.data() + done, part.iov_len);
      done += part.iov_len;
    }
  }
  explicit Pieces(size_t length) {
    // The headers are pieces of their own, then come pages.
    for (size_t size : {size_t{16}, size_t{24}, size_t{40}}) Add(std::min(size, length), &length);
    while (length > 0) Add(std::min<size_t>(length, 4096), &length);
  }
  std::span<const iovec> parts() const { return parts_; }
  std::string Text(size_t length) const {
    std::string text(length, '\0');
    text.resize(CopyIn(parts_, 0, text.data(), length));
    return text;
  }

 private:
  void Add(size_t size, size_t* length) {
    if (size == 0) return;
    memory_.push_back(std::make_unique<char[]>(size));
    parts_.push_back({memory_.back().get(), size});
    *length -= size;
  }
  std::vector<std::unique_ptr<char[]>> memory_;
  std::vector<iovec> parts_;
};

}  // namespace

Answer FuseGuest::Send(std::string bytes, size_t room) {
  const Pieces in(bytes);
  const Pieces out(room);
  Answer answer;
  answer.length = server_.Handle(in.parts(), out.parts());
  const std::string text = out.Text(answer.length);
  if (text.size() < sizeof(answer.header)) return answer;
  memcpy(&answer.header, text.data(), sizeof(answer.header));
  answer.error = -answer.header.error;
  answer.body = text.substr(sizeof(answer.header));
  return answer;
}

Answer FuseGuest::Call(uint32_t opcode, uint64_t node, const std::string& arguments, size_t room) {
  fuse_in_header header = {};
  header.len = static_cast<uint32_t>(sizeof(header) + arguments.size());
  header.opcode = opcode;
  header.unique = unique_++;
  header.nodeid = node;
  header.uid = uid;
  header.gid = gid;
  header.pid = 1;
  return Send(Struct(header) + arguments, sizeof(fuse_out_header) + room);
}

Answer FuseGuest::Init(uint64_t flags) {
  fuse_init_in in = {};
  in.major = FUSE_KERNEL_VERSION;
  in.minor = FUSE_KERNEL_MINOR_VERSION;
  in.max_readahead = 131072;
  in.flags = static_cast<uint32_t>(flags);
  in.flags2 = static_cast<uint32_t>(flags >> 32U);
  Answer answer = Call(FUSE_INIT, 0, Struct(in));
  agreed = answer.As<fuse_init_out>();
  return answer;
}

Answer FuseGuest::Lookup(uint64_t parent, std::string_view name) { return Call(FUSE_LOOKUP, parent, Name(name)); }

uint64_t FuseGuest::Walk(std::string_view path) {
  uint64_t node = FUSE_ROOT_ID;
  while (!path.empty() && node != 0) {
    const size_t end = std::min(path.find('/'), path.size());
    node = Lookup(node, path.substr(0, end)).As<fuse_entry_out>().nodeid;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return node;
}

void FuseGuest::Forget(uint64_t node, uint64_t count) { Call(FUSE_FORGET, node, Struct(fuse_forget_in{count}), 0); }

fuse_attr FuseGuest::Attributes(uint64_t node) {
  return Call(FUSE_GETATTR, node, Struct(fuse_getattr_in{})).As<fuse_attr_out>().attr;
}

Answer FuseGuest::SetAttributes(uint64_t node, const fuse_setattr_in& in) {
  return Call(FUSE_SETATTR, node, Struct(in));
}

Answer FuseGuest::MakeDirectory(uint64_t parent, std::string_view name, uint32_t mode) {
  return Call(FUSE_MKDIR, parent, Struct(fuse_mkdir_in{mode, umask}) + Name(name));
}

Answer FuseGuest::MakeNode(uint64_t parent, std::string_view name, uint32_t mode, uint32_t device) {
  return Call(FUSE_MKNOD, parent, Struct(fuse_mknod_in{mode, device, umask, 0}) + Name(name));
}

Answer FuseGuest::Symlink(uint64_t parent, std::string_view name, std::string_view target) {
  return Call(FUSE_SYMLINK, parent, Name(name) + Name(target));
}

Answer FuseGuest::Link(uint64_t node, uint64_t parent, std::string_view name) {
  return Call(FUSE_LINK, parent, Struct(fuse_link_in{node}) + Name(name));
}

Answer FuseGuest::Unlink(uint64_t parent, std::string_view name) { return Call(FUSE_UNLINK, parent, Name(name)); }

Answer FuseGuest::RemoveDirectory(uint64_t parent, std::string_view name) {
  return Call(FUSE_RMDIR, parent, Name(name));
}

Answer FuseGuest::Rename(uint64_t parent, std::string_view name, uint64_t new_parent, std::string_view new_name,
                         uint32_t flags) {
  if (flags == 0) return Call(FUSE_RENAME, parent, Struct(fuse_rename_in{new_parent}) + Name(name) + Name(new_name));
  return Call(FUSE_RENAME2, parent, Struct(fuse_rename2_in{new_parent, flags, 0}) + Name(name) + Name(new_name));
}

Answer FuseGuest::Create(uint64_t parent, std::string_view name, uint32_t flags, uint32_t mode, uint32_t opcode) {
  return Call(opcode, parent, Struct(fuse_create_in{flags, mode, umask, 0}) + Name(name));
}

Answer FuseGuest::Open(uint64_t node, uint32_t flags, uint32_t open_flags) {
  return Call(FUSE_OPEN, node, Struct(fuse_open_in{flags, open_flags}));
}

Answer FuseGuest::Read(uint64_t node, uint64_t fh, uint64_t offset, uint32_t size, uint32_t opcode) {
  fuse_read_in in = {};
  in.fh = fh;
  in.offset = offset;
  in.size = size;
  return Call(opcode, node, Struct(in), size);
}

Answer FuseGuest::Write(uint64_t node, uint64_t fh, uint64_t offset, std::string_view data, uint32_t flags,
                        uint32_t write_flags) {
  fuse_write_in in = {};
  in.fh = fh;
  in.offset = offset;
  in.size = static_cast<uint32_t>(data.size());
  in.flags = flags;
  in.write_flags = write_flags;
  return Call(FUSE_WRITE, node, Struct(in) + Bytes(data));
}

Answer FuseGuest::Release(uint64_t node, uint64_t fh) {
  fuse_release_in in = {};
  in.fh = fh;
  return Call(FUSE_RELEASE, node, Struct(in));
}

Answer FuseGuest::OpenDirectory(uint64_t node) { return Call(FUSE_OPENDIR, node, Struct(fuse_open_in{})); }

Answer FuseGuest::SetXattr(uint64_t node, std::string_view name, std::string_view value, uint32_t flags,
                           uint32_t setxattr_flags) {
  const fuse_setxattr_in in = {static_cast<uint32_t>(value.size()), flags, setxattr_flags, 0};
  return Call(FUSE_SETXATTR, node, Struct(in) + Name(name) + Bytes(value));
}

Answer FuseGuest::GetXattr(uint64_t node, std::string_view name, uint32_t size) {
  return Call(FUSE_GETXATTR, node, Struct(fuse_getxattr_in{size, 0}) + Name(name), size == 0 ? 16 : size);
}

Answer FuseGuest::ListXattrs(uint64_t node, uint32_t size) {
  return Call(FUSE_LISTXATTR, node, Struct(fuse_getxattr_in{size, 0}), size == 0 ? 16 : size);
}

Answer FuseGuest::RemoveXattr(uint64_t node, std::string_view name) { return Call(FUSE_REMOVEXATTR, node, Name(name)); }

}  // namespace kata::fsd
