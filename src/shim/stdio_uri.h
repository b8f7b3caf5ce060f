// SPDX-License-Identifier: Apache-2.0
// The stdio that containerd names: FIFOs (a path or fifo://), files (file://) and logger programs (binary://).
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

// A name taken apart.
struct StdioUri {
  enum class Kind { kNone, kFifo, kFile, kBinary };
  Kind kind = Kind::kNone;
  std::string path;                                         // absolute
  std::vector<std::pair<std::string, std::string>> values;  // what follows "?", decoded; arguments of a binary
};

// kInvalidArgument: another scheme, or a path that is not absolute.
Result<StdioUri> ParseStdioUri(const std::string& text);

// Opens what the names mean, on the host.
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
