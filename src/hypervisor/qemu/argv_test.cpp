// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/argv.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata::hypervisor::qemu {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class ArgvTest : public ::testing::Test {
 protected:
  ArgvTest() {
    spec_.id = "pod1";
    spec_.vcpus = 2;
    spec_.memory_mib = 320;
    spec_.user = {1880000001, 1880000001};
    inputs_.kernel_fd = 3;
    inputs_.initrd_fd = 4;
    inputs_.qmp_fd = 5;
    inputs_.console_fd = 6;
    inputs_.agent_fd = 7;
    inputs_.shared_fs_fd = 8;
    config_.path = "/usr/bin/qemu-system-x86_64";
    config_.machine_type = "q35";
    config_.cpu_features.clear();
    config_.default_bridges = 0;
  }

  void AddNic(const std::string& id, size_t queues) {
    NetworkDevice& device = spec_.network.emplace_back();
    device.id = id;
    device.mac = fmt::format("02:00:00:00:00:{:02}", spec_.network.size());
    inputs_.network.emplace_back().taps.resize(queues, 20);
  }
  std::vector<std::string> Make() {
    auto argv = Argv(config_, spec_, inputs_, "console=hvc0 quiet");
    EXPECT_TRUE(argv) << argv.error().message();
    return argv.value_or(std::vector<std::string>{});
  }
  // An option and its value on one line.
  std::string Lines() {
    std::string text;
    for (const std::string& word : Make()) {
      if (!text.empty()) text += word.front() == '-' ? "\n" : " ";
      text += word;
    }
    return text + "\n";
  }

  config::HypervisorConfig config_;
  VmSpec spec_;
  Inputs inputs_;
};

TEST_F(ArgvTest, Q35Emulated) {
  config_.default_bridges = 1;
  AddNic("net0", 2);
  AddNic("net1", 1);
  inputs_.network[0].taps = {9, 10};
  inputs_.network[1].taps = {11};
  inputs_.network[1].vhost = {12};
  inputs_.firmware = "qboot.rom";
  EXPECT_EQ(Lines(), R"(/usr/bin/qemu-system-x86_64
-name sandbox-pod1,debug-threads=on
-nodefaults
-no-user-config
-no-reboot
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-display none
-vga none
-msg timestamp=off
-rtc base=utc
-accel tcg,thread=multi,tb-size=128
-cpu max,-erms,-fsrm
-machine q35,smbus=off,sata=off,usb=off,vmport=off,hpet=off,graphics=off,i8042=off,memory-backend=mem,dump-guest-core=off
-smp 2
-m 320M
-object memory-backend-memfd,id=mem,size=320M,share=on
-bios qboot.rom
-kernel /proc/self/fd/3
-initrd /proc/self/fd/4
-append console=hvc0 quiet
-chardev socket,id=qmp,fd=5
-mon chardev=qmp,mode=control
-chardev socket,id=console,fd=6,mux=on
-serial chardev:console
-device virtio-serial-pci,max_ports=2,romfile=
-device virtconsole,chardev=console
-chardev socket,id=agent,fd=7
-device virtserialport,chardev=agent,name=agent.channel.0
-object rng-random,id=rng,filename=/dev/urandom
-device pci-bridge,id=bridge0,bus=pcie.0,addr=1d,chassis_nr=1,shpc=off
-device virtio-rng-pci,rng=rng,bus=bridge0,addr=01,disable-legacy=on,romfile=
-chardev socket,id=sharedfs,fd=8
-device vhost-user-fs-pci,chardev=sharedfs,tag=kataShared,queue-size=1024,romfile=
-netdev tap,id=net0,fds=9:10
-device virtio-net-pci,netdev=net0,id=nic-net0,mac=02:00:00:00:00:01,mq=on,vectors=6,bus=bridge0,addr=02,disable-legacy=on,romfile=
-netdev tap,id=net1,fds=11,vhost=on,vhostfds=12
-device virtio-net-pci,netdev=net1,id=nic-net1,mac=02:00:00:00:00:02,bus=bridge0,addr=03,disable-legacy=on,romfile=
)");
}

