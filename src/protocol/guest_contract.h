// SPDX-License-Identifier: Apache-2.0
// What host and guest agree on and no message of agent.proto says. Both sides include it, so that neither can change it
// alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kata::contract {

// How the agent is reached: the name of its virtio-serial port, or its vsock port.
inline constexpr char kAgentPortName[] = "agent.channel.0";
inline constexpr uint32_t kAgentVsockPort = 1024;
// The host's end of the vsock has a port below this one, to which only a process with CAP_NET_BIND_SERVICE in the
// host's first user namespace can bind. The agent refuses every other peer.
inline constexpr uint32_t kFirstUnprivilegedVsockPort = 1024;

// The ttRPC services there.
inline constexpr char kAgentService[] = "grpc.AgentService";
inline constexpr char kHealthService[] = "grpc.Health";

// The agent's first line on the console has these words: the guest's kernel has booted then.
inline constexpr char kAgentBegins[] = "kata-agent begins";

// The agent's words on the kernel's command line, each followed by "=" and a value.
inline constexpr char kLogWord[] = "agent.log";
inline constexpr char kServerAddressWord[] = "agent.server_addr";
inline constexpr char kPipeSizeWord[] = "agent.container_pipe_size";
inline constexpr char kHotplugTimeoutWord[] = "agent.hotplug_timeout";
// The default of agent.hotplug_timeout, in seconds.
inline constexpr unsigned kHotplugTimeout = 6;

// The one directory of the guest where the host may have things made, and what it has there.
inline constexpr char kGuestDir[] = "/run/kata-containers";
inline constexpr char kSharedDir[] = "/run/kata-containers/shared/containers";  // what virtiofsd exports
inline constexpr char kShmDir[] = "/run/kata-containers/sandbox/shm";
inline constexpr char kEphemeralDir[] = "/run/kata-containers/sandbox/ephemeral";
inline constexpr char kDisksDir[] = "/run/kata-containers/sandbox/disks";

// The virtio-fs tag of the shared directory.
inline constexpr char kSharedFsTag[] = "kataShared";

// Storage.driver and Device.type.
inline constexpr char kVirtioFsDriver[] = "virtio-fs";
inline constexpr char kEphemeralDriver[] = "ephemeral";
inline constexpr char kLocalDriver[] = "local";
inline constexpr char kBlockDriver[] = "blk";  // by its PCI path
inline constexpr char kScsiDriver[] = "scsi";  // by its SCSI address

// The path of a pid namespace that is another container's: this, and the container's id.
inline constexpr char kNamespaceOfContainer[] = "container:";

// The most that ReadStdout and ReadStderr answer.
inline constexpr size_t kMaxOutputChunk = 256U << 10U;

// GetDiagnosticData's log_type for the processes of a container. At most so many are listed, and at most so many bytes
// of any list are read: the agent makes its own of half as many.
inline constexpr char kProcessesLog[] = "processes";
inline constexpr size_t kMaxListedProcesses = 4096;
inline constexpr size_t kMaxListBytes = 2U << 20U;

}  // namespace kata::contract
