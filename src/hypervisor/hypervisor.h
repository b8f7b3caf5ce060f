// SPDX-License-Identifier: Apache-2.0
// The interface between a sandbox and its VMM: start and resize a VM, connect to its agent, wait for its end.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "hypervisor/vmm_user.h"

namespace kata::hypervisor {

namespace asio = boost::asio;

// A virtio network card, with queues that the caller has opened.
struct NetworkDevice {
  std::string id;               // chosen by the caller: letters and digits
  std::string mac;              // "02:00:0a:01:02:03"
  std::vector<UniqueFd> taps;   // one for each queue pair, of a tap or macvtap with IFF_VNET_HDR; at least one
  std::vector<UniqueFd> vhost;  // /dev/vhost-net, as many as taps; empty: the VMM moves the packets itself
};

// vCPUs and memory of a VM.
struct VmSize {
  uint32_t vcpus = 1;
  uint64_t memory_mib = 0;

  bool operator==(const VmSize&) const = default;
};

// The properties of a VM that the sandbox chooses. All others come from the configuration.
struct VmSpec {
  std::string id;  // the sandbox's id, for the VM's name and for messages
  uint32_t vcpus = 1;
  uint64_t memory_mib = 0;
  VmmUser user;
  UniqueFd shared_fs_socket;           // connected vhost-user socket of the file server; invalid: no shared file system
  pid_t shared_fs_pid = 0;             // the file server, for which the VMM waits when it starts
  std::vector<NetworkDevice> network;  // the network cards that are present at boot
  UniqueFd network_namespace;          // where the VMM runs; invalid: in the caller's network namespace
  // Hot-plug ceilings. Hot-plug is off, and costs nothing at boot, unless the ceiling exceeds the initial size.
  uint32_t max_vcpus = 0;
  uint64_t max_memory_mib = 0;
  std::vector<std::string> kernel_parameters;  // appended after those of the configuration
};

// How a VM ended.
struct VmExit {
  std::string reason;        // for messages; has the console's last lines unless the guest powered off
  bool powered_off = false;  // the guest powered off in order, as the agent does at its end
};

// A disk for a running VM.
struct BlockDevice {
  std::string id;          // chosen by the caller, unique among the disks of the VM
  UniqueFd file;           // a regular file (raw image) or a block device
  bool read_only = false;  // true: the guest cannot write, and file must be open O_RDONLY; false: O_RDWR
};

// Where the guest finds a plugged device, as in the agent's Storage and Device messages.
struct GuestAddress {
  std::string driver;   // kBlockDriver or kScsiDriver (protocol/guest_contract.h)
  std::string address;  // a PCI path of slots ("1d/02", hexadecimal), or a SCSI address ("0:1", id and LUN)
};

// What a hypervisor can do with its configuration. Known before the VM starts, and constant. Code that plans a VM asks
// this instead of which hypervisor it is.
struct Capabilities {
  bool grows = false;               // SetVcpus and SetMemory can add vCPUs and memory
  std::string fixed_why;            // if grows is false: the setting that would allow it, for a message
  bool returns_memory = false;      // SetMemory can also take memory away; it may add less than was asked for
  bool takes_memory_ahead = false;  // plugged memory is allocated on the host at once, whether used or not
  uint32_t memory_slots = 0;        // how many times SetMemory can add memory; valid if returns_memory is false
  uint32_t usual_vcpus = 0;         // a max_vcpus above this makes the boot longer; 0: it never does
  int timeout_scale = 1;            // how many times slower the guest is than with hardware virtualization
};

// One VM, from its start to its end. The destructor kills and reaps the VMM. Not thread-safe. All operations on a VM
// that does not run fail with kUnavailable.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  virtual Capabilities Can() const = 0;

