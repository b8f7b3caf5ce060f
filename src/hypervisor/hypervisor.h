// SPDX-License-Identifier: Apache-2.0
// What the sandbox needs of a virtual machine monitor: start it, reach the agent in it, learn of its end.
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

namespace kata::hypervisor {

namespace asio = boost::asio;

// A virtio network card whose packets go through queues that the caller has opened.
struct NetworkDevice {
  std::string id;               // the caller's name for it: letters and digits
  std::string mac;              // "02:00:0a:01:02:03"
  std::vector<UniqueFd> taps;   // one for each pair of queues, of a tap or macvtap with IFF_VNET_HDR; at least one
  std::vector<UniqueFd> vhost;  // /dev/vhost-net, as many as taps; empty: the VMM moves the packets itself
};

// The processors and the memory of a VM.
struct VmSize {
  uint32_t vcpus = 1;
  uint64_t memory_mib = 0;

  bool operator==(const VmSize&) const = default;
};

// One machine, as the sandbox wants it; everything else comes from the configuration.
struct VmSpec {
  std::string id;  // the sandbox's id, for the name and the messages
  uint32_t vcpus = 1;
  uint64_t memory_mib = 0;
  uid_t uid = 0;  // the VMM's user and group, a number of this sandbox's own
  gid_t gid = 0;
  UniqueFd shared_fs_socket;           // connected vhost-user socket of virtiofsd; not valid: no shared file system
  pid_t shared_fs_pid = 0;             // virtiofsd's, for whom the VMM waits in its start
  std::vector<NetworkDevice> network;  // in the guest from the start
  UniqueFd network_namespace;          // the VMM runs in it; not valid: in the caller's
  // Hot-plug ceiling; off unless it exceeds the initial size. Off costs nothing at the start.
  uint32_t max_vcpus = 0;
  uint64_t max_memory_mib = 0;
  std::vector<std::string> kernel_parameters;  // for this sandbox, after the configuration's
};

// How the VM ended, for people: why, and, unless it powered off in order, the console's last lines.
struct VmExit {
  std::string reason;
  bool powered_off = false;  // by the guest itself, as the agent does at the end
};

// A disk for a running VM.
struct BlockDevice {
  std::string id;          // the caller's name for it, one for each disk of the VM
  UniqueFd file;           // a regular file (raw) or a block device, open for reading, or for both
  bool read_only = false;  // the guest cannot write; file must be open for writing otherwise
};

// Where the guest finds what was plugged: in the words of the agent's Storage and Device messages.
struct GuestAddress {
  std::string driver;   // kBlockDriver or kScsiDriver (protocol/guest_contract.h)
  std::string address;  // a PCI path of slots ("10/02", hexadecimal), or a SCSI address ("0:1", id and LUN)
};

// What a hypervisor can do with its configuration: known before the VM starts, and the same as long as it lives.
// Whoever plans a VM asks this and not which hypervisor it is.
struct Capabilities {
  bool grows = false;               // SetVcpus and SetMemory can plug
  std::string fixed_why;            // where not: the keys that would change it, for a message
  bool returns_memory = false;      // SetMemory can also take away, and brings no more than the guest takes
  bool takes_memory_ahead = false;  // the host gives all memory that is plugged at once, used or not
  uint32_t memory_slots = 0;        // how often SetMemory can bring some; counts where it does not return memory
  uint32_t usual_vcpus = 0;         // room for more vCPUs than these makes a boot longer; 0: it does not
  int timeout_scale = 1;  // how many times as long as on a processor of the host everything in the guest takes
};

// A VM from start to end. Destroying it kills the VMM and reaps it.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  virtual Capabilities Can() const = 0;

