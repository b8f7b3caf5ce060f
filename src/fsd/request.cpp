// SPDX-License-Identifier: Apache-2.0
#include "fsd/request.h"

#include <limits.h>

#include <algorithm>
#include <limits>

namespace kata::fsd {

size_t TotalLength(Iovecs parts) {
  size_t total = 0;
  for (const iovec& part : parts) {
    if (__builtin_add_overflow(total, part.iov_len, &total)) return std::numeric_limits<size_t>::max();
  }
  return total;
}

namespace {

// Calls use(memory, length) for each piece of [offset, offset + length). Returns how many bytes there were.
template <typename Use>
size_t ForEachPiece(Iovecs parts, size_t offset, size_t length, Use use) {
  size_t done = 0;
  for (const iovec& part : parts) {
    if (done == length) break;
    if (offset >= part.iov_len) {
      offset -= part.iov_len;
      continue;
    }
    const size_t piece = std::min(part.iov_len - offset, length - done);
    if (!use(static_cast<char*>(part.iov_base) + offset, piece)) break;
    done += piece;
    offset = 0;
  }
  return done;
}

}  // namespace

// Not inlined: a compiler that sees the source could read it a second time instead of keeping the copy.
[[gnu::noinline]] size_t CopyIn(Iovecs parts, size_t offset, void* to, size_t length) {
  char* next = static_cast<char*>(to);
  return ForEachPiece(parts, offset, length, [&next](const char* memory, size_t piece) {
    memcpy(next, memory, piece);
    next += piece;
    return true;
  });
}

size_t CopyOut(Iovecs parts, size_t offset, const void* from, size_t length) {
  const char* next = static_cast<const char*>(from);
  return ForEachPiece(parts, offset, length, [&next](char* memory, size_t piece) {
    memcpy(memory, next, piece);
    next += piece;
    return true;
  });
}

std::vector<iovec> Slice(Iovecs parts, size_t offset, size_t length) {
  std::vector<iovec> result;
  result.reserve(std::min<size_t>(parts.size(), IOV_MAX));
  ForEachPiece(parts, offset, length, [&result](char* memory, size_t piece) {
    if (result.size() == IOV_MAX) return false;
    result.push_back({memory, piece});
    return true;
  });
  return result;
}

bool Request::Read(Iovecs in) {
  in_ = in;
  if (CopyIn(in, 0, &header_, sizeof(header_)) != sizeof(header_)) return false;
  if (header_.len < sizeof(header_) || header_.len > TotalLength(in)) return true;
  size_t length = header_.len - sizeof(header_);
  if (header_.opcode == FUSE_WRITE) length = std::min(length, sizeof(fuse_write_in));
  if (length > kMaxRequest) return true;
  arguments_.resize(length);
  valid_ = CopyIn(in, sizeof(header_), arguments_.data(), length) == length;
  return true;
}

const char* Request::TakeString() {
  const size_t end = arguments_.find('\0', position_);
  if (end == std::string::npos) return nullptr;
  const char* result = arguments_.data() + position_;
  position_ = end + 1;
  return result;
}

bool Request::TakeBytes(size_t length, std::string_view* bytes) {
  if (left() < length) return false;
  *bytes = std::string_view(arguments_).substr(position_, length);
  position_ += length;
  return true;
}

std::vector<iovec> Request::Data(size_t length) const {
  constexpr size_t kBefore = sizeof(fuse_in_header) + sizeof(fuse_write_in);
  if (header_.len < kBefore || header_.len - kBefore < length) return {};
  return Slice(in_, kBefore, length);
}

std::vector<iovec> Reply::Direct(size_t length) const {
  return Slice(out_, sizeof(fuse_out_header), std::min(length, room()));
}

size_t Reply::Finish(int error) {
  if (total_ < sizeof(fuse_out_header)) return 0;
  if (error == 0 && body_.size() > room()) error = EIO;
  size_t length = sizeof(fuse_out_header);
  if (error == 0) {
    CopyOut(out_, length, body_.data(), body_.size());
    length += body_.empty() ? direct_ : body_.size();
  }
  const fuse_out_header header = {.len = static_cast<uint32_t>(length), .error = -error, .unique = unique_};
  CopyOut(out_, 0, &header, sizeof(header));
  return length;
}

}  // namespace kata::fsd