  // Starts the VMM and the guest's boot. Returns when the VMM has accepted its configuration, before the guest has
  // booted. Error messages contain the VMM's stderr.
  virtual asio::awaitable<Result<>> Start(VmSpec spec) = 0;
  // Connects to the agent's ttRPC server. With vsock this waits until the agent listens (kDeadlineExceeded). With
  // virtio-serial it returns at once, requests are buffered while the guest boots, and there is only one connection: a
  // second call is kFailedPrecondition.
  virtual asio::awaitable<Result<UniqueFd>> ConnectAgent() = 0;
  // Plugs a network card into the running VM. The guest sees the card some time after this returns. kUnimplemented: the
  // VM has no slots for hot-plugged devices; kResourceExhausted: all slots are in use.
  virtual asio::awaitable<Result<>> AddNetworkDevice(NetworkDevice device) = 0;
  // Unplugs a network card, also one that was present at boot. kDeadlineExceeded or kAborted: the guest does not
  // release the card; kFailedPrecondition: the card is not in a slot that supports unplugging.
  virtual asio::awaitable<Result<>> RemoveNetworkDevice(std::string id) = 0;
  // Returns when the VMM has ended, whatever the cause. Several coroutines may wait.
  virtual asio::awaitable<VmExit> Wait() = 0;
  // Kills the VMM (SIGKILL) and returns at once. Wait returns when the VMM has ended.
  virtual void Kill() = 0;
  // Plugs a disk with the options of the configuration's block_device_* keys. Allowed before the guest has booted. The
  // guest sees the disk some time after this returns. kAlreadyExists; kInvalidArgument: file is neither a regular file
  // nor a block device, or has the wrong access mode; kFailedPrecondition: another VM or process has locked the file;
  // kPermissionDenied: a security module of the host does not allow the hypervisor this file;
  // kResourceExhausted: no slot is free, and the message says what makes room; kUnimplemented: the VM has no slots for
  // hot-plugged devices.
  virtual asio::awaitable<Result<GuestAddress>> AddBlockDevice(BlockDevice device) = 0;
  // Unplugs a disk, which the guest must have unmounted. Returns when the guest has released the disk and the VMM has
  // closed the file. kNotFound; kFailedPrecondition: another call is adding or removing the disk; kDeadlineExceeded or
  // kAborted: the guest has not released the disk, which stays plugged.
  virtual asio::awaitable<Result<>> RemoveBlockDevice(std::string id) = 0;
  // Plugs or unplugs vCPUs until there are count. Returns the resulting number, which is larger than count where vCPUs
  // cannot be unplugged, as with tcg. The guest uses new vCPUs only after the agent's OnlineCPUMem. kInvalidArgument:
  // count is 0 or above max_vcpus; kDeadlineExceeded or kAborted: the guest does not release a vCPU. One call at a
  // time.
  virtual asio::awaitable<Result<uint32_t>> SetVcpus(uint32_t count) = 0;
  // Changes the guest's memory to mib MiB, rounded up to the unit that can be plugged. Returns the resulting size in
  // MiB. Without virtio-mem memory can only grow. kInvalidArgument: above max_memory_mib; kResourceExhausted: all
  // memory_slots are used. One call at a time.
  virtual asio::awaitable<Result<uint64_t>> SetMemory(uint64_t mib) = 0;
  // The caller tells that the guest has booted. Until then a kernel panic message on the console makes the hypervisor
  // kill the VM. Afterwards containers may write to the console, so that its contents prove nothing.
  virtual void BootEnded() = 0;
  // The last lines of the guest's console, printable, at most a few KiB.
  virtual std::string ConsoleTail() const = 0;
  // The number of bytes that the guest has printed on its console. A guest that boots keeps printing.
  virtual uint64_t ConsoleBytes() const = 0;
  // When the agent's first line appeared on the console, which is after the boot of the kernel; unset before.
  virtual std::optional<std::chrono::steady_clock::time_point> AgentBegan() const = 0;
  // Sends the console's output to each client that connects to a listening socket.
  virtual void ServeConsole(UniqueFd listener) = 0;
  // Process ids of the VMM, for cgroups and statistics; empty if it does not run.
  virtual std::vector<pid_t> Pids() const = 0;
  // The VMM's threads that run vCPUs at present; empty if the VMM does not run.
  virtual std::vector<pid_t> VcpuThreads() const = 0;
};

// How guests run on this host. The log tells which one was chosen and why (docs/hypervisor.md).
enum class Accel { kKvm, kTcg };
struct AccelChoice {
  Accel accel = Accel::kTcg;
  std::string why;
  // Capabilities::timeout_scale: emulated guests are several times slower, and so are guests of a slow KVM. Most
  // time-outs that wait for the guest are multiplied by it; docs/sandbox-process.md lists them.
  int timeout_scale = 1;
};
// Chooses for a setting of "auto", "kvm" or "tcg" (else kInvalidArgument). timeout_factor: of the configuration.
// kFailedPrecondition: the setting is "kvm", and /dev/kvm cannot be opened, or a VM does not run.
Result<AccelChoice> ChooseAccel(const std::string& setting, double timeout_factor);

// The names of the built-in hypervisors; each is a NAME of [hypervisor.NAME] in the configuration.
std::vector<std::string> BuiltHypervisors();

// Creates the hypervisor that the configuration names (HypervisorConfig::name). kUnimplemented: it is not built in (the
// message lists those that are). Other errors come from the hypervisor, for example if the host lacks the configured
// accel.
Result<std::unique_ptr<Hypervisor>> CreateHypervisor(const asio::any_io_executor& executor,
                                                     const config::Config& config);

}  // namespace kata::hypervisor