TEST_F(ArgvTest, PlacesForDevices) {
  EXPECT_EQ(Places(config_), 0U);
  AddNic("net0", 1);
  EXPECT_THAT(Lines(), Not(HasSubstr("bridge")));
  config_.default_bridges = 1;
  EXPECT_EQ(PlaceAddress(Places(config_) - 1), "1e");
  EXPECT_EQ(PlacePath(0), "1d/02");
  // Some places stay free for devices that are plugged later.
  for (int more = 1; more < 32; ++more) AddNic(fmt::format("net{}", more), 1);
  EXPECT_THAT(Lines(), HasSubstr("addr=0f,disable-legacy=on"));
  EXPECT_THAT(Lines(), Not(HasSubstr("addr=10,")));
  spec_.network.resize(1);
  inputs_.network.resize(1);
  config_.machine_type = "microvm";
  EXPECT_THAT(Lines(), Not(HasSubstr("bridge")));
  EXPECT_THAT(Lines(), HasSubstr("-netdev tap,id=net0,fds=20\n"
                                 "-device virtio-net-device,netdev=net0,id=nic-net0,mac=02:00:00:00:00:01\n"));
}

TEST_F(ArgvTest, RoomToGrow) {
  EXPECT_THAT(Lines(), HasSubstr("-smp 2\n-m 320M\n"));
  // Ceilings that do not exceed the initial size: the command line is the same.
  const std::string fixed = Lines();
  spec_.max_vcpus = 2;
  spec_.max_memory_mib = 320;
  EXPECT_EQ(Lines(), fixed);
  spec_.max_vcpus = 8;
  spec_.max_memory_mib = 1000;
  EXPECT_THAT(Lines(), HasSubstr("-smp 2,maxcpus=8\n-m 320M,slots=10,maxmem=1088M\n"));
  config_.enable_virtio_mem = true;
  EXPECT_THAT(Lines(), HasSubstr("-m 320M,slots=0,maxmem=1088M\n"));
  EXPECT_THAT(Lines(), HasSubstr("-object memory-backend-memfd,id=vmem-memory,size=768M,share=on,reserve=off\n"
                                 "-device virtio-mem-pci,id=vmem,memdev=vmem-memory,requested-size=0,romfile=\n"));
  config_.machine_type = "microvm";
  EXPECT_FALSE(Argv(config_, spec_, inputs_, ""));
}

TEST_F(ArgvTest, MicrovmWithKvmAndVsock) {
  config_.machine_type = "microvm";
  inputs_.accel = Accel::kKvm;
  inputs_.agent_fd = -1;
  inputs_.vsock_fd = 7;
  inputs_.guest_cid = 4711;
  EXPECT_EQ(Lines(), R"(/usr/bin/qemu-system-x86_64
-name sandbox-pod1,debug-threads=on
-nodefaults
-no-user-config
-no-reboot
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-display none
-vga none
-msg timestamp=off
-rtc base=utc
-accel kvm
-cpu host
-machine microvm,acpi=off,x-option-roms=off,memory-backend=mem,dump-guest-core=off
-smp 2
-m 320M
-object memory-backend-memfd,id=mem,size=320M,share=on
-global virtio-mmio.force-legacy=false
-kernel /proc/self/fd/3
-initrd /proc/self/fd/4
-append console=hvc0 quiet
-chardev socket,id=qmp,fd=5
-mon chardev=qmp,mode=control
-chardev socket,id=console,fd=6,mux=on
-serial chardev:console
-device virtio-serial-device,max_ports=2
-device virtconsole,chardev=console
-device vhost-vsock-device,vhostfd=7,guest-cid=4711
-object rng-random,id=rng,filename=/dev/urandom
-device virtio-rng-device,rng=rng
-chardev socket,id=sharedfs,fd=8
-device vhost-user-fs-device,chardev=sharedfs,tag=kataShared,queue-size=1024
)");
}

