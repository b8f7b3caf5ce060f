// SPDX-License-Identifier: Apache-2.0
#include "sandbox/stdio/late_outputs.h"

#include <algorithm>

#include "base/log.h"

namespace kata::sandbox {
namespace {

// Each may hold two chunks for each of two streams.
constexpr size_t kMostLateOutputs = 128;

}  // namespace

void LateOutputs::Add(std::shared_ptr<Stdio> stdio) {
  if (stdio->ended().happened()) return;
  std::erase_if(outputs_, [](const std::weak_ptr<Stdio>& weak) {
    const auto output = weak.lock();
    return !output || output->ended().happened();
  });
  outputs_.push_back(stdio);
  if (outputs_.size() <= kMostLateOutputs) return;
  log::Warn("more than {} processes have left their outputs to others: the oldest is closed", kMostLateOutputs);
  if (auto oldest = outputs_.front().lock()) oldest->Stop();
  outputs_.pop_front();
}

asio::awaitable<void> LateOutputs::AwaitAll(List outputs, std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  for (const auto& weak : outputs) {
    const auto output = weak.lock();
    if (!output) continue;
    const Event ended = output->ended();
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    co_await ended.WaitFor(std::max(left, std::chrono::milliseconds(0)));
  }
}

void LateOutputs::Stop() {
  for (const auto& weak : outputs_) {
    if (auto output = weak.lock()) output->Stop();
  }
  outputs_.clear();
}

}  // namespace kata::sandbox
