// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network/loopback.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>

namespace kata::sandbox::network {
namespace {

constexpr int kBacklog = 64;
// Placeholders for jump distances, which Program replaces: to let a connection pass, and to catch it.
constexpr int16_t kToPass = INT16_MAX;
constexpr int16_t kToCatch = INT16_MAX - 1;

int Bpf(bpf_cmd command, bpf_attr& attributes) {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

template <typename T>
uint64_t Address(const T* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

constexpr bpf_insn Insn(int code, int to, int from, int16_t offset, int32_t value) {
  return {.code = static_cast<uint8_t>(code),
          .dst_reg = static_cast<uint8_t>(to & 0xf),
          .src_reg = static_cast<uint8_t>(from & 0xf),
          .off = offset,
          .imm = value};
}
constexpr bpf_insn Load(int to, int from, size_t offset) {
  return Insn(BPF_LDX | BPF_W | BPF_MEM, to, from, static_cast<int16_t>(offset), 0);
}
constexpr bpf_insn Copy(int to, int from) { return Insn(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
constexpr bpf_insn Set(int to, int32_t value) { return Insn(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
constexpr bpf_insn IfNot(int reg, int32_t value, int16_t to) {
  return Insn(BPF_JMP | BPF_JNE | BPF_K, reg, 0, to, value);
}
constexpr bpf_insn If(int reg, int32_t value, int16_t to) { return Insn(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, to, value); }
constexpr bpf_insn Call(int function) { return Insn(BPF_JMP | BPF_CALL, 0, 0, 0, function); }
// Converts a register from network byte order.
constexpr bpf_insn FromNetwork(int reg) { return Insn(BPF_ALU | BPF_END | BPF_TO_BE, reg, 0, 0, 32); }

// The program of type BPF_PROG_TYPE_SK_LOOKUP. For each packet that opens a connection the kernel asks it which socket
// gets it. It returns SK_PASS, with or without assigning a socket.
std::vector<bpf_insn> Program(int map) {
  constexpr size_t kV6 = offsetof(bpf_sk_lookup, local_ip6);
  std::vector<bpf_insn> code = {
      Copy(6, 1),
      Load(2, 6, offsetof(bpf_sk_lookup, protocol)),
      IfNot(2, IPPROTO_TCP, kToPass),
      Load(2, 6, offsetof(bpf_sk_lookup, family)),
      If(2, AF_INET6, 5),
      IfNot(2, AF_INET, kToPass),
      // 127.0.0.0/8
      Load(2, 6, offsetof(bpf_sk_lookup, local_ip4)),
      FromNetwork(2),
      Insn(BPF_ALU64 | BPF_RSH | BPF_K, 2, 0, 0, 24),
      If(2, IN_LOOPBACKNET, kToCatch),
      // ::1. An IPv4 address outside 127.0.0.0/8 also comes here, and passes because of its family.
      Load(2, 6, offsetof(bpf_sk_lookup, family)),
      IfNot(2, AF_INET6, kToPass),
      Load(2, 6, kV6),
      IfNot(2, 0, kToPass),
      Load(2, 6, kV6 + 4),
      IfNot(2, 0, kToPass),
      Load(2, 6, kV6 + 8),
      IfNot(2, 0, kToPass),
      Load(2, 6, kV6 + 12),
      FromNetwork(2),
      IfNot(2, 1, kToPass),
  };
  const size_t caught = code.size();
  const std::array rest = {
      // The socket from the map, at index 0.
      Insn(BPF_ST | BPF_W | BPF_MEM, 10, 0, -4, 0),
      Insn(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
      Insn(0, 0, 0, 0, 0),
      Copy(2, 10),
      Insn(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
      Call(BPF_FUNC_map_lookup_elem),
      If(0, 0, kToPass),
      Copy(7, 0),
      Copy(1, 6),
      Copy(2, 7),
      Set(3, 0),
      Call(BPF_FUNC_sk_assign),
      Copy(1, 7),
      Call(BPF_FUNC_sk_release),
  };
  code.insert(code.end(), rest.begin(), rest.end());
  const size_t pass = code.size();
  code.push_back(Set(0, SK_PASS));
  code.push_back(Insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i].off == kToPass) code[i].off = static_cast<int16_t>(pass - i - 1);
    if (code[i].off == kToCatch) code[i].off = static_cast<int16_t>(caught - i - 1);
  }
  return code;
}

Result<UniqueFd> Listen() {
  // For IPv4 and IPv6. The kernel chooses the port, which has no meaning.
  UniqueFd listener(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  const int off = 0;
  if (!listener || setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
      listen(listener.get(), kBacklog) != 0) {
    return FailErrno("cannot listen in the pod's network namespace");
  }
  return listener;
}

Result<UniqueFd> MapOf(int listener) {
  bpf_attr make{};
  make.map_type = BPF_MAP_TYPE_SOCKMAP;
  make.key_size = sizeof(uint32_t);
  make.value_size = sizeof(uint64_t);
  make.max_entries = 1;
  UniqueFd map(Bpf(BPF_MAP_CREATE, make));
  if (!map) return FailErrno("cannot make a map of sockets (bpf)");
  const uint32_t key = 0;
  const auto value = static_cast<uint64_t>(listener);
  bpf_attr put{};
  put.map_fd = static_cast<uint32_t>(map.get());
  put.key = Address(&key);
  put.value = Address(&value);
  if (Bpf(BPF_MAP_UPDATE_ELEM, put) != 0) return FailErrno("cannot put a socket into a map (bpf)");
  return map;
}

}  // namespace

Result<LoopbackCatch> CatchLoopback(const Namespace& pod) {
  if (TRY(pod.IsHosts())) return Fail(Code::kInvalidArgument, "the pod has the host's network");
  LoopbackCatch caught;
  caught.listener = TRY(pod.Do(Listen));
  const UniqueFd map = TRY(MapOf(caught.listener.get()));
  const std::vector<bpf_insn> code = Program(map.get());
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_SK_LOOKUP;
  load.expected_attach_type = BPF_SK_LOOKUP;
  load.insns = Address(code.data());
  load.insn_cnt = static_cast<uint32_t>(code.size());
  // The licence of the BPF program; the kernel allows some functions to GPL programs only.
  load.license = Address("Apache-2.0");
  const UniqueFd program(Bpf(BPF_PROG_LOAD, load));
  if (!program) return FailErrno("cannot load a program for connections (bpf, sk_lookup)");
  bpf_attr attach{};
  attach.link_create.prog_fd = static_cast<uint32_t>(program.get());
  attach.link_create.target_fd = static_cast<uint32_t>(pod.fd());
  attach.link_create.attach_type = BPF_SK_LOOKUP;
  caught.link = UniqueFd(Bpf(BPF_LINK_CREATE, attach));
  if (!caught.link) return FailErrno("cannot attach a program to the pod's network namespace (bpf)");
  return caught;
}

}  // namespace kata::sandbox::network
