// SPDX-License-Identifier: Apache-2.0
#include "agent/container/device_filter.h"

#include <gmock/gmock.h>

namespace kata::agent {
namespace {

using testing::HasSubstr;

constexpr uint32_t kMknod = BPF_DEVCG_ACC_MKNOD;
constexpr uint32_t kRead = BPF_DEVCG_ACC_READ;
constexpr uint32_t kWrite = BPF_DEVCG_ACC_WRITE;

// Interprets the program; knows only the instructions that BuildDeviceFilter uses.
bool Allows(const std::vector<bpf_insn>& program, char type, uint32_t major, uint32_t minor, uint32_t access) {
  const uint32_t context[3] = {access << 16U | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR), major, minor};
  uint64_t registers[11] = {};
  for (size_t at = 0; at < program.size(); ++at) {
    const bpf_insn& insn = program[at];
    uint64_t& to = registers[insn.dst_reg];
    const auto immediate = static_cast<uint64_t>(int64_t{insn.imm});
    switch (insn.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        to = context[insn.off / 4];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_X:
        to = registers[insn.src_reg];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        to = immediate;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        to = static_cast<uint32_t>(to & immediate);
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        to = static_cast<uint32_t>(to) >> insn.imm;
        break;
      case BPF_JMP | BPF_JNE | BPF_K:
        if (to != immediate) at += static_cast<size_t>(insn.off);
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        if (to == immediate) at += static_cast<size_t>(insn.off);
        break;
      case BPF_JMP | BPF_EXIT:
        return registers[0] == 1;
      default:
        ADD_FAILURE() << "unknown instruction " << int{insn.code};
        return false;
    }
  }
  ADD_FAILURE() << "the program has no end";
  return false;
}

grpc::LinuxDeviceCgroup Rule(bool allow, const std::string& type, int64_t major, int64_t minor,
                             const std::string& access) {
  grpc::LinuxDeviceCgroup rule;
  rule.set_allow(allow);
  rule.set_type(type);
  rule.set_major(major);
  rule.set_minor(minor);
  rule.set_access(access);
  return rule;
}

std::vector<bpf_insn> Filter(const std::vector<grpc::LinuxDeviceCgroup>& rules,
                             const std::vector<ProtectedDevice>& protected_devices = {}) {
  grpc::LinuxResources resources;
  for (const auto& rule : rules) *resources.add_devices() = rule;
  const auto all = DeviceRules(resources, protected_devices);
  EXPECT_TRUE(all) << all.error().message();
  return BuildDeviceFilter(*all);
}

TEST(DeviceFilter, DeniesAllButTheDefaults) {
  const auto filter = Filter({});
  EXPECT_TRUE(Allows(filter, 'c', 1, 3, kRead | kWrite));
  EXPECT_TRUE(Allows(filter, 'c', 136, 7, kRead | kWrite | kMknod));
  EXPECT_TRUE(Allows(filter, 'c', 10, 229, kMknod));
  EXPECT_TRUE(Allows(filter, 'b', 8, 0, kMknod));
  EXPECT_FALSE(Allows(filter, 'b', 8, 0, kRead));
  EXPECT_FALSE(Allows(filter, 'b', 1, 3, kRead));
  EXPECT_FALSE(Allows(filter, 'c', 1, 1, kRead));
  EXPECT_FALSE(Allows(filter, 'c', 10, 229, kMknod | kRead));
}

TEST(DeviceFilter, TheLastRuleForAnAccessCounts) {
  const auto filter =
      Filter({Rule(false, "a", -1, -1, "rwm"), Rule(true, "b", 8, -1, "rw"), Rule(false, "b", 8, 1, "w")});
  EXPECT_TRUE(Allows(filter, 'b', 8, 0, kRead | kWrite));
  EXPECT_TRUE(Allows(filter, 'b', 8, 1, kRead));
  EXPECT_FALSE(Allows(filter, 'b', 8, 1, kRead | kWrite));
  EXPECT_FALSE(Allows(filter, 'c', 8, 0, kRead));
  // Two rules together allow access that neither allows alone.
  const auto split = Filter({Rule(true, "c", 9, 9, "r"), Rule(true, "c", 9, -1, "w")});
  EXPECT_TRUE(Allows(split, 'c', 9, 9, kRead | kWrite));
  EXPECT_FALSE(Allows(split, 'c', 9, 8, kRead));
}

TEST(DeviceFilter, ProtectedDevicesStayDenied) {
  const auto filter = Filter({Rule(true, "a", 0, 0, "")}, {{'b', 254, 0}, {'c', 240, 1}});
  EXPECT_TRUE(Allows(filter, 'b', 8, 0, kRead | kWrite | kMknod));
  EXPECT_FALSE(Allows(filter, 'b', 254, 0, kRead));
  EXPECT_FALSE(Allows(filter, 'b', 254, 0, kMknod));
  EXPECT_FALSE(Allows(filter, 'c', 240, 1, kWrite));
  EXPECT_TRUE(Allows(filter, 'c', 254, 0, kRead));
}

// As with runc, letters other than r, w and m are ignored, and their order does not matter.
TEST(DeviceFilter, AccessHasTheLettersThatItHas) {
  const auto filter = Filter({Rule(true, "c", 9, 1, "rwa"), Rule(true, "c", 9, 2, "mwr"), Rule(true, "c", 9, 3, "x")});
  EXPECT_TRUE(Allows(filter, 'c', 9, 1, kRead | kWrite));
  EXPECT_TRUE(Allows(filter, 'c', 9, 2, kRead | kWrite | kMknod));
  EXPECT_FALSE(Allows(filter, 'c', 9, 3, kRead));
  EXPECT_TRUE(Allows(filter, 'c', 1, 3, kRead | kWrite));
}

TEST(DeviceFilter, RefusesUnknownTypes) {
  grpc::LinuxResources resources;
  *resources.add_devices() = Rule(true, "x", 1, 1, "r");
  const auto rules = DeviceRules(resources, {});
  ASSERT_FALSE(rules);
  EXPECT_THAT(rules.error().message(), HasSubstr("linux.resources.devices[0]"));
}

}  // namespace
}  // namespace kata::agent
