// SPDX-License-Identifier: Apache-2.0
// What our guest kernel's FUSE has beyond that of Linux 6.1, byte for byte. The patches in guest/kernel/patches that
// are named here define the other side, and say more.
//
// A flag of INIT is used when both sides have it. The numbers of the requests and those flags of INIT that are ours are
// far from the protocol's own. What is only a hint in a reply has no flag: other kernels ignore it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kata::fsd {

// Flag of INIT (0008-*): files that are not cached can be mapped with MAP_SHARED. It is FUSE_DIRECT_IO_ALLOW_MMAP of
// protocol 7.39, which Debian 12's header lacks.
inline constexpr uint64_t kInitDirectIoAllowMmap = uint64_t{1} << 36U;
// Flag of INIT (0014-*): before each other request the server takes the FORGETs that lie in their queue, so the guest
// need not notify it of them.
inline constexpr uint64_t kInitLooksForForgets = uint64_t{1} << 60U;
// Flag of INIT (0010-*): the server answers kBirthTime.
inline constexpr uint64_t kInitBirthTime = uint64_t{1} << 61U;
// Flag of INIT (0009-*): the server tells what others do to its files, by kHostWatch and the two after it.
inline constexpr uint64_t kInitHostEvents = uint64_t{1} << 62U;

enum ExtensionOpcode : uint32_t {
  // 0009-*: somebody in the guest watches the node, or nobody does any more. Arguments: HostWatchIn.
  kHostWatch = 0x4b460001,
  // 0009-*: waits for events. The reply is a list of HostEvent.
  kHostEvents = 0x4b460002,
  // 0009-*: the request that waits is answered, and later ones are refused with ECANCELED.
  kHostEventsEnd = 0x4b460003,
  // 0010-*: when the node's file was made. The reply is BirthTimeOut.
  kBirthTime = 0x4b460004,
};

struct HostWatchIn {
  uint64_t sequence;  // of two requests for a node the one with the greater number is the later one
  uint32_t watched;
  uint32_t padding;
};

// Followed by the name, with zeros up to a multiple of 8 bytes.
struct HostEvent {
  uint64_t node;
  uint32_t mask;    // one event of inotify(7), and IN_ISDIR with it if it is about a directory
  uint32_t cookie;  // the same for both halves of a move; otherwise 0
  uint32_t length;  // of the name; 0: it happened to the node itself
  uint32_t padding;
};

struct BirthTimeOut {
  uint64_t seconds;
  uint32_t nanoseconds;
  uint32_t known;  // 0: the file system does not keep it
};

// In fuse_kstatfs::spare (0019-*): here lies the magic number of the host's file system (statfs(2)), or 0 for FUSE's.
inline constexpr size_t kStatFsType = 0;

// In fuse_attr::flags, beside FUSE_ATTR_SUBMOUNT (0004-*): from this bit on a number of the submount's device, which is
// not 0. The guest's kernel makes one superblock for each of them. It takes a file for a submount, too, so that a file
// that is mounted by itself is the one of its directory's mount.
inline constexpr unsigned kAttrDeviceShift = 16;
// In fuse_attr::flags (0012-*): the file has no security.capability, so the guest need not ask for it.
inline constexpr uint32_t kAttrNoCapability = 1U << 15U;
// In fuse_open_out::open_flags of a directory (0012-*): a reply of READDIR has all entries for which there is room, so
// one with room left is the end.
inline constexpr uint32_t kOpenReadsFull = 1U << 31U;
// How much of a list the guest asks for at once, at most (0012-*).
inline constexpr uint32_t kMostOfAList = 64U << 10U;

}  // namespace kata::fsd
