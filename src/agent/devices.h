// SPDX-License-Identifier: Apache-2.0
// Devices of a CreateContainer request (the protocol's Device messages): finds each disk in the guest and rewrites the
// container's spec from the host's device numbers to the guest's.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

namespace asio = boost::asio;
using Devices = google::protobuf::RepeatedPtrField<grpc::Device>;

// Checks the types of all devices. kInvalidArgument: unknown type. kUnimplemented: VFIO.
Result<> CheckDevices(const Devices& devices);

// Waits until each disk is plugged in, at most limit for each. Then replaces the host's device numbers in spec by the
// guest's: in the entry of linux.devices whose path is container_path, and in the device rules and I/O limits of
// linux.resources. A mount whose source is the device's vm_path binds the guest's node instead, and the entry in
// linux.devices is removed. kNotFound: the disk did not appear in time. kInvalidArgument: linux.devices has no block
// device at container_path. spec must outlive the coroutine.
asio::awaitable<Result<>> AddDevices(asio::any_io_executor executor, Devices devices, grpc::Spec& spec,
                                     std::chrono::seconds limit);

// A disk that was found in the guest.
struct GuestNumbers {
  std::string path;  // container_path, the path in linux.devices
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string source = {};  // vm_path; empty: no mount refers to the disk
  std::string node = {};    // the disk's node in the guest, such as /dev/vda
};
// The rewriting step of AddDevices, without the wait. Public for tests.
Result<> RenumberDevices(const std::vector<GuestNumbers>& numbers, grpc::Spec& spec);

}  // namespace kata::agent
