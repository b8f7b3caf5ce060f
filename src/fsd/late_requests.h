// SPDX-License-Identifier: Apache-2.0
// Requests of the guest that wait for something to happen, and keep no thread waiting meanwhile.
#pragma once

#include <sys/uio.h>

#include <functional>
#include <mutex>
#include <optional>
#include <span>

#include "fsd/virtqueue.h"

namespace kata::fsd {

// Keeps one request at a time: a guest that sends a second one has it handled at once.
class LateRequests {
 public:
  struct Options {
    // Whether a request is one that waits, and there is no answer yet.
    std::function<bool(std::span<const iovec> in)> must_wait;
    // Answers it with what there is. Returns the bytes of the reply.
    std::function<size_t(std::span<const iovec> in, std::span<const iovec> out)> answer;
  };

  explicit LateRequests(Options options) : options_(std::move(options)) {}

  // Takes a request over that must wait; false: it has not, and the request is to be handled. The queue must live until
  // the request is answered.
  bool Keep(Virtqueue& queue, Chain& chain);
  // There may be an answer now.
  void Answer();
  // Answers what it has, with nothing if need be, and keeps no request until Open: a queue that stops waits for all.
  void Close();
  void Open();

 private:
  struct Kept {
    Virtqueue* queue;
    Chain chain;
  };
  void AnswerKept();

  const Options options_;
  std::mutex mutex_;
  std::optional<Kept> kept_;
  bool closed_ = false;
};

}  // namespace kata::fsd
