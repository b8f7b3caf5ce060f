// SPDX-License-Identifier: Apache-2.0
// Threads that take the guest's requests from virtqueues and have them handled.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fsd/virtqueue.h"

namespace kata::fsd {

// Handles one request: reads it from the first buffers, and writes the reply to the second. Both are in the guest's
// memory. Returns the bytes of the reply; 0: none. Several threads call it at once.
using Handler = std::function<size_t(std::span<const iovec> in, std::span<const iovec> out)>;

// A pool of threads for some queues. Each thread waits for the guest's notifications itself, so that a request costs
// one change of threads. While one thread is busy with a request, the others take those that come after it. When all
// have been busy for some time, as with a disk that does not answer, a spare one joins them until they are not.
class Workers {
 public:
  struct Options {
    unsigned threads = 1;
    unsigned spares = 0;
    std::vector<Virtqueue*> queues;  // they live longer than the pool
    // What lies in it is handled before each request of `queues`, whether the guest has notified of it or not. It has
    // threads of its own. Null: there is none.
    Virtqueue* first = nullptr;
    Handler handler;
    // Called before the handler; true: it has taken the request over, and returns it to the queue.
    std::function<bool(Virtqueue& queue, Chain& chain)> keep;
    // Called now and then, after requests, by a thread that has nothing else to do.
    std::function<void()> tidy;
  };

  static Result<std::unique_ptr<Workers>> Start(Options options);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  // Waits for the requests that are being handled.
  ~Workers();

  // Begins, or ends, to wait for notifications by this eventfd. It is never read: that it is written to is the event.
  Result<> Watch(int kick);
  void Unwatch(int kick);
  // Lets a thread look into the queues.
  void Wake();

 private:
  explicit Workers(Options options) : options_(std::move(options)) {}
  // `spare`: until others wait for requests.
  void Run(bool spare);
  void RunSpare();
  void CallSpare();
  bool ServeOne(Virtqueue& queue, Chain& chain);
  void ServeFirst();
  bool Wait(bool untidy);
  bool TidyIsDue();

  Options options_;
  UniqueFd epoll_;
  UniqueFd wake_;  // eventfd
  std::atomic<unsigned> idle_{0};
  std::atomic<bool> ending_{false};
  std::atomic<bool> called_{false};  // a spare thread is about to look whether it is needed
  std::mutex spare_mutex_;
  std::condition_variable spare_;
  bool call_ = false;  // under spare_mutex_
  std::atomic<std::chrono::steady_clock::time_point> tidied_{};
  std::vector<std::thread> threads_;
};

}  // namespace kata::fsd
