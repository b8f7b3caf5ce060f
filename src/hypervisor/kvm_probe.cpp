// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/kvm_probe.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "base/child.h"
#include "base/patience.h"
#include "hypervisor/kvm_guest.h"

namespace kata::hypervisor {
namespace {

using std::chrono::nanoseconds;

// What the child has seen, as it is written into the pipe. The child allocates nothing: the caller may have threads.
struct Report {
  enum class Step : uint32_t { kSetUp, kRun, kHalted };
  Step step = Step::kSetUp;
  int sys = 0;          // of the call that failed
  uint32_t exit = 0;    // KVM_EXIT_... that ended the guest
  uint32_t detail = 0;  // of KVM_EXIT_INTERNAL_ERROR
  uint32_t told = 0;    // how many bytes of its port were as they should be
  int64_t exit_ns = 0;
};

#if defined(__x86_64__)

int64_t Now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The byte that comes as number index of those that the guest writes to its port.
uint8_t Expected(uint32_t index) {
  constexpr uint8_t kBeginning[] = {kvm_guest::kBegan, kvm_guest::kExcepted, kvm_guest::kResumed, kvm_guest::kComputed};
  if (index < std::size(kBeginning)) return kBeginning[index];
  return index <= std::size(kBeginning) + kvm_guest::kLaps ? kvm_guest::kLap : 0;
}

// Runs the vCPU until it halts, or does something that it should not.
void Run(int vcpu, kvm_run* run, Report& report) {
  report.step = Report::Step::kRun;
  int64_t lap = 0;
  while (true) {
    if (ioctl(vcpu, KVM_RUN, 0) != 0) {
      report.sys = errno;
      if (report.sys == EINTR) continue;
      return;
    }
    report.exit = run->exit_reason;
    if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) report.detail = run->internal.suberror;
    if (run->exit_reason == KVM_EXIT_HLT && Expected(report.told) == 0) report.step = Report::Step::kHalted;
    if (run->exit_reason != KVM_EXIT_IO || run->io.port != kvm_guest::kPort) return;
    const uint8_t byte = reinterpret_cast<const uint8_t*>(run)[run->io.data_offset];
    if (byte != Expected(report.told)) return;
    ++report.told;
    if (byte != kvm_guest::kLap) continue;
    // The shortest lap counts: in the others something else may have had the processor.
    const int64_t now = Now();
    const int64_t exit_ns = (now - lap) / kvm_guest::kExits;
    if (lap != 0) report.exit_ns = report.exit_ns == 0 ? exit_ns : std::min(report.exit_ns, exit_ns);
    lap = now;
  }
}

// Gives the vCPU all that KVM can show of this processor. Without that it has none of its abilities, not even long
// mode, and newer kernels than 6.1 refuse registers that need them.
bool ShowProcessor(int kvm, int vcpu) {
  constexpr uint32_t kMost = 256;
  // As kvm_cpuid2, which has another size in C++ than in C, and so its ioctls have other numbers than the kernel's.
  struct Head {
    uint32_t count;
    uint32_t padding;
  };
  struct {
    Head head;
    std::array<kvm_cpuid_entry2, kMost> entries;
  } shown = {};
  shown.head.count = kMost;
  return ioctl(kvm, _IOWR(KVMIO, 0x05, Head), &shown) == 0 && ioctl(vcpu, _IOW(KVMIO, 0x90, Head), &shown) == 0;
}

// Makes the VM and runs it.
void MakeAndRun(int kvm, Report& report) {
  const auto failed = [&report](bool bad) {
    if (bad) report.sys = errno;
    return bad;
  };
  const int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (failed(run_size < 0 || vm < 0)) return;
  void* memory = mmap(nullptr, kvm_guest::kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (failed(memory == MAP_FAILED)) return;
  kvm_guest::Load(static_cast<uint8_t*>(memory));
  kvm_userspace_memory_region region = {};
  region.memory_size = kvm_guest::kMemory;
  region.userspace_addr = reinterpret_cast<uint64_t>(memory);
  if (failed(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)) return;
  const int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (failed(vcpu < 0) || failed(!ShowProcessor(kvm, vcpu))) return;
  void* run = mmap(nullptr, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  if (failed(run == MAP_FAILED)) return;
  report.sys = kvm_guest::SetRegisters(vcpu);
  if (report.sys == 0) Run(vcpu, static_cast<kvm_run*>(run), report);
}

#else

void MakeAndRun(int kvm, Report& report) {
  if (ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
    report.sys = errno;
  } else {
    report.step = Report::Step::kHalted;
  }
}

#endif

std::string Why(const Report& report) {
  if (report.step == Report::Step::kSetUp) return fmt::format("no VM can be made: {}", ErrnoText(report.sys));
  if (report.sys != 0) return fmt::format("a VM does not run: {}", ErrnoText(report.sys));
  if (report.exit == KVM_EXIT_INTERNAL_ERROR && report.detail == KVM_INTERNAL_ERROR_EMULATION) {
    return "a VM is emulated by the kernel and not run by the processor";
  }
  return fmt::format("a VM ended after step {} (exit {}, {} of KVM)", report.told, report.exit, report.detail);
}

// Something that passes: memory or descriptors are short, or another VMM has the processor's virtualization for itself.
bool Passes(int sys) { return sys == ENOMEM || sys == EBUSY || sys == EAGAIN || sys == EMFILE || sys == ENFILE; }

}  // namespace

Result<KvmProbe> ProbeKvm(int kvm, std::chrono::milliseconds time) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  // A process of its own, since a KVM that does not work may not return from the call that runs a guest.
  const Child child = TRY(Fork({.fds = {-1, -1, -1, kvm, writer.get()}}, [] {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    Report report;
    MakeAndRun(3, report);
    _exit(write(4, &report, sizeof report) == sizeof report ? 0 : 1);
  }));
  writer.Reset();
  Patience patience = PatienceWith({child.pid()}, time, Patience::Kind::kAnswer, kTimeoutFactorKey);
  if (!AwaitReadable(reader.get(), patience)) {
    return KvmProbe{.works = false, .why = fmt::format("a VM hangs: it has not ended {}", patience.Text())};
  }
  Report report;
  if (read(reader.get(), &report, sizeof report) != sizeof report) {
    return Fail(Code::kUnavailable, "the process that tries a VM was killed");
  }
  if (Passes(report.sys)) return FailWith(report.sys, "no VM can be tried");
  const bool works = report.step == Report::Step::kHalted;
  return KvmProbe{works, works ? "" : Why(report), nanoseconds(report.exit_ns)};
}

}  // namespace kata::hypervisor
