// SPDX-License-Identifier: Apache-2.0
#include "sandbox/systemd/library.h"

#include <dlfcn.h>

namespace kata::sandbox {
namespace {

// Debian's name; its version changes only when the functions do.
constexpr char kLibrary[] = "libsystemd.so.0";

template <typename Function>
bool Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace

Result<const SdBus*> LoadSdBus() {
  static SdBus bus{};
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  const bool whole = library != nullptr && Find(library, "sd_bus_open_system", bus.open_system) &&
                     Find(library, "sd_bus_new", bus.create) && Find(library, "sd_bus_set_address", bus.set_address) &&
                     Find(library, "sd_bus_start", bus.start) &&
                     Find(library, "sd_bus_set_method_call_timeout", bus.set_method_call_timeout) &&
                     Find(library, "sd_bus_flush_close_unref", bus.flush_close_unref) &&
                     Find(library, "sd_bus_match_signal", bus.match_signal) &&
                     Find(library, "sd_bus_process", bus.process) && Find(library, "sd_bus_wait", bus.wait) &&
                     Find(library, "sd_bus_call", bus.call) && Find(library, "sd_bus_error_free", bus.error_free) &&
                     Find(library, "sd_bus_message_new_method_call", bus.message_new_method_call) &&
                     Find(library, "sd_bus_message_unref", bus.message_unref) &&
                     Find(library, "sd_bus_message_append_basic", bus.message_append_basic) &&
                     Find(library, "sd_bus_message_append_array", bus.message_append_array) &&
                     Find(library, "sd_bus_message_open_container", bus.message_open_container) &&
                     Find(library, "sd_bus_message_close_container", bus.message_close_container) &&
                     Find(library, "sd_bus_message_enter_container", bus.message_enter_container) &&
                     Find(library, "sd_bus_message_read_basic", bus.message_read_basic);
  if (whole) return &bus;
  const char* why = dlerror();
  return Fail(Code::kUnavailable, "cannot load {}: {}; install Debian's package libsystemd0", kLibrary,
              why != nullptr ? why : "a function is missing");
}

}  // namespace kata::sandbox
