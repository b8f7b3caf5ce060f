// SPDX-License-Identifier: Apache-2.0
// One FUSE request as it is read out of the guest's memory, and the reply as it is written there.
//
// The guest may change its memory at any time. So a Request copies each byte once, before anything is checked, and
// nobody looks at guest memory again; only the data of READ and WRITE stay there, which no decision depends on.
#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kata::fsd {

using Iovecs = std::span<const iovec>;

// The largest request without the data of a WRITE: the value and the name of an extended attribute, or a list of
// forgets.
inline constexpr size_t kMaxRequest = 68UL << 10U;

// The bytes of all parts together; saturates.
size_t TotalLength(Iovecs parts);
// Copies up to length bytes that begin at offset out of the parts. Returns how many there were.
size_t CopyIn(Iovecs parts, size_t offset, void* to, size_t length);
// Copies up to length bytes into the parts, from offset on. Returns how many found room.
size_t CopyOut(Iovecs parts, size_t offset, const void* from, size_t length);
// The parts' bytes [offset, offset + length), at most as many as one system call takes (IOV_MAX parts).
std::vector<iovec> Slice(Iovecs parts, size_t offset, size_t length);

// A request: its header, and what follows it in the order in which the Take functions are called.
class Request {
 public:
  // Copies the request; of a WRITE only what comes before the data. False: there is not even a header.
  // What is wrong otherwise (a length that is not true, a request that is too long) shows in valid().
  bool Read(Iovecs in);

  // Lets the arguments be taken once more. They are those that were copied.
  void Rewind() { position_ = 0; }

  const fuse_in_header& header() const { return header_; }
  bool valid() const { return valid_; }
  // How many bytes of arguments are left.
  size_t left() const { return arguments_.size() - position_; }

  // Takes a structure. False: there are not enough bytes.
  template <typename T>
  bool Take(T* value) {
    return TakePart(value, sizeof(T));
  }
  // Takes the first `size` bytes of a structure, whose rest becomes zero: for structures that have grown.
  template <typename T>
  bool TakePart(T* value, size_t size) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (size > sizeof(T) || left() < size) return false;
    memset(value, 0, sizeof(T));
    memcpy(value, arguments_.data() + position_, size);
    position_ += size;
    return true;
  }
  // Takes a string that ends with NUL; lives as long as the request. nullptr: there is no NUL.
  const char* TakeString();
  // Takes bytes. False: there are not enough.
  bool TakeBytes(size_t length, std::string_view* bytes);

  // The data of a WRITE, in guest memory: at most `length` bytes. Empty: there are fewer.
  std::vector<iovec> Data(size_t length) const;

 private:
  Iovecs in_;
  fuse_in_header header_ = {};
  bool valid_ = false;
  std::string arguments_;
  size_t position_ = 0;
};

// The reply: a header, and a body that is either collected with Put or written in place by a system call.
class Reply {
 public:
  Reply(Iovecs out, uint64_t unique) : out_(out), unique_(unique), total_(TotalLength(out)) {}

  // How many bytes of a body the guest has room for.
  size_t room() const { return total_ < sizeof(fuse_out_header) ? 0 : total_ - sizeof(fuse_out_header); }

  template <typename T>
  void Put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    body_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void PutBytes(std::string_view bytes) { body_.append(bytes); }
  size_t size() const { return body_.size(); }

  // The guest's memory for a body of up to length bytes; SetDirect says how many were written there.
  std::vector<iovec> Direct(size_t length) const;
  void SetDirect(size_t written) { direct_ = written; }

  // Writes the header, and the body if error is 0. Returns the length of the reply; 0: there is no room for a header.
  // A body for which there is no room becomes the error EIO.
  size_t Finish(int error);

 private:
  Iovecs out_;
  uint64_t unique_;
  size_t total_;
  std::string body_;
  size_t direct_ = 0;
};

}  // namespace kata::fsd
