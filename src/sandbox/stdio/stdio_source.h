// SPDX-License-Identifier: Apache-2.0
// Where the stdio of a process comes from: what the names in Task Create and Exec mean. Each interface has its own way.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/stdio/standin_server.h"
#include "sandbox/stdio/stdio.h"

namespace kata::sandbox {

struct StdioRequest {
  std::string container;
  std::string exec;  // empty: the container's own process
  bool terminal = false;
  std::string in;
  std::string out;
  std::string err;
};

struct AttachedStdio {
  std::shared_ptr<Stdio> stdio;
  std::shared_ptr<Standin> standin;  // null: none
  UniqueFd foreground;               // see ContainerProcess::Setup
};

class StdioSource {
 public:
  virtual ~StdioSource() = default;
  // kInvalidArgument: names that mean nothing; kNotFound: what they name is not there.
  virtual asio::awaitable<Result<AttachedStdio>> Attach(StdioRequest request) = 0;
};

}  // namespace kata::sandbox
