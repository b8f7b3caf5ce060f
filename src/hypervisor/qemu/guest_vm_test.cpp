// SPDX-License-Identifier: Apache-2.0
// What is plugged into a running VM, as the real agent in its guest sees it; and the agent's calls that need a
// guest of their own. The containers' root is on a plugged disk, so no file system is shared.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "hypervisor/hypervisor.h"
#include "protocol/agent.pb.h"
#include "protocol/wkt.pb.h"
#include "rpc/client.h"

namespace kata::hypervisor::qemu {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using wkt::Empty;

constexpr uid_t kUser = 1880000000 + 78;
constexpr char kShared[] = "/run/kata-containers/shared/containers";

std::string GuestDir() {
  const char* directory = getenv("KATA_TEST_GUEST");
  return directory != nullptr ? directory : KATA_GUEST_DIR;
}

void RunProgram(const std::vector<std::string>& argv) {
  Command command;
  command.argv = argv;
  auto child = Spawn(command);
  ASSERT_TRUE(child) << child.error().message();
  ASSERT_EQ(child->Wait()->Shell(), 0) << argv[0];
}

class GuestVm : public ::testing::Test {
 protected:
  GuestVm() {
    directory_ = ::testing::TempDir() + "/guest_vm_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    config_.hypervisor.accel = "tcg";
    config_.hypervisor.kernel = GuestDir() + "/vmlinux";
    config_.hypervisor.initrd = GuestDir() + "/kata-containers-initrd.img";
    spec_.id = "guest-test";
    spec_.memory_mib = 256;
    spec_.user = {kUser, kUser};
  }
  ~GuestVm() override {
    if (client_) client_->Close();
    driver_.reset();
    context_.restart();
    context_.poll();
    fs::remove_all(directory_);
  }

  template <typename T>
  T Run(asio::awaitable<T> work) {
    std::optional<T> result;
    asio::co_spawn(context_, std::move(work), [&result](std::exception_ptr, T value) { result = std::move(value); });
    context_.restart();
    while (!result && context_.run_one() > 0) {
    }
    return *std::move(result);
  }
  template <typename Reply, typename Request>
  Result<Reply> Call(const std::string& method, const Request& request) {
    return Run(client_->Call<Reply>("grpc.AgentService", method, request, std::chrono::milliseconds(100000)));
  }
  template <typename Request>
  ::testing::AssertionResult Does(const std::string& method, const Request& request) {
    const auto done = Call<Empty>(method, request);
    return done ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << done.error().message();
  }

  void Start() {
    driver_ = CreateHypervisor(context_.get_executor(), config_).value();
    const auto started = Run(driver_->Start(std::move(spec_)));
    ASSERT_TRUE(started) << started.error().message();
    auto agent = Run(driver_->ConnectAgent());
    ASSERT_TRUE(agent) << agent.error().message();
    client_ = rpc::Client::Create(context_.get_executor(), *std::move(agent));
    ASSERT_TRUE(Does("CreateSandbox", grpc::CreateSandboxRequest())) << driver_->ConsoleTail();
  }

