// SPDX-License-Identifier: Apache-2.0
// state.json: the OCI state of a container, readable without its sandbox process, and what delete needs to clean up.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/process_table.h"
#include "base/result.h"

namespace kata::sandbox {

inline constexpr char kStateFile[] = "state.json";
// The largest state.json that is written or read. Usually it has a few hundred bytes plus the annotations.
inline constexpr size_t kMaxStateBytes = 4U << 20U;
// The longest failure text. It includes the end of the guest's console.
inline constexpr size_t kMaxFailure = 16U << 10U;

// The states of the OCI runtime-spec ("State"), and runc's "paused".
enum class Status { kCreating, kCreated, kRunning, kPaused, kStopped };
const char* StatusName(Status status);
std::optional<Status> StatusFromName(std::string_view name);

// Time allowed for write-back at unmount or shutdown: until then, what containers wrote to disks may be in the guest's
// memory only. The agent gets longer where the VM is emulated.
inline constexpr std::chrono::milliseconds kWriteBackTime{60000};

// The record of a container, or of a sandbox of containerd's.
struct State {
  std::string id;
  std::string oci_version;
  Status status = Status::kCreating;
  ProcessRef standin;               // its pid is the container's on the host
  ProcessRef sandbox;               // the sandbox process
  std::vector<ProcessRef> helpers;  // the VMM and the file server
  std::string bundle;
  std::string rootfs;
  std::string created;  // RFC 3339, UTC, nanoseconds
  std::map<std::string, std::string> annotations;
  uid_t owner = 0;
  std::vector<std::string> cgroup_paths;  // host cgroups made for it
  std::string systemd_unit;               // the scope that they belong to; empty: none
  int exit_status = 0;                    // valid once stopped
  std::string exited_at;                  // RFC 3339; empty until stopped
  std::string failure;                    // why the sandbox failed; empty when it did not
  std::map<std::string, int64_t> timing;  // phase to microseconds
  std::string network;                    // path of the pod's network namespace; empty: it ends with the sandbox
  std::string socket;                     // address of the shim's socket; empty: a sandbox of kata-runtime
  bool disks = false;                     // the guest has disks, to be written back at an orderly end
  std::string sandbox_id;                 // the id of the sandbox: that of its first container
};

std::string ToJson(const State& state);
// kInvalidArgument: not a complete record; the message says what is wrong.
Result<State> ParseState(std::string_view json);

// Read and atomically replace directory/state.json. Load: kNotFound: there is none; kInvalidArgument: it is damaged.
// Store: kResourceExhausted: the record is too large.
Result<State> LoadState(int directory);
Result<> StoreState(int directory, const State& state);

// The sandbox's processes on the host: sandbox process, VMM, file server and stand-in.
std::vector<ProcessRef> ProcessesOf(const State& state);

// The actual status: a record whose sandbox process has gone counts as stopped, whatever it says. Such a container
// ended with 137, as if it had been killed.
Status CurrentStatus(const State& state);

// A time in state.json's format: "2026-01-02T03:04:05.000000006Z".
std::string FormatTime(int64_t seconds, int32_t nanoseconds);
std::string FormatNow();
// Parses what FormatTime writes; nullopt for anything else.
std::optional<timespec> ParseTime(const std::string& text);

}  // namespace kata::sandbox
