// SPDX-License-Identifier: Apache-2.0
// Waits for hot-plugged devices: repeats a check at every uevent of the kernel.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>

#include "base/result.h"

namespace kata::agent {

namespace asio = boost::asio;

// Calls look(), and calls it again after every uevent, until it returns anything but kNotFound or until limit has
// passed. After limit its kNotFound is returned, with the time waited in the message. The uevent socket is opened only
// after a first failure, and look() is called again once it is open, so that no device is missed. Whatever look refers
// to must outlive the coroutine.
asio::awaitable<Result<>> LookUntilFound(asio::any_io_executor executor, std::chrono::seconds limit,
                                         std::function<Result<>()> look);

}  // namespace kata::agent
