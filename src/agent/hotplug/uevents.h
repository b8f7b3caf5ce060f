// SPDX-License-Identifier: Apache-2.0
// Waiting for what the host plugs in: the kernel's uevents say when to look again.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>

#include "base/result.h"

namespace kata::agent {

namespace asio = boost::asio;

// Looks, and looks again at every uevent until look() answers something else than kNotFound, or the time is over: then
// its kNotFound comes with how long was waited. The socket for the events is opened only when the first look fails, and
// before the next one, so that nothing is missed. What look refers to must live until this returns.
asio::awaitable<Result<>> LookUntilFound(asio::any_io_executor executor, std::chrono::seconds limit,
                                         std::function<Result<>()> look);

}  // namespace kata::agent
