// SPDX-License-Identifier: Apache-2.0
// FuseServer: what others do to the files, told to the guest (fuse_extensions.h).
#include "fsd/fuse_server_parts.h"

namespace kata::fsd {

Result<> FuseServer::StartWatcher(std::unique_ptr<HostChanges> changes) {
  if (!changes) return {};
  watcher_ = TRY(Watcher::Create(std::move(changes), proc_fds_.get(),
                                 [this](const Inode& inode) { return PathOf(inode).shared(); }, {}));
  return {};
}

int FuseServer::HostWatch(Request& request, Reply& /*reply*/) {
  HostWatchIn in;
  if (!request.Take(&in)) return EINVAL;
  if (!tells_events_) return ENOSYS;
  if (in.watched == 0) {
    watcher_->Unwatch(request.header().nodeid, in.sequence);
    return 0;
  }
  const auto inode = NodeOf(request);
  if (!inode) return ESTALE;
  return watcher_->Watch(inode, in.sequence);
}

int FuseServer::HostEvents(Request& /*request*/, Reply& reply) {
  if (!tells_events_) return ENOSYS;
  if (watcher_->ended()) return ECANCELED;
  reply.PutBytes(watcher_->Take(reply.room()));
  return 0;
}

int FuseServer::HostEventsEnd(Request& /*request*/, Reply& /*reply*/) {
  if (!tells_events_) return ENOSYS;
  watcher_->End();
  return 0;
}

bool FuseServer::MustWait(std::span<const iovec> in) const {
  fuse_in_header header = {};
  constexpr size_t kNeeded = offsetof(fuse_in_header, unique);
  if (CopyIn(in, 0, &header, kNeeded) != kNeeded || header.opcode != kHostEvents) return false;
  return ready_ && tells_events_ && !watcher_->Ready();
}

size_t FuseServer::AnswerEvents(std::span<const iovec> in, std::span<const iovec> out) {
  Request request;
  if (!request.Read(in)) return 0;
  Reply reply(out, request.header().unique);
  return reply.Finish(HostEvents(request, reply));
}

void FuseServer::OnEvents(std::function<void()> call) {
  if (watcher_) watcher_->OnReady(std::move(call));
}

}  // namespace kata::fsd
