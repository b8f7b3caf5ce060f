// SPDX-License-Identifier: Apache-2.0
#include "runtime/await_resume.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"

namespace kata::runtime {
namespace {

Result<> Forget(int watch) {
  alignas(inotify_event) std::array<char, 4096> events{};
  while (read(watch, events.data(), events.size()) > 0) {
  }
  if (errno != EAGAIN) return FailErrno("cannot read what happens in the container's directory");
  return {};
}

}  // namespace

Result<> AwaitResume(Record& record, const Interrupts& interrupts) {
  if (record.status() != sandbox::Status::kPaused) return {};
  log::Debug("{} is paused: waiting until it is resumed", record.id);
  const UniqueFd watch(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  // IN_MOVED_TO: the sandbox process replaces state.json atomically. IN_DELETE: `delete` removes it.
  if (!watch || inotify_add_watch(watch.get(), FdPath(record.directory.get()).c_str(),
                                  IN_MOVED_TO | IN_DELETE | IN_ONLYDIR) < 0) {
    return FailErrno("cannot watch the container's directory");
  }
  // The death of the sandbox process changes nothing in the directory, so watch the process as well.
  const auto sandbox = OpenPidfd(record.state.sandbox.pid);
  // The state is read after the watch is set, so that no change is missed.
  for (;;) {
    record.state = TRY(sandbox::LoadState(record.directory.get()));
    if (record.status() != sandbox::Status::kPaused) return {};
    pollfd waits[] = {{.fd = watch.get(), .events = POLLIN, .revents = 0},
                      {.fd = sandbox ? sandbox->get() : -1, .events = POLLIN, .revents = 0},
                      {.fd = interrupts.fd(), .events = POLLIN, .revents = 0}};
    if (poll(waits, 3, -1) < 0 && errno != EINTR) return FailErrno("cannot wait for the container");
    if (waits[2].revents != 0) return Fail(Code::kCancelled, "interrupted by signal {}", interrupts.Next());
    TRY(Forget(watch.get()));
  }
}

}  // namespace kata::runtime
