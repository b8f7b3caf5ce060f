// SPDX-License-Identifier: Apache-2.0
// What the stdio names in Task Create and Exec mean. Each interface has its own source.
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
  std::shared_ptr<Standin> standin;  // null: there is none
  UniqueFd foreground;               // see ContainerProcess::Setup
};

class StdioSource {
 public:
  virtual ~StdioSource() = default;
  // Opens the stdio that a request names. kInvalidArgument: the names mean nothing. kNotFound: what they name does not
  // exist.
  virtual asio::awaitable<Result<AttachedStdio>> Attach(StdioRequest request) = 0;
};

}  // namespace kata::sandbox