  std::string Image(const std::string& name, uintmax_t mib) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path).close();
    fs::resize_file(path, mib << 20U);
    return path;
  }
  BlockDevice Disk(const std::string& name, bool read_only = false) const {
    BlockDevice disk;
    disk.id = name;
    disk.file = Open(directory_ + "/" + name, read_only ? O_RDONLY : O_RDWR).value();
    disk.read_only = read_only;
    return disk;
  }
  Result<GuestAddress> Plug(const std::string& name, bool read_only = false) {
    return Run(driver_->AddBlockDevice(Disk(name, read_only)));
  }
  Result<> Unplug(const std::string& name) { return Run(driver_->RemoveBlockDevice(name)); }

  // Plugs a disk "root" with a file system that contains busybox.
  void PlugRoot() {
    RunProgram({KATA_ROOTFS_SCRIPT, directory_ + "/rootfs"});
    const std::string image = Image("root", 32);
    RunProgram({"mkfs.ext4", "-q", "-F", "-d", directory_ + "/rootfs", image});
    auto address = Plug("root");
    ASSERT_TRUE(address) << address.error().message();
    root_ = *address;
  }

  grpc::CreateContainerRequest Container(const std::string& id, const std::string& script) const {
    grpc::CreateContainerRequest request;
    request.set_container_id(id);
    request.set_exec_id(id);
    auto* storage = request.add_storages();
    storage->set_driver(root_.driver);
    storage->set_source(root_.address);
    storage->set_fstype("ext4");
    storage->set_mount_point(fmt::format("{}/rootfs", kShared));
    auto* spec = request.mutable_oci();
    spec->mutable_root()->set_path(storage->mount_point());
    for (const char* arg : {"/bin/sh", "-c"}) spec->mutable_process()->add_args(arg);
    spec->mutable_process()->add_args(script);
    spec->mutable_process()->add_env("PATH=/bin:/sbin:/usr/bin");
    spec->mutable_process()->set_cwd("/");
    for (const char* type : {"pid", "mount", "ipc", "uts"}) spec->mutable_linux()->add_namespaces()->set_type(type);
    for (const auto& [place, type] : {std::pair{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "tmpfs"}}) {
      auto* mount = spec->add_mounts();
      mount->set_destination(place);
      mount->set_source(type);
      mount->set_type(type);
    }
    return request;
  }
  // Runs the command to its end; returns its output without the last newline.
  std::string Output(const grpc::CreateContainerRequest& request) {
    const std::string& id = request.container_id();
    EXPECT_TRUE(Does("CreateContainer", request));
    grpc::StartContainerRequest start;
    start.set_container_id(id);
    EXPECT_TRUE(Does("StartContainer", start));
    grpc::ReadStreamRequest read;
    read.set_container_id(id);
    read.set_exec_id(id);
    read.set_len(65536);
    std::string all;
    for (const char* method : {"ReadStdout", "ReadStderr"}) {
      for (;;) {
        auto part = Call<grpc::ReadStreamResponse>(method, read);
        if (!part || part->data().empty()) break;
        all += part->data();
      }
    }
    grpc::RemoveContainerRequest remove;
    remove.set_container_id(id);
    EXPECT_TRUE(Does("RemoveContainer", remove));
    while (all.ends_with('\n')) all.pop_back();
    return all;
  }
  std::string Output(const std::string& script) { return Output(Container("c", script)); }
  uint64_t MemoryMib() { return std::stoull(Output("awk '/MemTotal/{print $2}' /proc/meminfo")) / 1024; }
  void Online(uint32_t cpus) {
    grpc::OnlineCPUMemRequest online;
    online.set_wait(true);
    online.set_nb_cpus(cpus);
    ASSERT_TRUE(Does("OnlineCPUMem", online));
  }

  asio::io_context context_;
  config::Config config_;
  VmSpec spec_;
  std::string directory_;
  GuestAddress root_;
  std::unique_ptr<Hypervisor> driver_;
  std::shared_ptr<rpc::Client> client_;
};

