// SPDX-License-Identifier: Apache-2.0
// An owned file descriptor: closed when it goes, moved and never copied, and no int by accident.
#pragma once

#include <unistd.h>

#include <utility>

namespace kata {

// Owns at most one descriptor. Everything that makes one sets close-on-exec; only Spawn (child.h)
// clears it, in the child, after fork.
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

  // The number, or -1; still owned here.
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  explicit operator bool() const { return valid(); }

  // Gives the number up to the caller, who must close it.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }

  // Closes what is held, then holds fd.
  void Reset(int fd = -1) {
    // close(2): the descriptor is gone even when it answers EINTR, so it is never tried again.
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace kata
