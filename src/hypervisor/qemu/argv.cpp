// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/argv.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/files.h"
#include "hypervisor/qemu/resize.h"
#include "protocol/guest_contract.h"

namespace kata::hypervisor::qemu {
namespace {

// The size of tcg's cache of translated code, in MiB. Measured: a boot and the agent need 32. Guests that run more code
// use more; whenever the cache is full, QEMU discards all of it. QEMU's default is 1 GiB.
constexpr int kTranslationCacheMib = 128;

// One bridge has room for thirty devices, and delays the boot by a third of what four root ports cost
// (docs/network.md). The guest's kernel assigns memory windows to a bridge only if there is a device behind it at boot,
// and does not enlarge them later. So the rng device is always behind the bridge; the windows of 1 MiB each suffice for
// all devices.
constexpr std::string_view kBridgeSlot = "1d";
constexpr std::string_view kRngSlot = "01";
constexpr uint32_t kFirstPlace = 2;
constexpr uint32_t kPlaces = 29;

// Escapes an option's value: QEMU reads ",," as one comma.
std::string Escaped(std::string_view value) {
  std::string result;
  for (const char c : value) {
    result += c;
    if (c == ',') result += c;
  }
  return result;
}

// Builds the list of arguments. mmio: devices are on virtio-mmio (microvm) instead of PCI.
class Builder {
 public:
  Builder(std::string program, bool mmio) : mmio_(mmio) { argv_.push_back(std::move(program)); }

  void Flag(std::string flag) { argv_.push_back(std::move(flag)); }
  void Option(std::string name, std::string value) {
    argv_.push_back(std::move(name));
    argv_.push_back(std::move(value));
  }
  // A virtio device of the machine's bus. PCI devices get no option ROM, since no firmware boots from them.
  void Device(std::string_view type, const std::string& properties = "") {
    Option("-device", fmt::format("{}-{}{}{}", type, mmio_ ? "device" : "pci", properties, mmio_ ? "" : ",romfile="));
  }
  void Socket(std::string_view id, int fd, const std::string& more = "") {
    Option("-chardev", fmt::format("socket,id={},fd={}{}", id, fd, more));
  }
  std::vector<std::string> Take() { return std::move(argv_); }

