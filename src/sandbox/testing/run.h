// SPDX-License-Identifier: Apache-2.0
// For tests: an event loop, a temporary directory, and waits for coroutines that only a hang exceeds.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/files.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox::testing {

namespace asio = boost::asio;

inline constexpr std::chrono::seconds kHang{60};

// Base of tests that run coroutines.
class LoopTest : public ::testing::Test {
 protected:
  LoopTest() { signal(SIGPIPE, SIG_IGN); }

  // Runs the loop until the coroutine has returned.
  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    std::optional<T> value;
    asio::co_spawn(io_, std::move(coroutine), [&](std::exception_ptr error, T result) {
      if (error) std::rethrow_exception(error);
      value.emplace(std::move(result));
    });
    RunUntil([&] { return value.has_value(); });
    return *std::move(value);
  }
  void Await(asio::awaitable<void> coroutine) {
    bool done = false;
    asio::co_spawn(io_, std::move(coroutine), [&](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
      done = true;
    });
    RunUntil([&] { return done; });
  }
  // Runs the loop until this is true; aborts after kHang.
  void RunUntil(const std::function<bool()>& condition) {
    auto deadline = std::chrono::steady_clock::now() + kHang;
    while (!condition()) {
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(20));
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "hangs";
        std::abort();
      }
    }
  }

  asio::io_context io_;
};

// A directory that is removed with this object.
class TempDir {
 public:
  TempDir() {
    std::string name = ::testing::TempDir() + "kata-sandbox-XXXXXX";
    path_ = mkdtemp(name.data());
    fd_ = UniqueFd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::string path = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    EXPECT_TRUE(WriteAll(file.get(), text));
    return path;
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

struct FdPair {
  UniqueFd first;   // a pipe's reading end
  UniqueFd second;  // a pipe's writing end
};
inline FdPair Pipe() {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}
inline FdPair SocketPair(int type = SOCK_STREAM) {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// What can be read without waiting.
inline std::string ReadAvailable(int fd) {
  std::string all;
  char buffer[65536];
  int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;) all.append(buffer, static_cast<size_t>(got));
  fcntl(fd, F_SETFL, flags);
  return all;
}

}  // namespace kata::sandbox::testing
