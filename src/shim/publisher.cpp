// SPDX-License-Identifier: Apache-2.0
#include "shim/publisher.h"

#include <time.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/coroutine.h"
#include "base/log.h"
#include "rpc/unix_socket.h"

namespace kata::shim {
namespace {

using sandbox::kExitTopic;
using sandbox::kOomTopic;
using std::chrono::milliseconds;

constexpr char kEventsService[] = "containerd.services.events.ttrpc.v1.Events";
constexpr char kUnixScheme[] = "unix://";
constexpr milliseconds kForwardTime{5000};
// The pause between two attempts, for example while containerd restarts.
constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{1000};

}  // namespace

Publisher::Publisher(const asio::any_io_executor& executor, std::string address, std::string namespace_name,
                     sandbox::MountNamespaces mounts)
    : executor_(executor),
      address_(address.starts_with(kUnixScheme) ? address.substr(sizeof kUnixScheme - 1) : std::move(address)),
      namespace_name_(std::move(namespace_name)),
      mounts_(std::move(mounts)),
      empty_(executor) {}

void Publisher::Publish(sandbox::TaskEvent event) {
  log::Debug("event {} ({})", event.topic, event.type);
  if (address_.empty()) return;
  if (waiting_.size() >= kMaxWaiting && !MakeRoom(event.topic)) return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  auto& envelope = *waiting_.emplace_back().mutable_envelope();
  envelope.mutable_timestamp()->set_seconds(now.tv_sec);
  envelope.mutable_timestamp()->set_nanos(static_cast<int32_t>(now.tv_nsec));
  envelope.set_namespace_(namespace_name_);
  envelope.set_topic(std::move(event.topic));
  envelope.mutable_event()->set_type_url(std::move(event.type));
  envelope.mutable_event()->set_value(std::move(event.payload));
  if (!std::exchange(delivering_, true)) asio::co_spawn(executor_, Deliver(shared_from_this()), asio::detached);
}

// Makes room in a full queue for an event of this topic. Returns false if the new event is to be dropped.
bool Publisher::MakeRoom(const std::string& topic) {
  // A guest can cause any number of OOM events, but only as many exits as containerd has started processes: drop OOM
  // events first, and exits never.
  const auto oldest = [&](auto may_go) {
    return std::find_if(waiting_.begin(), waiting_.end(),
                        [&](const auto& each) { return may_go(each.envelope().topic()); });
  };
  auto victim = oldest([](const std::string& each) { return each == kOomTopic; });
  if (victim == waiting_.end() && topic != kOomTopic) {
    victim = oldest([](const std::string& each) { return each != kExitTopic; });
  }
  if (victim == waiting_.end()) {
    if (topic == kExitTopic) return true;
    log::Warn("containerd takes no events: {} is dropped", topic);
    return false;
  }
  log::Warn("containerd takes no events: the oldest {} is dropped", victim->envelope().topic());
  waiting_.erase(victim);
  return true;
}

asio::awaitable<void> Publisher::Deliver(std::shared_ptr<Publisher> self) {
  asio::steady_timer pause(self->executor_);
  milliseconds wait = kFirstPause;
  while (!self->waiting_.empty()) {
    // Taken out of the queue, because MakeRoom may drop events while this waits; put back if it was not delivered.
    auto request = std::move(self->waiting_.front());
    self->waiting_.pop_front();
    const auto done = co_await self->Forward(request);
    // An event that containerd refuses counts as delivered, since it would be refused again.
    if (done || done.error().code() != Code::kUnavailable) {
      if (!done) log::Warn("containerd does not take {}: {}", request.envelope().topic(), done.error().message());
      wait = kFirstPause;
      continue;
    }
    self->waiting_.push_front(std::move(request));
    log::Debug("containerd cannot be reached: {}", done.error().message());
    self->client_.reset();
    pause.expires_after(wait);
    co_await pause.async_wait(kAwait);
    wait = std::min(wait * 2, kLongestPause);
  }
  self->delivering_ = false;
  std::exchange(self->empty_, Event(self->executor_)).Happen();
}

asio::awaitable<Result<>> Publisher::Forward(containerd::services::events::ttrpc::v1::ForwardRequest request) {
  if (!client_ || client_->closed()) {
    auto socket = mounts_.OnHost([&] { return rpc::ConnectUnixPath(address_); });
    if (!socket) co_return Fail(Code::kUnavailable, "{}", socket.error().message());
    client_ = rpc::Client::Create(executor_, *std::move(socket));
  }
  auto answered = co_await client_->Call<wkt::Empty>(kEventsService, "Forward", request, kForwardTime);
  if (!answered && answered.error().code() == Code::kDeadlineExceeded) {
    co_return Fail(Code::kUnavailable, "{}", answered.error().message());
  }
  CO_TRY(answered);
  co_return Result<>();
}

asio::awaitable<void> Publisher::Flush(std::chrono::milliseconds timeout) {
  auto self = shared_from_this();
  Event empty = empty_;
  if (delivering_) co_await empty.WaitFor(timeout);
}

}  // namespace kata::shim
