// SPDX-License-Identifier: Apache-2.0
// What our guest kernel's FUSE has beyond the protocol (guest/kernel/patches/0009-* and 0010-*), byte for byte: flags
// of INIT, and requests whose numbers are far from the protocol's own. A guest without it offers no such flag.
#pragma once

#include <cstdint>

namespace kata::fsd {

// Flags of INIT: the server tells what others do to its files; when a file was made; and takes FORGETs that lie in
// their queue before each other request, without a notification (patch 0014).
inline constexpr uint64_t kInitHostEvents = uint64_t{1} << 62U;
inline constexpr uint64_t kInitBirthTime = uint64_t{1} << 61U;
inline constexpr uint64_t kInitLooksForForgets = uint64_t{1} << 60U;

enum HostRequest : uint32_t {
  kHostWatch = 0x4b460001,      // somebody in the guest watches the node, or nobody does any more: HostWatchIn
  kHostEvents = 0x4b460002,     // waits for events; the reply is a list of HostEvent
  kHostEventsEnd = 0x4b460003,  // the request that waits is answered, and later ones are refused with ECANCELED
  kBirthTime = 0x4b460004,      // the reply is BirthTimeOut
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

}  // namespace kata::fsd
