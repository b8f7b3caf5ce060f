// SPDX-License-Identifier: Apache-2.0
// The stdio of containerd's requests: FIFOs (a path or fifo://), files (file://) and logger programs (binary://).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/stdio/stdio_source.h"
#include "shim/loggers.h"

namespace kata::shim {

namespace asio = boost::asio;

// A parsed stdio name.
struct StdioUri {
  enum class Kind { kNone, kFifo, kFile, kBinary };
  Kind kind = Kind::kNone;
  std::string path;                                         // absolute
  std::vector<std::pair<std::string, std::string>> values;  // the decoded query; arguments of a logger program
};

// kInvalidArgument: another scheme, or a path that is not absolute. "" gives kNone.
Result<StdioUri> ParseStdioUri(const std::string& text);

// Opens the named stdio in the host's mount namespace; starts a logger program and waits until it is ready.
class UriStdioSource : public sandbox::StdioSource {
 public:
  UriStdioSource(const asio::any_io_executor& executor, std::string namespace_name, sandbox::MountNamespaces mounts,
                 std::shared_ptr<Loggers> loggers)
      : executor_(executor),
        namespace_name_(std::move(namespace_name)),
        mounts_(std::move(mounts)),
        loggers_(std::move(loggers)) {}
  asio::awaitable<Result<sandbox::AttachedStdio>> Attach(sandbox::StdioRequest request) override;

 private:
  asio::any_io_executor executor_;
  std::string namespace_name_;
  sandbox::MountNamespaces mounts_;
  std::shared_ptr<Loggers> loggers_;
};

}  // namespace kata::shim
