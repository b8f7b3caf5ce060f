// SPDX-License-Identifier: Apache-2.0
// Reads a payload of a process's output, as the host would receive it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "agent/stream.h"
#include "base/files.h"
#include "rpc/payload.h"

namespace kata::agent {

inline std::string Text(rpc::Payload data) {
  if (data.tail.size == 0) return data.bytes;
  auto rest = ReadAll(data.tail.pipe.get(), data.tail.size);
  EXPECT_TRUE(rest);
  EXPECT_EQ(rest ? rest->size() : 0, data.tail.size);
  return rest ? data.bytes + *rest : data.bytes;
}

inline std::string Text(OutputStream::Piece piece) { return Text(std::move(piece.data)); }

}  // namespace kata::agent
