// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/eventfd.h>

namespace kata::fsd {

// Adds one to an eventfd(2). It fails only when the counter is full, so that the event is there anyhow.
inline void Notify(int event) { [[maybe_unused]] const int ignored = eventfd_write(event, 1); }

}  // namespace kata::fsd
