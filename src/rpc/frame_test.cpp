// SPDX-License-Identifier: Apache-2.0
#include "rpc/frame.h"

#include <gtest/gtest.h>

namespace kata::rpc {
namespace {

TEST(Frame, HeaderIsBigEndianAndComesBack) {
  const auto bytes = EncodeHeader({0x010203, 0x04050607, FrameType::kResponse, 4});
  EXPECT_EQ(bytes, (std::array<uint8_t, kHeaderSize>{0, 1, 2, 3, 4, 5, 6, 7, 2, 4}));
  const FrameHeader header = DecodeHeader(bytes).value();
  EXPECT_EQ(header.length, 0x010203U);
  EXPECT_EQ(header.stream, 0x04050607U);
  EXPECT_EQ(header.type, FrameType::kResponse);
  EXPECT_EQ(header.flags, 4);
}

TEST(Frame, RefusesUnknownTypesAndHugeLengths) {
  EXPECT_FALSE(DecodeHeader({0, 0, 0, 1, 0, 0, 0, 1, 0, 0}));
  EXPECT_FALSE(DecodeHeader({0, 0, 0, 1, 0, 0, 0, 1, 9, 0}));
  EXPECT_FALSE(DecodeHeader({0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 2, 0}));
  EXPECT_TRUE(DecodeHeader({0, 0x40, 0, 0, 0, 0, 0, 1, 2, 0}));
}

}  // namespace
}  // namespace kata::rpc
