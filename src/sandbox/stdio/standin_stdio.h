// SPDX-License-Identifier: Apache-2.0
// The stdio of kata-runtime's containers: descriptors that a stand-in passed in its hello.
#pragma once

#include <memory>
#include <utility>

#include "sandbox/stdio/stdio_source.h"

namespace kata::sandbox {

// Understands the names that StandinStdio (task_client.h) makes. Three empty names mean no stdio and no stand-in.
class StandinStdioSource : public StdioSource {
 public:
  StandinStdioSource(const asio::any_io_executor& executor, std::shared_ptr<StandinServer> standins)
      : executor_(executor), standins_(std::move(standins)) {}
  asio::awaitable<Result<AttachedStdio>> Attach(StdioRequest request) override;

 private:
  asio::any_io_executor executor_;
  std::shared_ptr<StandinServer> standins_;
};

}  // namespace kata::sandbox
