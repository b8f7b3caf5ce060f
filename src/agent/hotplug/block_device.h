// SPDX-License-Identifier: Apache-2.0
// Finds disks by where the host has plugged them in.
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

// blk, mmioblk, scsi and nvdimm: drivers of storages, and types of devices, that are disks.
bool IsDiskDriver(std::string_view driver);

// One look into sysfs, mounted at sys, for a disk by its address:
//   blk      a PCI path of hexadecimal slots from the root bus on, "10/02", each also with its function, "10.1/02";
//            or a name as below
//   scsi     "id:lun" on any controller
//   mmioblk, nvdimm   a kernel's name, "vda" or "/dev/vda"
// kNotFound: it has not come yet; kInvalidArgument: no such address.
Result<BlockNode> FindDisk(const std::string& sys, std::string_view driver, std::string_view address);

// The directory in sysfs of the PCI device at a PCI path. Errors as FindDisk's.
Result<std::string> PciDirectory(const std::string& sys, std::string_view pci_path);

// FindDisk, waiting until limit for it to be plugged in.
asio::awaitable<Result<BlockNode>> WaitForDisk(asio::any_io_executor executor, std::string driver, std::string address,
                                               std::chrono::seconds limit);

}  // namespace kata::agent
