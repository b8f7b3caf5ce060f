// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/kvm_guest.h"

#if defined(__x86_64__)

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

// The code of the guest, with the bytes and numbers of kvm_guest.h. It is copied, so all its jumps are relative. cpuid
// changes eax, ebx, ecx and edx: the counters are elsewhere.
asm(R"(
  .pushsection .rodata
kata_kvm_guest:
  mov $'b', %al
  out %al, $0xe9
  ud2
  mov $'r', %al
  out %al, $0xe9
  movd %eax, %xmm0
  paddd %xmm0, %xmm0
  movd %xmm0, %eax
  mov $'c', %al
  out %al, $0xe9
  mov $'l', %al
  out %al, $0xe9
  mov $3, %esi
1:
  mov $100, %edi
2:
  xor %eax, %eax
  cpuid
  dec %edi
  jnz 2b
  mov $'l', %al
  out %al, $0xe9
  dec %esi
  jnz 1b
3:
  hlt
  jmp 3b
kata_kvm_guest_handler:
  mov $'e', %al
  out %al, $0xe9
  addq $2, (%rsp)
  iretq
kata_kvm_guest_end:
  .popsection
)");

extern "C" {
extern const uint8_t kata_kvm_guest[];
extern const uint8_t kata_kvm_guest_handler[];
extern const uint8_t kata_kvm_guest_end[];
}

namespace kata::hypervisor::kvm_guest {
namespace {

// Where things are in the guest's memory, each a page of its own. The stack grows down from the end.
constexpr uint64_t kPageTables = 0x1000;  // three pages: one for each level, of which the last has a page of 2 MiB
constexpr uint64_t kGdt = 0x4000;
constexpr uint64_t kIdt = 0x5000;
constexpr uint64_t kCode = 0x6000;
constexpr uint64_t kStack = kMemory;

constexpr int kIdtEntries = 32;  // of the processor's exceptions
constexpr uint16_t kCodeSelector = 8;
constexpr uint16_t kDataSelector = 16;
constexpr uint8_t kCodeType = 0xb;  // execute, read, accessed
constexpr uint8_t kDataType = 0x3;  // read, write, accessed

void Store(uint8_t* memory, uint64_t at, uint64_t value) { std::memcpy(memory + at, &value, sizeof value); }

// A segment of 64-bit mode, where base and limit mean nothing.
kvm_segment Segment(uint16_t selector, uint8_t type, bool code) {
  kvm_segment segment = {};
  segment.limit = UINT32_MAX;
  segment.selector = selector;
  segment.type = type;
  segment.present = 1;
  segment.l = code ? 1 : 0;
  segment.db = code ? 0 : 1;
  segment.s = 1;
  segment.g = 1;
  return segment;
}

}  // namespace

void Load(uint8_t* memory) {
  constexpr uint64_t kPresentWritable = 3;
  constexpr uint64_t kHugePage = 0x80;
  Store(memory, kPageTables, (kPageTables + 0x1000) | kPresentWritable);
  Store(memory, kPageTables + 0x1000, (kPageTables + 0x2000) | kPresentWritable);
  Store(memory, kPageTables + 0x2000, kHugePage | kPresentWritable);
  Store(memory, kGdt + kCodeSelector, 0x00af'9b00'0000'ffff);
  Store(memory, kGdt + kDataSelector, 0x00cf'9300'0000'ffff);
  std::memcpy(memory + kCode, kata_kvm_guest, kata_kvm_guest_end - kata_kvm_guest);
  // An entry of the table of exceptions: a present interrupt gate (0x8e), whose handler is below 64 KiB.
  const uint64_t handler = kCode + (kata_kvm_guest_handler - kata_kvm_guest);
  for (uint64_t entry = 0; entry < kIdtEntries; ++entry) {
    Store(memory, kIdt + 16 * entry, handler | uint64_t{kCodeSelector} << 16 | uint64_t{0x8e00} << 32);
  }
}

int SetRegisters(int vcpu) {
  kvm_sregs special = {};
  if (ioctl(vcpu, KVM_GET_SREGS, &special) != 0) return errno;
  special.cs = Segment(kCodeSelector, kCodeType, /*code=*/true);
  special.ds = Segment(kDataSelector, kDataType, /*code=*/false);
  special.es = special.fs = special.gs = special.ss = special.ds;
  special.gdt = {.base = kGdt, .limit = kDataSelector + 7, .padding = {}};
  special.idt = {.base = kIdt, .limit = kIdtEntries * 16 - 1, .padding = {}};
  special.cr0 = 0x8000'0033;  // paging, protection, and what a floating point unit needs: NE, ET, MP
  special.cr3 = kPageTables;
  special.cr4 = 0x620;   // PAE, and OSFXSR and OSXMMEXCPT for the instructions of SSE
  special.efer = 0x500;  // long mode, enabled and active
  if (ioctl(vcpu, KVM_SET_SREGS, &special) != 0) return errno;
  kvm_regs general = {};
  general.rip = kCode;
  general.rsp = kStack;
  general.rflags = 2;  // the bit that is always 1; no interrupts
  return ioctl(vcpu, KVM_SET_REGS, &general) == 0 ? 0 : errno;
}

}  // namespace kata::hypervisor::kvm_guest

#endif