  // Starts the VMM and the guest's boot; returns when the VMM has accepted its configuration. Errors carry its stderr.
  virtual asio::awaitable<Result<>> Start(VmSpec spec) = 0;
  // A stream to the agent's ttRPC server. With virtio-serial there is one, and requests wait in it while the guest
  // boots.
  virtual asio::awaitable<Result<UniqueFd>> ConnectAgent() = 0;
  // Plugs a network card into the running guest; it has accepted it some time after that. kUnimplemented: the VM
  // has no places for that; kResourceExhausted: none is free.
  virtual asio::awaitable<Result<>> AddNetworkDevice(NetworkDevice device) = 0;
  // Takes a network card out again, also one that was there from the start. kDeadlineExceeded: the guest does not let
  // it go; kFailedPrecondition: it is not in a place from which it could be taken.
  virtual asio::awaitable<Result<>> RemoveNetworkDevice(std::string id) = 0;
  // Returns when the VMM has ended, whatever the cause; may be awaited by several.
  virtual asio::awaitable<VmExit> Wait() = 0;
  // Ends the VMM now (SIGKILL); Wait's awaiters then return.
  virtual void Kill() = 0;
  // Plugs a disk, as the configuration's block_device_* keys say; it may be done before the guest has booted. The guest
  // sees it a moment later. kAlreadyExists, kInvalidArgument (a file that is neither kind), kResourceExhausted (no
  // place is left), kUnimplemented (the VM has none).
  virtual asio::awaitable<Result<GuestAddress>> AddBlockDevice(BlockDevice device) = 0;
  // Unplugs it; returns when the guest has let go of it and the file is closed. The guest must have unmounted it.
  // kNotFound; kDeadlineExceeded: the guest did not answer, and the disk is still there.
  virtual asio::awaitable<Result<>> RemoveBlockDevice(std::string id) = 0;
  // Plugs or unplugs processors until there are count (1 to max_vcpus, else kInvalidArgument); returns how many there
  // are then: more than count where none can be unplugged, as with tcg. New ones wait for the agent's OnlineCPUMem. A
  // guest that does not give one up is kDeadlineExceeded or kAborted. One call at a time.
  virtual asio::awaitable<Result<uint32_t>> SetVcpus(uint32_t count) = 0;
  // Changes the guest's memory to mib, rounded up to what can be plugged; returns how much there is then. Without
  // virtio-mem it only grows. kInvalidArgument: above max_memory_mib; kResourceExhausted: memory_slots are used up. One
  // call at a time.
  virtual asio::awaitable<Result<uint64_t>> SetMemory(uint64_t mib) = 0;
  // The guest is up. Until then a kernel that says on its console that it panicked is ended; from now on containers may
  // write there, and what it says proves nothing.
  virtual void BootEnded() = 0;
  // The last lines of the guest's console, printable, at most a few KiB.
  virtual std::string ConsoleTail() const = 0;
  // How much the guest has printed there so far: a guest that boots goes on printing.
  virtual uint64_t ConsoleBytes() const = 0;
  // When the agent's first line came on the guest's console: the kernel has booted then.
  virtual std::optional<std::chrono::steady_clock::time_point> AgentBegan() const = 0;
  // Serves what the console prints to each connection of a listening socket.
  virtual void ServeConsole(UniqueFd listener) = 0;
  // Process ids of the VMM, for cgroups and measurements.
  virtual std::vector<pid_t> Pids() const = 0;
  // Those of its threads that are vCPUs now; none: it has not begun, or has ended.
  virtual std::vector<pid_t> VcpuThreads() const = 0;
};

// How guests can run on this host; one log line says which and why (docs/hypervisor.md).
enum class Accel { kKvm, kTcg };
struct AccelChoice {
  Accel accel = Accel::kTcg;
  std::string why;
};
// setting is "auto", "kvm" or "tcg". kFailedPrecondition when kvm is demanded and /dev/kvm does not open.
Result<AccelChoice> ChooseAccel(const std::string& setting);

// Capabilities::timeout_scale of a guest that runs so. Most time-outs that wait for the guest are multiplied by it: an
// emulated one is several times slower. Which they are is in docs/sandbox-process.md.
int TimeoutScale(Accel accel);

// The names of the hypervisors that are built in; each is NAME in [hypervisor.NAME] of the configuration.
std::vector<std::string> BuiltHypervisors();

// The one that the configuration names (HypervisorConfig::name). kUnimplemented: it is not built in, with those that
// are; and what the hypervisor itself refuses, such as an accel that the host does not have.
Result<std::unique_ptr<Hypervisor>> CreateHypervisor(const asio::any_io_executor& executor,
                                                     const config::Config& config);

}  // namespace kata::hypervisor
