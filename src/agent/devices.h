// SPDX-License-Identifier: Apache-2.0
// The host's devices of a container as those of the guest: the protocol's Device messages.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

namespace asio = boost::asio;
using Devices = google::protobuf::RepeatedPtrField<grpc::Device>;

// kInvalidArgument, kUnimplemented: a type that the agent cannot give.
Result<> CheckDevices(const Devices& devices);

// Waits for each disk until limit, and puts its numbers in the guest in the place of the host's: in linux.devices at
// container_path, and in the rules and I/O limits of linux.resources. Where mounts have its vm_path as their source,
// they bind the guest's node, and linux.devices loses it. kInvalidArgument: the spec has no such device.
asio::awaitable<Result<>> AddDevices(asio::any_io_executor executor, Devices devices, grpc::Spec& spec,
                                     std::chrono::seconds limit);

// One of the disks, known: pairs of device and its numbers. For AddDevices, and for tests.
struct GuestNumbers {
  std::string path;  // in the container
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string source = {};  // vm_path; empty: no mount has it
  std::string node = {};    // of the guest, for those mounts
};
Result<> RenumberDevices(const std::vector<GuestNumbers>& numbers, grpc::Spec& spec);

}  // namespace kata::agent
