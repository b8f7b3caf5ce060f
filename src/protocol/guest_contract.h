// SPDX-License-Identifier: Apache-2.0
// Constants that host and guest must agree on and that agent.proto does not define. Both sides include this file, so
// that neither can change alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kata::contract {

// Where the agent listens: the name of its virtio-serial port, or its vsock port.
inline constexpr char kAgentPortName[] = "agent.channel.0";
inline constexpr uint32_t kAgentVsockPort = 1024;
// The host connects from a vsock port below this one, to which only a process with CAP_NET_BIND_SERVICE in the host's
// initial user namespace can bind. The agent refuses peers with other ports.
inline constexpr uint32_t kFirstUnprivilegedVsockPort = 1024;

// The agent's ttRPC services.
inline constexpr char kAgentService[] = "grpc.AgentService";
inline constexpr char kHealthService[] = "grpc.Health";

// The agent's first line on the console contains these words. It shows that the guest's kernel has booted.
inline constexpr char kAgentBegins[] = "kata-agent begins";

// The agent's options on the kernel's command line, each followed by "=" and a value.
inline constexpr char kLogWord[] = "agent.log";
inline constexpr char kServerAddressWord[] = "agent.server_addr";
inline constexpr char kPipeSizeWord[] = "agent.container_pipe_size";
inline constexpr char kHotplugTimeoutWord[] = "agent.hotplug_timeout";
// The default of agent.hotplug_timeout, in seconds.
inline constexpr unsigned kHotplugTimeout = 6;

// The only directory of the guest in which the agent creates files on the host's request, and its subdirectories.
inline constexpr char kGuestDir[] = "/run/kata-containers";
inline constexpr char kSharedDir[] =
    "/run/kata-containers/shared/containers";  // mount point of the file server's export
inline constexpr char kShmDir[] = "/run/kata-containers/sandbox/shm";
inline constexpr char kEphemeralDir[] = "/run/kata-containers/sandbox/ephemeral";
inline constexpr char kDisksDir[] = "/run/kata-containers/sandbox/disks";

// The virtio-fs tag of the shared directory.
inline constexpr char kSharedFsTag[] = "kataShared";

// Values of Storage.driver and Device.type.
inline constexpr char kVirtioFsDriver[] = "virtio-fs";
inline constexpr char kEphemeralDriver[] = "ephemeral";
inline constexpr char kLocalDriver[] = "local";
inline constexpr char kBlockDriver[] = "blk";  // a disk that is named by its PCI path
inline constexpr char kScsiDriver[] = "scsi";  // a disk that is named by its SCSI address

// Prefix of the path of a namespace that belongs to another container; that container's id follows.
inline constexpr char kNamespaceOfContainer[] = "container:";

// The most bytes in one reply of ReadStdout and ReadStderr.
inline constexpr size_t kMaxOutputChunk = 256U << 10U;

// The log_type of GetDiagnosticData that asks for the processes of a container. The agent lists at most
// kMaxListedProcesses. The host reads at most kMaxListBytes of a list.
inline constexpr char kProcessesLog[] = "processes";
inline constexpr size_t kMaxListedProcesses = 4096;
inline constexpr size_t kMaxListBytes = 3U << 20U;

}  // namespace kata::contract
