// SPDX-License-Identifier: Apache-2.0
#include "fsd/vhost_user_workers.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cstdint>
#include <system_error>

#include "fsd/eventfd.h"

namespace kata::fsd {

namespace {

// Without a request for so long, or after so long with requests, it is time to tidy up.
constexpr std::chrono::milliseconds kQuiet{2000};
constexpr std::chrono::milliseconds kLongest{10000};
// How long a request may wait for a thread before there is one more.
constexpr std::chrono::milliseconds kPatience{100};

}  // namespace

Result<std::unique_ptr<Workers>> Workers::Start(Options options) {
  std::unique_ptr<Workers> workers(new Workers(std::move(options)));
  workers->epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  workers->wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!workers->epoll_ || !workers->wake_) return FailErrno("cannot wait for events");
  TRY(workers->Watch(workers->wake_.get()));
  try {
    for (unsigned i = 0; i < workers->options_.threads; ++i) {
      workers->threads_.emplace_back([pool = workers.get()] { pool->Run(/*spare=*/false); });
    }
    // Made before system calls are filtered, since none may be made later.
    for (unsigned i = 0; i < workers->options_.spares; ++i) {
      workers->threads_.emplace_back([pool = workers.get()] { pool->RunSpare(); });
    }
  } catch (const std::system_error& error) {
    return FailWith(error.code().value(), "cannot start a thread");
  }
  return workers;
}

Workers::~Workers() {
  {
    const std::lock_guard lock(spare_mutex_);
    ending_ = true;
  }
  spare_.notify_all();
  Wake();
  for (std::thread& thread : threads_) thread.join();
}

Result<> Workers::Watch(int kick) {
  // Edge-triggered: each write to the eventfd wakes one of the threads, and none has to read it.
  epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.fd = kick}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, kick, &event) != 0) return FailErrno("cannot wait for notifications");
  return {};
}

void Workers::Unwatch(int kick) { (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, kick, nullptr); }

void Workers::Wake() { Notify(wake_.get()); }

bool Workers::ServeOne(Virtqueue& queue, Chain& chain) {
  bool more = false;
  // With no idle thread the guest need not notify: each looks into the queues when it is done with its request.
  const bool last = idle_ == 0;
  if (!queue.Take(chain, !last, &more)) return false;
  if (more) Wake();
  if (options_.keep && options_.keep(queue, chain)) return true;
  if (options_.first != nullptr) ServeFirst();
  if (last && options_.spares > 0) CallSpare();
  const size_t written = options_.handler(chain.readable, chain.writable);
  queue.Return(chain, static_cast<uint32_t>(written));
  return true;
}

// To be called after a request was taken: what the guest has put into the first queue before that request is seen.
void Workers::ServeFirst() {
  thread_local Chain chain;
  bool more = false;
  while (options_.first->Take(chain, /*wanted=*/false, &more)) {
    const size_t written = options_.handler(chain.readable, chain.writable);
    options_.first->Return(chain, static_cast<uint32_t>(written));
  }
}

// Waits for an event. False: it is time to tidy up.
bool Workers::Wait(bool untidy) {
  if (untidy && options_.tidy && TidyIsDue()) return false;
  epoll_event event;
  const int timeout = untidy && options_.tidy ? static_cast<int>(kQuiet.count()) : -1;
  return epoll_wait(epoll_.get(), &event, 1, timeout) != 0;
}

// Whether it is long since somebody has tidied up. The caller does it then.
bool Workers::TidyIsDue() {
  const auto now = std::chrono::steady_clock::now();
  auto last = tidied_.load();
  return now - last > kLongest && tidied_.compare_exchange_strong(last, now);
}

// One at a time, which costs one wake-up in kPatience at most.
void Workers::CallSpare() {
  if (called_.exchange(true)) return;
  {
    const std::lock_guard lock(spare_mutex_);
    call_ = true;
  }
  spare_.notify_one();
}

void Workers::RunSpare() {
  while (true) {
    {
      std::unique_lock lock(spare_mutex_);
      spare_.wait(lock, [this] { return call_ || ending_; });
      call_ = false;
      if (spare_.wait_for(lock, kPatience, [this] { return ending_.load(); })) return;
    }
    // First another one may be called, then this one looks: whoever takes the last request meanwhile calls.
    called_ = false;
    if (idle_ == 0) Run(/*spare=*/true);
  }
}

void Workers::Run(bool spare) {
  Chain chain;
  bool served = false;  // since it was tidied up
  while (!ending_) {
    bool found = false;
    for (Virtqueue* queue : options_.queues) {
      if (ServeOne(*queue, chain)) found = true;
    }
    if (found) {
      served = true;
      continue;
    }
    if (spare && idle_ > 0) return;
    // First count as idle, then ask: whoever takes a request from now on asks for the next notification, too.
    ++idle_;
    bool more = false;
    for (Virtqueue* queue : options_.queues) {
      if (queue->AskForNotification()) more = true;
    }
    const bool event = more || Wait(served);
    --idle_;
    if (event) continue;
    options_.tidy();
    served = false;
  }
  // An event wakes one thread.
  Wake();
}

}  // namespace kata::fsd
