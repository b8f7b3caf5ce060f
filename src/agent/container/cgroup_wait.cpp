// SPDX-License-Identifier: Apache-2.0
// The parts of cgroup.h that wait: until a cgroup is empty or frozen, and for OOM kills.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

#include "agent/container/cgroup.h"
#include "base/coroutine.h"
#include "base/files.h"

namespace kata::agent {

namespace {

struct Wait {
  Wait(const asio::any_io_executor& executor, int fd) : descriptor(executor, fd) {}
  asio::posix::stream_descriptor descriptor;
  bool late = false;
};

// Whether cgroup.events has the line "key value". The read also makes the next poll(2) of this descriptor wait for a
// later change.
Result<bool> EventIs(int fd, std::string_view key, bool value) {
  std::array<char, 256> text{};
  const ssize_t count = pread(fd, text.data(), text.size(), 0);
  if (count < 0) return FailErrno("cannot read cgroup.events");
  const std::string wanted = fmt::format("{} {}\n", key, value ? 1 : 0);
  return std::string_view(text.data(), static_cast<size_t>(count)).find(wanted) != std::string_view::npos;
}

asio::awaitable<Result<>> WaitEvent(asio::any_io_executor executor, int dirfd, std::string_view key, bool value,
                                    std::chrono::seconds limit) {
  const UniqueFd events(openat(dirfd, "cgroup.events", O_RDONLY | O_CLOEXEC));
  if (!events) co_return FailErrno("cannot open cgroup.events");
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (true) {
    CO_TRY_ASSIGN(const bool reached, EventIs(events.get(), key, value));
    if (reached) co_return Result<>();
    const auto left = std::chrono::ceil<std::chrono::seconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return Fail(Code::kDeadlineExceeded, "the cgroup did not reach \"{} {}\"", key, value);
    auto changed = co_await WaitChanged(executor, events.get(), left);
    if (!changed && changed.error().code() != Code::kDeadlineExceeded) co_return changed;
  }
}

}  // namespace

asio::awaitable<Result<>> WaitChanged(asio::any_io_executor executor, int fd, std::chrono::seconds limit) {
  // The reactor closes the descriptor that it is given, so it gets a duplicate.
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) co_return FailErrno("cannot duplicate a descriptor");
  // Shared with the timer's handler, which may run after this has returned.
  auto wait = std::make_shared<Wait>(executor, copy);
  asio::steady_timer timer(executor);
  if (limit != std::chrono::seconds::max()) {
    timer.expires_after(limit);
    timer.async_wait([wait](boost::system::error_code error) {
      if (error) return;
      wait->late = true;
      wait->descriptor.cancel(error);
    });
  }
  auto [error] = co_await wait->descriptor.async_wait(asio::posix::stream_descriptor::wait_error, kAwait);
  timer.cancel();
  if (wait->late) co_return Fail(Code::kDeadlineExceeded, "timed out");
  if (error) co_return FailWith(error.value(), "cannot wait for a cgroup");
  co_return Result<>();
}

asio::awaitable<Result<>> Cgroup::Freeze(asio::any_io_executor executor, bool frozen,
                                         std::chrono::seconds limit) const {
  CO_TRY(Write("cgroup.freeze", frozen ? "1" : "0"));
  co_return co_await WaitEvent(executor, fd(), "frozen", frozen, limit);
}

asio::awaitable<Result<>> Cgroup::Remove(asio::any_io_executor executor, std::chrono::seconds limit) const {
  CO_TRY(SignalAll(SIGKILL));
  CO_TRY(co_await WaitEvent(executor, fd(), "populated", /*value=*/false, limit));
  co_return RemoveDirectories();
}

struct OomWatch::State {
  explicit State(const asio::any_io_executor& executor) : descriptor(executor) {}
  asio::posix::stream_descriptor descriptor;
  uint64_t seen = 0;
  bool cancelled = false;
};

asio::awaitable<Result<>> OomWatch::Wait(asio::any_io_executor executor, const Cgroup& cgroup) {
  if (!state_) {
    const int fd = openat(cgroup.fd(), "memory.events", O_RDONLY | O_CLOEXEC);
    if (fd < 0) co_return Fail(Code::kUnimplemented, "the guest has no memory controller");
    state_ = std::make_shared<State>(executor);
    state_->descriptor.assign(fd);
  }
  const auto state = state_;
  while (!state->cancelled) {
    std::array<char, 512> text{};
    const ssize_t count = pread(state->descriptor.native_handle(), text.data(), text.size(), 0);
    if (count < 0) break;
    const uint64_t kills = KeyOf({text.data(), static_cast<size_t>(count)}, "oom_kill").value_or(0);
    if (kills > state->seen) {
      state->seen = kills;
      co_return Result<>();
    }
    co_await state->descriptor.async_wait(asio::posix::stream_descriptor::wait_error, kAwait);
  }
  co_return Fail(Code::kNotFound, "the container is gone");
}

void OomWatch::Cancel() {
  if (!state_) return;
  state_->cancelled = true;
  boost::system::error_code ignored;
  state_->descriptor.cancel(ignored);
}

}  // namespace kata::agent