// The root's disk, and a disk that the container has as a device with the host's numbers.
class DisksOfVm : public GuestVm {
 protected:
  void TestDisks() {
    Start();
    PlugRoot();
    std::ofstream(Image("data", 1), std::ios::in) << "content of the disk";
    std::ofstream(Image("fixed", 1), std::ios::in) << "fixed content";
    auto data = Plug("data");
    ASSERT_TRUE(data) << data.error().message();
    auto fixed = Plug("fixed", true);
    ASSERT_TRUE(fixed) << fixed.error().message();
    EXPECT_NE(data->address, fixed->address);
    EXPECT_EQ(Plug("data").error().code(), Code::kAlreadyExists);

    auto request = Container("disks",
                             "head -c 19 /dev/xvda; echo; head -c 13 /dev/xvdb; echo; "
                             "printf changed | dd of=/dev/xvda conv=notrunc,fsync 2>/dev/null && echo written; "
                             "printf x 2>/dev/null >/dev/xvdb || echo read-only; sync");
    int minor = 0;
    for (const auto& [path, address] : {std::pair{"/dev/xvda", *data}, {"/dev/xvdb", *fixed}}) {
      auto* device = request.add_devices();
      device->set_type(address.driver);
      device->set_id(address.address);
      device->set_container_path(path);
      auto* node = request.mutable_oci()->mutable_linux()->add_devices();
      node->set_path(path);
      node->set_type("b");
      node->set_major(259);
      node->set_minor(++minor);
      auto* rule = request.mutable_oci()->mutable_linux()->mutable_resources()->add_devices();
      rule->set_allow(true);
      rule->set_type("b");
      rule->set_major(259);
      rule->set_minor(minor);
      rule->set_access(address.address == fixed->address ? "r" : "rwm");
    }
    EXPECT_EQ(Output(request), "content of the disk\nfixed content\nwritten\nread-only");
    EXPECT_EQ(ReadFile(directory_ + "/data")->substr(0, 10), "changed of");

    for (const char* name : {"data", "fixed"}) {
      auto gone = Unplug(name);
      EXPECT_TRUE(gone) << gone.error().message();
      EXPECT_EQ(Unplug(name).error().code(), Code::kNotFound);
    }
    EXPECT_EQ(Output("ls /sys/class/block | wc -l"), "1") << "the root's disk is left";
    auto gone = Unplug("root");
    EXPECT_TRUE(gone) << gone.error().message();
    auto again = Plug("root");
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->address, root_.address) << "the place and the number are free again";
    EXPECT_EQ(Output("echo it is back"), "it is back");
  }
};

TEST_F(DisksOfVm, VirtioBlk) { TestDisks(); }

TEST_F(DisksOfVm, VirtioScsi) {
  config_.hypervisor.block_device_driver = "virtio-scsi";
  config_.hypervisor.block_device_cache_set = true;
  config_.hypervisor.block_device_cache_direct = true;
  TestDisks();
}