TEST_F(ArgvTest, TheConfigurationsKeys) {
  config_.cpu_features = "pmu=off";
  config_.machine_accelerators = "nvdimm=on";
  config_.enable_hugepages = true;
  config_.enable_mem_prealloc = true;
  config_.reclaim_guest_freed_memory = true;
  config_.virtio_fs_queue_size = 128;
  const std::string lines = Lines();
  EXPECT_THAT(lines, HasSubstr("-cpu max,-erms,-fsrm,pmu=off\n"));
  EXPECT_THAT(lines, HasSubstr(",memory-backend=mem,dump-guest-core=off,nvdimm=on\n"));
  EXPECT_THAT(lines, HasSubstr("size=320M,share=on,hugetlb=on,prealloc=on\n"));
  EXPECT_THAT(lines, HasSubstr("-device virtio-balloon-pci,free-page-reporting=on,romfile=\n"));
  EXPECT_THAT(lines, HasSubstr("queue-size=128,"));
}

TEST_F(ArgvTest, NoSharedFileSystem) {
  inputs_.shared_fs_fd = -1;
  EXPECT_THAT(Lines(), Not(HasSubstr("vhost-user-fs")));
}

TEST_F(ArgvTest, QemusSandboxIsOnByDefault) {
  EXPECT_THAT(Make(), Contains("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
}

TEST_F(ArgvTest, ANameWithACommaIsNoOption) {
  spec_.id = "a,process=sshd";
  EXPECT_THAT(Make(), Contains("sandbox-a,,process=sshd,debug-threads=on"));
}

TEST_F(ArgvTest, MachinesThatCannotBe) {
  spec_.memory_mib = 0;
  EXPECT_FALSE(Argv(config_, spec_, inputs_, ""));
  spec_.memory_mib = 1;
  spec_.vcpus = 0;
  EXPECT_FALSE(Argv(config_, spec_, inputs_, ""));
}

std::string KernelLine(const config::Config& config, const VmSpec& spec, Accel accel, uint32_t tsc_khz) {
  return KernelCommandLine(
             config, spec,
             QemuKernelWords(config, spec, {.accel = accel, .why = "", .timeout_scale = accel == Accel::kTcg ? 5 : 1},
                             tsc_khz))
      .value();
}

TEST(QemuKernelWordsTest, Emulated) {
  config::Config config;
  config.hypervisor.kernel_params = "systemd.unified_cgroup_hierarchy=1";
  VmSpec spec;
  spec.kernel_parameters = {"last=1"};
  EXPECT_EQ(KernelLine(config, spec, Accel::kTcg, 2600000),
            "quiet console=hvc0 earlyprintk=serial,ttyS0,115200 reboot=t panic=-1 cgroup_no_v1=all random.trust_cpu=on "
            "rcupdate.rcu_expedited=1 noreplace-smp nomodule fb_tunnels=none bonding.max_bonds=0 dummy.numdummies=0 "
            "ifb.numifbs=0 nbd.nbds_max=0 zram.num_devices=0 tsc=reliable no_timer_check lapic_timer_khz=1000000 "
            "virtiofs.rewrite_pages=1 tsc_early_khz=2600000 "
            "agent.hotplug_timeout=30 agent.log=info systemd.unified_cgroup_hierarchy=1 last=1");
}

TEST(QemuKernelWordsTest, TimersAreToldOnlyToAnEmulatedGuest) {
  EXPECT_THAT(KernelLine({}, {}, Accel::kKvm, 2600000), Not(HasSubstr("_khz")));
  EXPECT_THAT(KernelLine({}, {}, Accel::kTcg, 0), Not(HasSubstr("tsc_early_khz")));
}

}  // namespace
}  // namespace kata::hypervisor::qemu
