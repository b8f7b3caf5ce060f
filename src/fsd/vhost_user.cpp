// SPDX-License-Identifier: Apache-2.0
#include "fsd/vhost_user.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <malloc.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "fsd/virtqueue_layout.h"

namespace kata::fsd {

namespace {

constexpr uint64_t Bit(unsigned number) { return uint64_t{1} << number; }

constexpr uint64_t kProtocolFeatures = Bit(30);  // VHOST_USER_F_PROTOCOL_FEATURES
constexpr uint64_t kIndirect = Bit(VIRTIO_RING_F_INDIRECT_DESC);
constexpr uint64_t kEventIndex = Bit(VIRTIO_RING_F_EVENT_IDX);
constexpr uint64_t kFeatures = Bit(VIRTIO_F_VERSION_1) | kIndirect | kEventIndex | kProtocolFeatures;

constexpr uint64_t kMultiQueue = Bit(0);    // VHOST_USER_PROTOCOL_F_MQ
constexpr uint64_t kReplyAck = Bit(3);      // VHOST_USER_PROTOCOL_F_REPLY_ACK
constexpr uint64_t kMemorySlots = Bit(15);  // VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS
constexpr uint64_t kOffered = kMultiQueue | kReplyAck | kMemorySlots;

// So many requests more may wait for what does not answer before the others wait, too.
constexpr unsigned kSpares = 14;

MemoryRegion RegionOf(const RegionDescription& description) {
  return {description.guest_address, description.size, description.user_address, description.file_offset};
}

// An eventfd of the VMM's, which is full or empty at times when this process must not wait for it.
Result<> MakeNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return FailErrno("cannot use a descriptor of the VMM");
  return {};
}

}  // namespace

VhostUser::VhostUser() : memory_(std::make_shared<const GuestMemory>()) {
  for (size_t i = 0; i < kQueues; ++i) queues_.emplace_back(fmt::format("queue {}", i));
}

VhostUser::~VhostUser() = default;

Result<std::unique_ptr<VhostUser>> VhostUser::Create(Options options) {
  std::unique_ptr<VhostUser> device(new VhostUser());
  // So that this process does not seem to have all memory of the guest that it has ever seen.
  const auto let_go = [self = device.get()] {
    std::shared_ptr<const GuestMemory> memory;
    {
      const std::scoped_lock lock(self->memory_mutex_);
      memory = self->memory_;
    }
    memory->LetGo();
    malloc_trim(0);
  };
  Workers::Options first = {.threads = 1, .handler = options.handler};
  first.queues = {&device->queues_.front().ring};
  Workers::Options others = {.threads = std::max(options.threads, 1U), .handler = options.handler, .tidy = let_go};
  others.spares = kSpares;
  // A guest that knows of it (kInitLooksForForgets) does not notify of each FORGET, and finds the space of the files
  // that it has removed free nevertheless.
  others.first = &device->queues_.front().ring;
  device->late_ = options.late;
  device->memory_size_ = std::move(options.memory);
  if (options.late != nullptr) {
    others.keep = [late = options.late](Virtqueue& queue, Chain& chain) { return late->Keep(queue, chain); };
  }
  for (size_t i = 1; i < kQueues; ++i) others.queues.push_back(&device->queues_[i].ring);
  device->first_workers_ = TRY(Workers::Start(std::move(first)));
  device->workers_ = TRY(Workers::Start(std::move(others)));
  for (Queue& queue : device->queues_) queue.workers = device->workers_.get();
  device->queues_.front().workers = device->first_workers_.get();
  return device;
}

Result<> VhostUser::Serve(UniqueFd connection) {
  connection_ = std::move(connection);
  protocol_features_ = 0;
  const auto serve = [&]() -> Result<> {
    Message message;
    while (TRY(Receive(connection_.get(), message))) TRY(Handle(message));
    return {};
  };
  Result<> result = serve();
  for (Queue& queue : queues_) StopQueue(queue);
  UseMemory({});
  connection_.Reset();
  return result;
}

// Carries a request out, and answers it. An error is one that the front end is not told.
Result<> VhostUser::Handle(Message& message) {
  bool answered = false;
  TRY(Answer(message, answered));
  if (answered) return {};
  Result<> result = Context(Act(message), "request {} of the VMM", static_cast<uint32_t>(message.request));
  if (!message.need_reply || (protocol_features_ & kReplyAck) == 0) return result;
  if (!result) log::Warn("{}", result.error().message());
  return SendReply(connection_.get(), message.request, uint64_t{result ? 0U : 1U});
}

// The requests that have answers of their own.
Result<> VhostUser::Answer(Message& message, bool& answered) {
  const auto answer = [&](uint64_t value) {
    answered = true;
    return SendReply(connection_.get(), message.request, value);
  };
  switch (message.request) {
    case MessageType::kGetFeatures:
      return answer(kFeatures);
    case MessageType::kGetProtocolFeatures:
      return answer(kOffered);
    case MessageType::kGetQueueNum:
      return answer(kQueues);
    case MessageType::kGetMaxMemSlots:
      return answer(GuestMemory::kMaxRegions);
    case MessageType::kGetVringBase: {
      auto state = TRY(message.As<VringState>());
      Queue* queue = TRY(QueueAt(state.index));
      state.number = StopQueue(*queue);
      answered = true;
      return SendReply(connection_.get(), message.request, state);
    }
    default:
      return {};
  }
}

