// SPDX-License-Identifier: Apache-2.0
// A process in the guest, as the agent describes it (agent/process_list.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kata::runtime {

// Numbers are the guest's. What the guest did not say is 0 or empty.
struct GuestProcess {
  int64_t pid = 0;
  int64_t parent = 0;
  int64_t group = 0;  // of processes
  int64_t session = 0;
  int64_t foreground = 0;  // its terminal's group of processes; -1: none
  std::string terminal;    // "pts/0", "?"
  uint32_t uid = 0;
  uint32_t real_uid = 0;
  uint32_t gid = 0;
  uint32_t real_gid = 0;
  // Names: the container's, else the host's, else the number.
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
  int64_t now = 0;            // the same, when it was looked at
  uint64_t memory = 0;        // bytes of address space
  uint64_t resident = 0;      // bytes of it in memory
  uint64_t guest_memory = 0;  // bytes that the guest has
  std::string name;
  std::string command;
};

// Reads one row; nothing for what is no such row. Texts are made fit for a terminal: the guest chose them.
std::optional<GuestProcess> ParseGuestProcess(std::string_view json);

}  // namespace kata::runtime
