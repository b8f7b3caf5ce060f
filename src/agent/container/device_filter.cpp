// SPDX-License-Identifier: Apache-2.0
#include "agent/container/device_filter.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace kata::agent {

namespace {

constexpr uint32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

bpf_insn Instruction(int code, int destination, int source, int offset, int32_t immediate) {
  bpf_insn instruction{};
  instruction.code = static_cast<uint8_t>(code);
  instruction.dst_reg = static_cast<uint8_t>(destination) & 0xfU;
  instruction.src_reg = static_cast<uint8_t>(source) & 0xfU;
  instruction.off = static_cast<int16_t>(offset);
  instruction.imm = immediate;
  return instruction;
}

// Registers of the BPF program.
enum : int {
  kAnswer = BPF_REG_0,
  kContext = BPF_REG_1,
  kType = BPF_REG_2,
  kLeft = BPF_REG_3,
  kMajor = BPF_REG_4,
  kMinor = BPF_REG_5,
  kScratch = BPF_REG_6
};

bpf_insn Load(int to, size_t offset) {
  return Instruction(BPF_LDX | BPF_MEM | BPF_W, to, kContext, static_cast<int>(offset), 0);
}

void Return(std::vector<bpf_insn>* program, bool allow) {
  program->push_back(Instruction(BPF_ALU64 | BPF_MOV | BPF_K, kAnswer, 0, 0, allow ? 1 : 0));
  program->push_back(Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

// Appends the code for a rule. kLeft holds those kinds of the requested access that no later rule has decided. An allow
// rule clears its kinds and returns "allowed" if none is left. A deny rule returns "denied" if one of its kinds is
// left.
void AddRule(const DeviceRule& rule, std::vector<bpf_insn>* program) {
  std::vector<bpf_insn> body;
  const auto access = static_cast<int32_t>(rule.access);
  if (rule.allow) {
    body.push_back(Instruction(BPF_ALU | BPF_AND | BPF_K, kLeft, 0, 0, ~access));
    body.push_back(Instruction(BPF_JMP | BPF_JNE | BPF_K, kLeft, 0, 2, 0));  // some are left: skips Return
    Return(&body, /*allow=*/true);
  } else {
    body.push_back(Instruction(BPF_ALU64 | BPF_MOV | BPF_X, kScratch, kLeft, 0, 0));
    body.push_back(Instruction(BPF_ALU | BPF_AND | BPF_K, kScratch, 0, 0, access));
    body.push_back(Instruction(BPF_JMP | BPF_JEQ | BPF_K, kScratch, 0, 2, 0));
    Return(&body, /*allow=*/false);
  }
  std::vector<std::pair<int, int32_t>> conditions;
  if (rule.type == 'b') conditions.emplace_back(kType, BPF_DEVCG_DEV_BLOCK);
  if (rule.type == 'c') conditions.emplace_back(kType, BPF_DEVCG_DEV_CHAR);
  if (rule.major >= 0) conditions.emplace_back(kMajor, static_cast<int32_t>(rule.major));
  if (rule.minor >= 0) conditions.emplace_back(kMinor, static_cast<int32_t>(rule.minor));
  for (size_t i = 0; i < conditions.size(); ++i) {
    const auto skip = static_cast<int>(conditions.size() - i - 1 + body.size());
    program->push_back(Instruction(BPF_JMP | BPF_JNE | BPF_K, conditions[i].first, 0, skip, conditions[i].second));
  }
  program->insert(program->end(), body.begin(), body.end());
}

// Letters other than r, w and m are ignored, as with runc. An empty text means all access.
uint32_t ParseAccess(const std::string& text) {
  uint32_t access = 0;
  for (const char c : text) {
    switch (c) {
      case 'r':
        access |= BPF_DEVCG_ACC_READ;
        break;
      case 'w':
        access |= BPF_DEVCG_ACC_WRITE;
        break;
      case 'm':
        access |= BPF_DEVCG_ACC_MKNOD;
        break;
      default:
        break;
    }
  }
  return text.empty() ? kAllAccess : access;
}

int Bpf(bpf_cmd command, bpf_attr* attributes) {
  return static_cast<int>(syscall(SYS_bpf, command, attributes, sizeof *attributes));
}

}  // namespace

Result<std::vector<DeviceRule>> DeviceRules(const grpc::LinuxResources& resources,
                                            const std::vector<ProtectedDevice>& protected_devices) {
  std::vector<DeviceRule> rules;
  for (int i = 0; i < resources.devices_size(); ++i) {
    const auto& device = resources.devices(i);
    DeviceRule rule;
    rule.allow = device.allow();
    if (device.type() == "b" || device.type() == "c") {
      rule.type = device.type().front();
    } else if (!device.type().empty() && device.type() != "a") {
      return Fail(Code::kInvalidArgument, "linux.resources.devices[{}].type: \"{}\" is not a, b or c", i,
                  device.type());
    }
    // "a" means all devices. Its major and minor, which the protocol cannot leave out, mean nothing.
    if (rule.type != 'a') {
      rule.major = device.major();
      rule.minor = device.minor();
    }
    rule.access = ParseAccess(device.access());
    if (rule.access != 0) rules.push_back(rule);
  }
  constexpr uint32_t kMknod = BPF_DEVCG_ACC_MKNOD;
  rules.insert(rules.end(), {{true, 'c', -1, -1, kMknod},
                             {true, 'b', -1, -1, kMknod},
                             {true, 'c', 1, 3, kAllAccess},       // null
                             {true, 'c', 1, 5, kAllAccess},       // zero
                             {true, 'c', 1, 7, kAllAccess},       // full
                             {true, 'c', 1, 8, kAllAccess},       // random
                             {true, 'c', 1, 9, kAllAccess},       // urandom
                             {true, 'c', 5, 0, kAllAccess},       // tty
                             {true, 'c', 5, 2, kAllAccess},       // ptmx
                             {true, 'c', 136, -1, kAllAccess}});  // pts
  for (const ProtectedDevice& device : protected_devices) {
    rules.push_back({false, device.type, device.major, device.minor, kAllAccess});
  }
  return rules;
}

std::vector<bpf_insn> BuildDeviceFilter(const std::vector<DeviceRule>& rules) {
  std::vector<bpf_insn> program;
  // access_type is (access << 16) | type.
  program.push_back(Load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)));
  program.push_back(Instruction(BPF_ALU64 | BPF_MOV | BPF_X, kLeft, kType, 0, 0));
  program.push_back(Instruction(BPF_ALU | BPF_AND | BPF_K, kType, 0, 0, 0xffff));
  program.push_back(Instruction(BPF_ALU | BPF_RSH | BPF_K, kLeft, 0, 0, 16));
  program.push_back(Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)));
  program.push_back(Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)));
  // The code tests the last rule first. Rules before one that matches everything can never be reached, and the verifier
  // refuses dead code.
  bool open_end = true;
  for (auto rule = rules.rbegin(); rule != rules.rend() && open_end; ++rule) {
    AddRule(*rule, &program);
    open_end = rule->type != 'a' || rule->major >= 0 || rule->minor >= 0 || rule->access != kAllAccess;
  }
  Return(&program, /*allow=*/false);
  return program;
}

Result<UniqueFd> AttachDeviceFilter(int cgroup, const std::vector<bpf_insn>& filter, int old_program) {
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<uint64_t>(filter.data());
  load.insn_cnt = static_cast<uint32_t>(filter.size());
  load.license = reinterpret_cast<uint64_t>(kLicense);
  UniqueFd program;
  do {
    program.Reset(Bpf(BPF_PROG_LOAD, &load));
    // A pending signal, such as SIGCHLD for another container, makes the verifier give up with EAGAIN.
  } while (!program && errno == EAGAIN);
  if (!program) return FailErrno("linux.resources.devices: cannot load the device filter (BPF_PROG_LOAD)");
  bpf_attr attach{};
  attach.target_fd = static_cast<uint32_t>(cgroup);
  attach.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (old_program >= 0) {
    attach.attach_flags |= BPF_F_REPLACE;
    attach.replace_bpf_fd = static_cast<uint32_t>(old_program);
  }
  if (Bpf(BPF_PROG_ATTACH, &attach) != 0) {
    return FailErrno("linux.resources.devices: cannot attach the device filter to the cgroup (BPF_PROG_ATTACH)");
  }
  return program;
}

}  // namespace kata::agent