// The requests that only succeed or fail.
Result<> VhostUser::Act(Message& message) {
  switch (message.request) {
    case MessageType::kSetOwner:
      return {};
    case MessageType::kResetOwner:
      for (Queue& queue : queues_) queue.ring.SetEnabled(/*enabled=*/false);
      return {};
    case MessageType::kSetFeatures:
      return SetFeatures(TRY(message.As<uint64_t>()));
    case MessageType::kSetProtocolFeatures:
      return SetProtocolFeatures(TRY(message.As<uint64_t>()));
    case MessageType::kSetMemTable:
      return SetMemTable(message);
    case MessageType::kAddMemReg: {
      const auto payload = TRY(message.As<SingleRegion>());
      const UniqueFd file = TRY(message.TakeDescriptor());
      UseMemory(TRY(memory_->With(RegionOf(payload.region), file.get())));
      return {};
    }
    case MessageType::kRemMemReg: {
      // Older VMMs send a descriptor with it, which is closed with the message.
      const auto payload = TRY(message.As<SingleRegion>());
      UseMemory(TRY(memory_->Without(RegionOf(payload.region))));
      return {};
    }
    case MessageType::kSetVringNum: {
      const auto state = TRY(message.As<VringState>());
      return TRY(QueueAt(state.index))->ring.SetSize(state.number);
    }
    case MessageType::kSetVringAddr: {
      const auto addresses = TRY(message.As<VringAddresses>());
      TRY(QueueAt(addresses.index))->ring.SetAddresses({addresses.descriptors, addresses.available, addresses.used});
      return {};
    }
    case MessageType::kSetVringBase: {
      const auto state = TRY(message.As<VringState>());
      return TRY(QueueAt(state.index))->ring.SetBase(state.number);
    }
    case MessageType::kSetVringKick:
      return SetKick(message);
    case MessageType::kSetVringCall: {
      Event event = TRY(TakeEvent(message));
      event.queue->ring.SetCall(std::move(event.event));
      return {};
    }
    case MessageType::kSetVringErr: {
      Event event = TRY(TakeEvent(message));
      event.queue->ring.SetError(std::move(event.event));
      return {};
    }
    case MessageType::kSetVringEnable: {
      const auto state = TRY(message.As<VringState>());
      Queue* queue = TRY(QueueAt(state.index));
      queue->ring.SetEnabled(state.number != 0);
      // For the requests that came before.
      queue->workers->Wake();
      return {};
    }
    default:
      return Fail(Code::kUnimplemented, "it was not offered");
  }
}

Result<> VhostUser::SetFeatures(uint64_t features) {
  if ((features & ~kFeatures) != 0) {
    return Fail(Code::kInvalidArgument, "features {:#x} were not offered", features & ~kFeatures);
  }
  for (Queue& queue : queues_) {
    queue.ring.SetFeatures((features & kIndirect) != 0, (features & kEventIndex) != 0);
    // Only with the protocol's features is there a message that enables a ring.
    if ((features & kProtocolFeatures) == 0) queue.ring.SetEnabled(/*enabled=*/true);
  }
  return {};
}

Result<> VhostUser::SetProtocolFeatures(uint64_t features) {
  if ((features & ~kOffered) != 0) {
    return Fail(Code::kInvalidArgument, "protocol features {:#x} were not offered", features & ~kOffered);
  }
  protocol_features_ = features;
  return {};
}

Result<> VhostUser::SetMemTable(Message& message) {
  const MemTable table = TRY(message.AsMemTable());
  GuestMemory memory;
  for (size_t i = 0; i < table.count; ++i) {
    memory = TRY(memory.With(RegionOf(table.regions[i]), message.descriptors[i].get()));
  }
  UseMemory(std::move(memory));
  return {};
}

void VhostUser::UseMemory(GuestMemory memory) {
  if (memory_size_) memory_size_(memory.size());
  auto shared = std::make_shared<const GuestMemory>(std::move(memory));
  for (Queue& queue : queues_) queue.ring.SetMemory(shared);
  const std::scoped_lock lock(memory_mutex_);
  memory_ = std::move(shared);
}

Result<VhostUser::Queue*> VhostUser::QueueAt(uint64_t index) {
  if (index >= queues_.size()) return Fail(Code::kInvalidArgument, "queue {} of {}", index, queues_.size());
  return &queues_[index];
}

Result<VhostUser::Event> VhostUser::TakeEvent(Message& message) {
  const auto payload = TRY(message.As<uint64_t>());
  Event event = {TRY(QueueAt(payload & Message::kIndexMask)), UniqueFd()};
  if ((payload & Message::kNoDescriptor) != 0) return event;
  event.event = TRY(message.TakeDescriptor());
  TRY(MakeNonBlocking(event.event.get()));
  return event;
}

// The ring starts here, and not with the first notification: the requests that a guest made before it are served, too.
Result<> VhostUser::SetKick(Message& message) {
  Event event = TRY(TakeEvent(message));
  if (!event.event) return Fail(Code::kUnimplemented, "a queue without notifications");
  Queue& queue = *event.queue;
  TRY(queue.workers->Watch(event.event.get()));
  if (queue.kick) queue.workers->Unwatch(queue.kick.get());
  queue.kick = std::move(event.event);
  if (late_ != nullptr) late_->Open();
  queue.ring.Start();
  queue.workers->Wake();
  return {};
}

uint16_t VhostUser::StopQueue(Queue& queue) {
  if (queue.kick) queue.workers->Unwatch(queue.kick.get());
  queue.kick.Reset();
  if (late_ != nullptr) late_->Close();
  return queue.ring.Stop();
}

}  // namespace kata::fsd