 private:
  bool mmio_;
  std::vector<std::string> argv_;
};

std::string Machine(const config::HypervisorConfig& config) {
  std::string machine = config.machine_type;
  if (config.machine_type == "q35") {
    // Devices for which the guest has no driver or no use are off: less to probe at boot, and less attack surface. HPET
    // is not needed either: the guest's clock is kvmclock or the TSC.
    machine += ",smbus=off,sata=off,usb=off,vmport=off,hpet=off,graphics=off,i8042=off";
  } else if (config.machine_type == "microvm") {
    // With microvm's reduced-hardware ACPI there is no timer to calibrate the TSC with, and an emulated guest hangs.
    machine += ",acpi=off,x-option-roms=off";
  }
  // A core dump of QEMU is for debugging QEMU, and must not contain the guest's memory.
  machine += ",memory-backend=mem,dump-guest-core=off";
  if (!config.machine_accelerators.empty()) machine += "," + config.machine_accelerators;
  return machine;
}

std::string Memory(const config::HypervisorConfig& config, const VmSpec& spec) {
  // Shared, because the file server maps it. A memfd is charged to the sandbox's cgroup and leaves no file behind.
  std::string memory = fmt::format("memory-backend-memfd,id=mem,size={}M,share=on", spec.memory_mib);
  if (config.enable_hugepages) memory += ",hugetlb=on";
  if (config.enable_mem_prealloc) memory += ",prealloc=on";
  return memory;
}

// Room for more vCPUs and memory costs only address space and small tables: a boot takes at most 20 ms longer.
std::string Vcpus(const VmSpec& spec) {
  if (!CanAddVcpus(spec)) return std::to_string(spec.vcpus);
  return fmt::format("{},maxcpus={}", spec.vcpus, spec.max_vcpus);
}

std::string MemorySize(const config::HypervisorConfig& config, const VmSpec& spec) {
  if (!CanAddMemory(spec)) return fmt::format("{}M", spec.memory_mib);
  const uint32_t slots = config.enable_virtio_mem ? 0 : config.memory_slots;
  return fmt::format("{}M,slots={},maxmem={}M", spec.memory_mib, slots, MaxMemoryMib(spec));
}

void AddVirtioMem(Builder& builder, const config::HypervisorConfig& config, const VmSpec& spec) {
  if (!config.enable_virtio_mem || !CanAddMemory(spec)) return;
  builder.Option("-object",
                 fmt::format("memory-backend-memfd,id=vmem-memory,size={}M,share=on,reserve=off{}",
                             MaxMemoryMib(spec) - spec.memory_mib, config.enable_hugepages ? ",hugetlb=on" : ""));
  builder.Device("virtio-mem", fmt::format(",id={},memdev=vmem-memory,requested-size=0", kVirtioMem));
}

void AddAgent(Builder& builder, const Inputs& inputs) {
  if (inputs.agent_fd >= 0) {
    builder.Socket("agent", inputs.agent_fd);
    builder.Option("-device", fmt::format("virtserialport,chardev=agent,name={}", contract::kAgentPortName));
  } else {
    builder.Device("vhost-vsock", fmt::format(",vhostfd={},guest-cid={}", inputs.vsock_fd, inputs.guest_cid));
  }
}

// On a conventional PCI bus a virtio device would also have the legacy interface, which needs I/O ports: disable it.
std::string OnBridge(std::string_view slot) { return fmt::format(",bus={},addr={},disable-legacy=on", kBridge, slot); }

void AddNetwork(Builder& builder, const config::HypervisorConfig& config, const VmSpec& spec, const Inputs& inputs) {
  for (size_t i = 0; i < spec.network.size(); ++i) {
    const NetworkDevice& device = spec.network[i];
    const Inputs::Nic& nic = inputs.network[i];
    std::string netdev = fmt::format("tap,id={},fds={}", device.id, fmt::join(nic.taps, ":"));
    if (!nic.vhost.empty()) netdev += fmt::format(",vhost=on,vhostfds={}", fmt::join(nic.vhost, ":"));
    builder.Option("-netdev", netdev);
    std::string properties = fmt::format(",netdev={},id={},mac={}", device.id, NicId(device.id), device.mac);
    if (nic.taps.size() > 1) {
      properties += ",mq=on";
      // One interrupt for each queue, one for configuration changes, one for the control queue.
      if (config.machine_type != "microvm") properties += fmt::format(",vectors={}", 2 * nic.taps.size() + 2);
    }
    if (i < ColdPlugPlaces(config)) properties += OnBridge(PlaceAddress(static_cast<uint32_t>(i)));
    builder.Device("virtio-net", properties);
  }
}

}  // namespace

uint32_t Places(const config::HypervisorConfig& config) {
  return config.machine_type == "q35" && config.default_bridges > 0 ? kPlaces : 0;
}

std::string PlaceAddress(uint32_t place) { return fmt::format("{:02x}", kFirstPlace + place); }

std::string PlacePath(uint32_t place) { return fmt::format("{}/{}", kBridgeSlot, PlaceAddress(place)); }

uint32_t ColdPlugPlaces(const config::HypervisorConfig& config) { return Places(config) / 2; }

std::string NicId(const std::string& id) { return "nic-" + id; }

Result<std::vector<std::string>> Argv(const config::HypervisorConfig& config, const VmSpec& spec, const Inputs& inputs,
                                      const std::string& kernel_command_line) {
  if (spec.vcpus == 0) return Fail(Code::kInvalidArgument, "a machine needs at least one vCPU");
  if (spec.memory_mib == 0) return Fail(Code::kInvalidArgument, "a machine needs memory");
  const bool mmio = config.machine_type == "microvm";
  if (mmio && (CanAddVcpus(spec) || CanAddMemory(spec))) {
    return Fail(Code::kInvalidArgument,
                "a machine of type microvm cannot grow: set machine_type = \"q35\", or static_sandbox_resource_mgmt = "
                "true");
  }
  Builder builder(config.path, mmio);

  builder.Option("-name", fmt::format("sandbox-{},debug-threads=on", Escaped(spec.id)));
  for (const char* flag : {"-nodefaults", "-no-user-config", "-no-reboot"}) builder.Flag(flag);
  builder.Option("-sandbox", config.seccomp_sandbox);
  builder.Option("-display", "none");
  builder.Option("-vga", "none");
  builder.Option("-msg", "timestamp=off");
  builder.Option("-rtc", "base=utc");

  const bool kvm = inputs.accel == Accel::kKvm;
  builder.Option("-accel", kvm ? "kvm" : fmt::format("tcg,thread=multi,tb-size={}", kTranslationCacheMib));
  // Without erms: it makes the guest's kernel copy with string instructions, which tcg emulates byte by byte. Without
  // fsrm, which newer QEMUs emulate: with it and without erms, a kernel's memmove never ends.
  builder.Option("-cpu", std::string(kvm ? "host" : "max,-erms,-fsrm") + (config.cpu_features.empty() ? "" : ",") +
                             config.cpu_features);
  builder.Option("-machine", Machine(config));
  builder.Option("-smp", Vcpus(spec));
  builder.Option("-m", MemorySize(config, spec));
  builder.Option("-object", Memory(config, spec));
  // The virtio-fs device requires modern virtio (VIRTIO 1.0).
  if (mmio) builder.Option("-global", "virtio-mmio.force-legacy=false");

  if (!inputs.firmware.empty()) builder.Option("-bios", inputs.firmware);
  builder.Option("-kernel", FdPath(inputs.kernel_fd));
  builder.Option("-initrd", FdPath(inputs.initrd_fd));
  builder.Option("-append", kernel_command_line);

  builder.Socket("qmp", inputs.qmp_fd);
  builder.Option("-mon", "chardev=qmp,mode=control");

  // Both consoles share one stream: the serial port carries the kernel's output before its virtio driver starts.
  builder.Socket("console", inputs.console_fd, ",mux=on");
  builder.Option("-serial", "chardev:console");
  builder.Device("virtio-serial", ",max_ports=2");
  builder.Option("-device", "virtconsole,chardev=console");
  AddAgent(builder, inputs);

  builder.Option("-object", "rng-random,id=rng,filename=" + Escaped(config.entropy_source));
  const bool bridge = Places(config) > 0;
  if (bridge) {
    builder.Option("-device",
                   fmt::format("pci-bridge,id={},bus=pcie.0,addr={},chassis_nr=1,shpc=off", kBridge, kBridgeSlot));
  }
  builder.Device("virtio-rng", ",rng=rng" + (bridge ? OnBridge(kRngSlot) : ""));
  AddVirtioMem(builder, config, spec);
  if (config.reclaim_guest_freed_memory) builder.Device("virtio-balloon", ",free-page-reporting=on");
  if (inputs.shared_fs_fd >= 0) {
    builder.Socket("sharedfs", inputs.shared_fs_fd);
    builder.Device("vhost-user-fs", fmt::format(",chardev=sharedfs,tag={},queue-size={}", contract::kSharedFsTag,
                                                config.virtio_fs_queue_size));
  }
  AddNetwork(builder, config, spec, inputs);
  return builder.Take();
}

KernelWords QemuKernelWords(const config::Config& config, const VmSpec& spec, const AccelChoice& choice,
                            uint32_t tsc_khz) {
  KernelWords words;
  // reboot=t: by triple fault, which works in every machine type, and ends QEMU (-no-reboot).
  words.consoles = {"console=hvc0", "earlyprintk=serial,ttyS0,115200", "reboot=t"};
  if (choice.accel == Accel::kTcg) {
    // An emulated guest would spend a quarter of its boot on calibrating timers, with wrong results on a busy host
    // (guest/kernel/README.md). With kvm, kvmclock supplies the frequencies.
    words.others = {"tsc=reliable", "no_timer_check", "lapic_timer_khz=1000000"};
    // The file server fills pages of the guest behind QEMU's back. Code that QEMU has translated of what they held
    // before would run on (guest/kernel/patches/0023-*).
    words.others.emplace_back("virtiofs.rewrite_pages=1");
    if (tsc_khz != 0) words.others.push_back(fmt::format("tsc_early_khz={}", tsc_khz));
  }
  if (config.hypervisor.enable_virtio_mem && CanAddMemory(spec)) {
    // Put plugged memory into the movable zone, which the kernel does not use for itself, so that it can be unplugged.
    words.others.emplace_back("memory_hotplug.online_policy=auto-movable");
  }
  words.timeout_scale = choice.timeout_scale;
  return words;
}

}  // namespace kata::hypervisor::qemu
