// SPDX-License-Identifier: Apache-2.0
// Finds a disk in the guest by the address at which the host has plugged it in.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace kata::agent {

namespace asio = boost::asio;

// A disk of the guest.
struct BlockNode {
  std::string path;  // "/dev/vda"
  uint32_t major = 0;
  uint32_t minor = 0;
};

// Whether a storage driver or device type is a disk: blk, mmioblk, scsi or nvdimm.
bool IsDiskDriver(std::string_view driver);

// Looks once for a disk in sysfs, which is mounted at sys. The format of address depends on driver:
//   blk               a PCI path: hexadecimal slots from the root bus down, "10/02", each optionally with its function,
//                     "10.1/02"; or "/dev/vda"
//   scsi              "id:lun", decimal, on any controller
//   mmioblk, nvdimm   the kernel's name, "vda" or "/dev/vda"
// kNotFound: the disk has not appeared. kInvalidArgument: a malformed address.
Result<BlockNode> FindDisk(const std::string& sys, std::string_view driver, std::string_view address);

// The sysfs directory of the PCI device at pci_path. Errors as FindDisk.
Result<std::string> PciDirectory(const std::string& sys, std::string_view pci_path);

// Waits until FindDisk finds the disk and its node can be opened. kNotFound: not within limit.
asio::awaitable<Result<BlockNode>> WaitForDisk(asio::any_io_executor executor, std::string driver, std::string address,
                                               std::chrono::seconds limit);

}  // namespace kata::agent