TEST_F(GuestVm, DisksThatCannotBe) {
  Start();
  Image("one", 1);
  auto read_only = Disk("one", true);
  read_only.read_only = false;
  EXPECT_EQ(Run(driver_->AddBlockDevice(std::move(read_only))).error().code(), Code::kInvalidArgument);
  BlockDevice dir;
  dir.id = "directory";
  dir.file = Open(directory_, O_RDONLY | O_DIRECTORY).value();
  dir.read_only = true;
  EXPECT_EQ(Run(driver_->AddBlockDevice(std::move(dir))).error().code(), Code::kInvalidArgument);
  BlockDevice nothing;
  nothing.id = "nothing";
  EXPECT_EQ(Run(driver_->AddBlockDevice(std::move(nothing))).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Unplug("one").error().code(), Code::kNotFound);
  // A second disk on the same image: QEMU locks it for the first, as it would for another process.
  ASSERT_TRUE(Plug("one"));
  BlockDevice second = Disk("one");
  second.id = "second";
  EXPECT_EQ(Run(driver_->AddBlockDevice(std::move(second))).error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(Unplug("one"));
  // More disks than places; each one that does not fit must leave nothing behind.
  int plugged = 0;
  Result<GuestAddress> last = GuestAddress();
  for (int i = 0; i < 32 && last; ++i) {
    Image(fmt::format("disk{}", i), 1);
    last = Plug(fmt::format("disk{}", i));
    plugged += last ? 1 : 0;
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code(), Code::kResourceExhausted) << last.error().message();
  EXPECT_THAT(last.error().message(), HasSubstr("virtio-scsi"));
  EXPECT_GE(plugged, 28);
  ASSERT_TRUE(Unplug("disk3"));
  EXPECT_TRUE(Plug("one"));
}

TEST_F(GuestVm, ProcessorsCome) {
  spec_.max_vcpus = 3;
  Start();
  PlugRoot();
  EXPECT_EQ(Output("nproc"), "1");
  EXPECT_EQ(Run(driver_->SetVcpus(0)).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Run(driver_->SetVcpus(4)).error().code(), Code::kInvalidArgument);
  auto count = Run(driver_->SetVcpus(3));
  ASSERT_TRUE(count) << count.error().message();
  EXPECT_EQ(*count, 3U);
  Online(2);
  EXPECT_EQ(Output("nproc"), "3");
  count = Run(driver_->SetVcpus(1));
  ASSERT_TRUE(count) << count.error().message();
  EXPECT_EQ(*count, 3U) << "an emulated one stays";
  EXPECT_EQ(Output("nproc"), "3");
}

TEST_F(GuestVm, MemoryComesInDimms) {
  spec_.max_memory_mib = 768;
  config_.hypervisor.memory_slots = 2;
  Start();
  PlugRoot();
  const uint64_t before = MemoryMib();
  auto size = Run(driver_->SetMemory(500));
  ASSERT_TRUE(size) << size.error().message();
  EXPECT_EQ(*size, 512U);
  Online(0);
  EXPECT_GT(MemoryMib(), before + 200);
  EXPECT_EQ(*Run(driver_->SetMemory(256)), 512U) << "a DIMM stays";
  EXPECT_EQ(Run(driver_->SetMemory(1024)).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(*Run(driver_->SetMemory(513)), 640U);
  EXPECT_EQ(Run(driver_->SetMemory(768)).error().code(), Code::kResourceExhausted);
}

TEST_F(GuestVm, VirtioMemComesAndGoes) {
  spec_.max_memory_mib = 1024;
  config_.hypervisor.enable_virtio_mem = true;
  config_.hypervisor.reclaim_guest_freed_memory = true;
  Start();
  PlugRoot();
  const uint64_t before = MemoryMib();
  auto size = Run(driver_->SetMemory(768));
  ASSERT_TRUE(size) << size.error().message();
  EXPECT_EQ(*size, 768U);
  EXPECT_GT(MemoryMib(), before + 400);
  size = Run(driver_->SetMemory(256));
  ASSERT_TRUE(size) << size.error().message();
  EXPECT_LT(*size, 768U);
  EXPECT_LT(MemoryMib(), before + 400);
}

TEST_F(GuestVm, AMachineThatCannotGrow) {
  Start();
  EXPECT_EQ(*Run(driver_->SetVcpus(1)), 1U);
  EXPECT_EQ(Run(driver_->SetVcpus(2)).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Run(driver_->SetMemory(512)).error().code(), Code::kInvalidArgument);
}

TEST_F(GuestVm, SwapVolumesMetricsAndFilters) {
  spec_.kernel_parameters = {"agent.hotplug_timeout=2"};
  Start();
  PlugRoot();
  RunProgram({"mkswap", "-q", Image("swap", 8)});
  const auto swap = Plug("swap");
  ASSERT_TRUE(swap) << swap.error().message();
  grpc::AddSwapRequest add;
  for (size_t start = 0; start < swap->address.size(); start += 3) {
    add.add_pcipath(static_cast<uint32_t>(std::stoul(swap->address.substr(start, 2), nullptr, 16)));
  }
  ASSERT_TRUE(Does("AddSwap", add));
  EXPECT_EQ(Output("awk '/SwapTotal/{print $2}' /proc/meminfo"), "8188");

  // The root stays mounted while the container exists.
  ASSERT_TRUE(Does("CreateContainer", Container("keeps", "sleep 1000")));
  grpc::VolumeStatsRequest volume;
  volume.set_volume_guest_path(fmt::format("{}/rootfs", kShared));
  const auto stats = Call<grpc::VolumeStatsResponse>("GetVolumeStats", volume);
  ASSERT_TRUE(stats) << stats.error().message();
  const uint64_t total = stats->usage(0).total();
  EXPECT_GT(total, 20U << 20U);
  EXPECT_GT(stats->usage(0).used(), 1U << 20U);

  const auto metrics = Call<grpc::Metrics>("GetMetrics", grpc::GetMetricsRequest());
  ASSERT_TRUE(metrics) << metrics.error().message();
  EXPECT_THAT(metrics->metrics(), HasSubstr("kata_guest_cpu_time{cpu=\"0\",item=\"user\"} "));
  EXPECT_THAT(metrics->metrics(), HasSubstr("kata_guest_diskstat{disk=\"vda\",item=\"reads\"} "));
  EXPECT_THAT(metrics->metrics(), HasSubstr("kata_agent_threads 1\n"));

  // The initrd has this program only if it was built with it.
  const auto tables = Call<grpc::GetIPTablesResponse>("GetIPTables", grpc::GetIPTablesRequest());
  ASSERT_FALSE(tables);
  EXPECT_EQ(tables.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(tables.error().message(), HasSubstr("guest/initrd/build.sh --add"));
  EXPECT_EQ(Call<grpc::SetIPTablesResponse>("SetIPTables", grpc::SetIPTablesRequest()).error().code(),
            Code::kFailedPrecondition);

  grpc::AddSwapPathRequest path;
  path.set_path("/dev/nothing");
  EXPECT_EQ(Call<Empty>("AddSwapPath", path).error().code(), Code::kNotFound);
  grpc::MemHotplugByProbeRequest probe;
  probe.add_memhotplugprobeaddr(1U << 30U);
  EXPECT_THAT(Call<Empty>("MemHotplugByProbe", probe).error().message(), HasSubstr("ARCH_MEMORY_PROBE"));
}

TEST_F(GuestVm, EachContainerThatLosesAProcessIsReported) {
  Start();
  PlugRoot();
  std::set<std::string> lost;
  for (const char* id : {"first", "second"}) {
    auto request = Container(id, "tail /dev/zero; sleep 1000");
    request.mutable_oci()->mutable_linux()->mutable_resources()->mutable_memory()->set_limit(16 << 20);
    ASSERT_TRUE(Does("CreateContainer", request));
    grpc::StartContainerRequest start;
    start.set_container_id(id);
    ASSERT_TRUE(Does("StartContainer", start));
  }
  for (int i = 0; i < 2; ++i) {
    const auto event = Call<grpc::OOMEvent>("GetOOMEvent", grpc::GetOOMEventRequest());
    ASSERT_TRUE(event) << event.error().message();
    lost.insert(event->container_id());
  }
  EXPECT_EQ(lost, (std::set<std::string>{"first", "second"}));
  grpc::StatsContainerRequest about;
  about.set_container_id("first");
  const auto stats = Call<grpc::StatsContainerResponse>("StatsContainer", about);
  ASSERT_TRUE(stats) << stats.error().message();
  const auto& cgroup = stats->cgroup_stats();
  EXPECT_GT(cgroup.cpu_stats().cpu_usage().total_usage(), 0U);
  EXPECT_EQ(cgroup.memory_stats().usage().limit(), 16U << 20U);
  EXPECT_GT(cgroup.memory_stats().usage().max_usage(), 15U << 20U);
  EXPECT_GT(cgroup.memory_stats().usage().failcnt(), 0U);
  EXPECT_GT(cgroup.memory_stats().stats().count("anon"), 0U);
  EXPECT_GE(cgroup.pids_stats().current(), 1U);
  EXPECT_GT(cgroup.blkio_stats().io_service_bytes_recursive_size(), 0);
  EXPECT_GT(cgroup.hugetlb_stats_size(), 0);
}

}  // namespace
}  // namespace kata::hypervisor::qemu
