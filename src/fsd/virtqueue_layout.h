// SPDX-License-Identifier: Apache-2.0
// The layout of split virtqueues, from the kernel's header.
#pragma once

#define VIRTIO_RING_NO_LEGACY  // leaves out functions that are not C++
#include <linux/virtio_ring.h>
