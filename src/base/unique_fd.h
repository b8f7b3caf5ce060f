// SPDX-License-Identifier: Apache-2.0
// An owned file descriptor, which the destructor closes. It can be moved but not copied.
#pragma once

#include <unistd.h>

#include <utility>

namespace kata {

// Owns at most one descriptor. All code of this project opens descriptors with close-on-exec; only Spawn and Fork
// (child.h) clear it, in the child.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  // The descriptor, or -1. This object keeps owning it.
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  explicit operator bool() const { return valid(); }

  // Gives up ownership: the caller must close the returned descriptor.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }

  // Closes the descriptor, then takes ownership of fd.
  void Reset(int fd = -1) {
    // close(2) releases the descriptor even if it fails with EINTR: a second close could hit somebody else's
    // descriptor.
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace kata
