// SPDX-License-Identifier: Apache-2.0
#include "fsd/late_requests.h"

#include <utility>

namespace kata::fsd {

bool LateRequests::Keep(Virtqueue& queue, Chain& chain) {
  if (!options_.must_wait(chain.readable)) return false;
  const std::lock_guard lock(mutex_);
  if (closed_ || kept_) return false;
  kept_ = Kept{&queue, std::move(chain)};
  // What happened since the first look has found nobody to answer.
  if (!options_.must_wait(kept_->chain.readable)) AnswerKept();
  return true;
}

void LateRequests::Answer() {
  const std::lock_guard lock(mutex_);
  AnswerKept();
}

void LateRequests::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  AnswerKept();
}

void LateRequests::Open() {
  const std::lock_guard lock(mutex_);
  closed_ = false;
}

// With the lock held.
void LateRequests::AnswerKept() {
  if (!kept_) return;
  const size_t written = options_.answer(kept_->chain.readable, kept_->chain.writable);
  kept_->queue->Return(kept_->chain, static_cast<uint32_t>(written));
  kept_.reset();
}

}  // namespace kata::fsd
