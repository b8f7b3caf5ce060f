// SPDX-License-Identifier: Apache-2.0
// sd-bus of libsystemd, loaded when it is needed: it and the six libraries that it needs would make the start of every
// command slower. A host that has systemd has the library.
#pragma once

#include <systemd/sd-bus.h>

#include "base/result.h"

namespace kata::sandbox {

// The functions that are used here, each with the name that it has in sd-bus.h after "sd_bus_".
struct SdBus {
  decltype(&sd_bus_open_system) open_system;
  decltype(&sd_bus_new) create;
  decltype(&sd_bus_set_address) set_address;
  decltype(&sd_bus_start) start;
  decltype(&sd_bus_set_method_call_timeout) set_method_call_timeout;
  decltype(&sd_bus_flush_close_unref) flush_close_unref;
  decltype(&sd_bus_match_signal) match_signal;
  decltype(&sd_bus_process) process;
  decltype(&sd_bus_wait) wait;
  decltype(&sd_bus_call) call;
  decltype(&sd_bus_error_free) error_free;
  decltype(&sd_bus_message_new_method_call) message_new_method_call;
  decltype(&sd_bus_message_unref) message_unref;
  decltype(&sd_bus_message_append_basic) message_append_basic;
  decltype(&sd_bus_message_append_array) message_append_array;
  decltype(&sd_bus_message_open_container) message_open_container;
  decltype(&sd_bus_message_close_container) message_close_container;
  decltype(&sd_bus_message_enter_container) message_enter_container;
  decltype(&sd_bus_message_read_basic) message_read_basic;
};

// Loads the library into this process, for good. kUnavailable: the host does not have it.
Result<const SdBus*> LoadSdBus();

}  // namespace kata::sandbox
