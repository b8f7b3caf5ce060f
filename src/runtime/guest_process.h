// SPDX-License-Identifier: Apache-2.0
// A process in the guest, as the agent describes it (agent/process_list.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kata::runtime {

// All ids are the guest's. Values that the guest did not send are 0 or empty.
struct GuestProcess {
  int64_t pid = 0;
  int64_t parent = 0;
  int64_t group = 0;  // process group
  int64_t session = 0;
  int64_t foreground = 0;  // foreground process group of the terminal; -1: none
  std::string terminal;    // "pts/0", "?"
  uint32_t uid = 0;
  uint32_t real_uid = 0;
  uint32_t gid = 0;
  uint32_t real_gid = 0;
  // Names: from the container; if it has none, from the host; else the number.
  std::string user;
  std::string real_user;
  std::string user_group;
  std::string real_user_group;
  char state = '?';
  uint64_t flags = 0;
  int64_t priority = 0;
  int64_t nice = 0;
  int64_t threads = 0;
  int64_t processor = 0;
  int64_t realtime_priority = 0;
  int64_t policy = 0;
  uint64_t cpu_seconds = 0;
  int64_t age = 0;            // seconds
  int64_t started = 0;        // seconds since 1970
  int64_t now = 0;            // seconds since 1970, when the agent listed the process
  uint64_t memory = 0;        // virtual memory, bytes
  uint64_t resident = 0;      // resident memory, bytes
  uint64_t guest_memory = 0;  // total memory of the guest, bytes
  std::string name;
  std::string command;
};

// Parses one row of the agent's list; nullopt if it is malformed. Texts are made safe for a terminal, since the guest
// chose them.
std::optional<GuestProcess> ParseGuestProcess(std::string_view json);

}  // namespace kata::runtime
