// SPDX-License-Identifier: Apache-2.0
// kata-fsd: serves one directory of the host to one guest, as the back end of a virtio-fs device (docs/kata-fsd.md).
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <span>
#include <utility>

#include "base/log.h"
#include "fsd/confine.h"
#include "fsd/fuse_server.h"
#include "fsd/host_changes.h"
#include "fsd/late_requests.h"
#include "fsd/options.h"
#include "fsd/vhost_user.h"

namespace kata::fsd {

namespace {

constexpr int kUsageError = 2;

// Added to this process's pid it is a user that no other process has: the host limits fanotify groups for each user
// (HostChanges). QEMU's users are from the same range (hypervisor/vmm_user.cpp).
constexpr uint32_t kFirstUser = 1880000000;

// A thread's stack. Below the size of a huge page, of which the kernel would make one at the first touch.
constexpr size_t kStack = 512 << 10;

// One arena, and what is freed goes back to the kernel soon: there is a process of this kind for each VM.
void TuneMemory() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 10);
  ::mallopt(M_TOP_PAD, 16 << 10);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

// What the starter's limits would do to the files of a guest. Needs CAP_SYS_RESOURCE where the hard limit is lower.
Result<> SetLimits(const Options& options) {
  umask(0);
  rlimit size = {RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_FSIZE, &size) != 0 && getrlimit(RLIMIT_FSIZE, &size) == 0) {
    size.rlim_cur = size.rlim_max;
    (void)setrlimit(RLIMIT_FSIZE, &size);
  }
  // Beyond such a limit a write is to fail, and not to end the process. So is an answer to a VMM that is gone.
  (void)signal(SIGXFSZ, SIG_IGN);
  (void)signal(SIGPIPE, SIG_IGN);
  if (options.max_files == 0) return {};
  const rlimit files = {options.max_files, options.max_files};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) return FailErrno("--rlimit-nofile={}: cannot set it", options.max_files);
  return {};
}

FuseServer::Options ServerOptions(const Options& options, UniqueFd proc_self) {
  FuseServer::Options result;
  result.cache = options.cache;
  result.timeout = options.timeout;
  result.announce_submounts = options.announce_submounts;
  result.readdirplus = options.readdirplus;
  result.proc_self = std::move(proc_self);
  return result;
}

// Without it the server is as good, but for what it cannot tell.
std::unique_ptr<HostChanges> OpenChanges(uint32_t user) {
  auto changes = HostChanges::Open(user);
  if (changes) return *std::move(changes);
  log::Warn("the guest is not told what others do to its files: {}", changes.error().message());
  return nullptr;
}

// In the process that serves. Nothing that a guest has sent is read before it is confined.
Result<> Serve(const Options& options, UniqueFd listener, uint32_t user) {
  TRY(SetLimits(options));
  View view = TRY(EnterRoot(options.source));
  TRY(DropCapabilities());
  FuseServer::Options server_options = ServerOptions(options, std::move(view.proc_self));
  server_options.changes = OpenChanges(user);
  std::unique_ptr<FuseServer> server;
  LateRequests late({.must_wait = [&](auto in) { return server->MustWait(in); },
                     .answer = [&](auto in, auto out) { return server->AnswerEvents(in, out); }});
  server = TRY(FuseServer::Create(std::move(view.root), std::move(server_options)));
  // It goes before the server, one of whose threads calls it.
  const std::unique_ptr<FuseServer, void (*)(FuseServer*)> calls(server.get(), [](auto* of) { of->OnEvents({}); });
  server->OnEvents([&] { late.Answer(); });
  VhostUser::Options device = {.handler = [&](auto in, auto out) { return server->Handle(in, out); }};
  device.threads = options.threads;
  device.late = &late;
  device.memory = [&](uint64_t bytes) { server->SetGuestMemory(bytes); };
  const std::unique_ptr<VhostUser> back_end = TRY(VhostUser::Create(std::move(device)));
  UniqueFd connection(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return FailErrno("cannot accept the VMM's connection");
  listener.Reset();
  TRY(FilterSystemCalls());
  malloc_trim(0);
  return back_end->Serve(std::move(connection));
}

int Main(std::span<char* const> words) {
  const auto options = ParseOptions(words);
  if (!options) {
    (void)fprintf(stderr, "kata-fsd: %s\n", options.error().message().c_str());
    return kUsageError;
  }
  if (options->version) {
    (void)printf("kata-fsd %s\n", KATA_VERSION);
    return 0;
  }
  TuneMemory();
  log::SetLevel(options->level);
  const uint32_t user = kFirstUser + static_cast<uint32_t>(getpid());
  RunInNamespaces(options->listener, [&](UniqueFd listener) {
    const auto served = Serve(*options, std::move(listener), user);
    if (served) return 0;
    (void)fprintf(stderr, "kata-fsd: %s\n", served.error().message().c_str());
    return 1;
  });
}

}  // namespace

}  // namespace kata::fsd

int main(int argc, char** argv) {
  const std::span<char* const> words(argv, static_cast<size_t>(argc));
  return kata::fsd::Main(words.empty() ? words : words.subspan(1));
}
