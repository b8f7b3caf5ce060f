// SPDX-License-Identifier: Apache-2.0
#include "fsd/request.h"

#include <gtest/gtest.h>

#include "fsd/fuse_guest_fixture.h"

namespace kata::fsd {
namespace {

fuse_in_header Header(uint32_t opcode, size_t arguments) {
  fuse_in_header header = {};
  header.len = static_cast<uint32_t>(sizeof(header) + arguments);
  header.opcode = opcode;
  return header;
}

std::vector<iovec> Split(std::string& bytes, size_t first) {
  return {{bytes.data(), first}, {bytes.data(), 0}, {bytes.data() + first, bytes.size() - first}};
}

TEST(Request, ReadsAcrossPieces) {
  const std::string arguments = Struct(uint32_t{7}) + Name("one") + Name("") + "rest";
  std::string bytes = Struct(Header(FUSE_LOOKUP, arguments.size())) + arguments;
  for (size_t first = 0; first <= bytes.size(); ++first) {
    Request request;
    ASSERT_TRUE(request.Read(Split(bytes, first)));
    ASSERT_TRUE(request.valid());
    uint32_t number = 0;
    EXPECT_TRUE(request.Take(&number));
    EXPECT_EQ(number, 7U);
    EXPECT_STREQ(request.TakeString(), "one");
    EXPECT_STREQ(request.TakeString(), "");
    EXPECT_EQ(request.TakeString(), nullptr);
    std::string_view rest;
    EXPECT_FALSE(request.TakeBytes(5, &rest));
    EXPECT_TRUE(request.TakeBytes(4, &rest));
    EXPECT_EQ(rest, "rest");
    EXPECT_FALSE(request.Take(&number));
  }
}

TEST(Request, ALengthThatIsNotTrueIsNotValid) {
  std::string bytes = Struct(Header(FUSE_LOOKUP, 4)) + "abc";
  Request request;
  ASSERT_TRUE(request.Read(Split(bytes, 10)));
  EXPECT_FALSE(request.valid());
  std::string short_length = Struct(Header(FUSE_LOOKUP, static_cast<size_t>(-1)));
  ASSERT_TRUE(request.Read(Split(short_length, 10)));
  EXPECT_FALSE(request.valid());
  std::string no_header(sizeof(fuse_in_header) - 1, '\0');
  EXPECT_FALSE(request.Read(Split(no_header, 10)));
  std::string long_one = Struct(Header(FUSE_SETXATTR, kMaxRequest + 1)) + std::string(kMaxRequest + 1, '\0');
  ASSERT_TRUE(request.Read(Split(long_one, 10)));
  EXPECT_FALSE(request.valid());
}

TEST(Request, TheDataOfAWriteStay) {
  const std::string arguments = Struct(fuse_write_in{}) + "data";
  std::string bytes = Struct(Header(FUSE_WRITE, arguments.size())) + arguments;
  const auto parts = Split(bytes, 82);
  Request request;
  ASSERT_TRUE(request.Read(parts));
  EXPECT_EQ(request.left(), sizeof(fuse_write_in));
  EXPECT_EQ(TotalLength(request.Data(4)), 4U);
  EXPECT_EQ(request.Data(4).size(), 2U);
  EXPECT_TRUE(request.Data(5).empty());
}

TEST(Reply, WritesHeaderAndBody) {
  std::string memory(64, 'x');
  const auto parts = Split(memory, 20);
  Reply reply(parts, 9);
  EXPECT_EQ(reply.room(), 48U);
  reply.Put(uint64_t{5});
  EXPECT_EQ(reply.Finish(0), 24U);
  fuse_out_header header;
  memcpy(&header, memory.data(), sizeof(header));
  EXPECT_EQ(header.len, 24U);
  EXPECT_EQ(header.error, 0);
  EXPECT_EQ(header.unique, 9U);
  EXPECT_EQ(memory[24], 'x');
}

TEST(Reply, AnErrorHasNoBody) {
  std::string memory(64, 'x');
  const auto parts = Split(memory, 3);
  Reply reply(parts, 9);
  reply.Put(uint64_t{5});
  EXPECT_EQ(reply.Finish(ENOENT), sizeof(fuse_out_header));
  fuse_out_header header;
  memcpy(&header, memory.data(), sizeof(header));
  EXPECT_EQ(header.error, -ENOENT);
}

TEST(Reply, WithoutRoom) {
  std::string memory(20, 'x');
  const auto parts = Split(memory, 3);
  Reply reply(parts, 9);
  reply.Put(uint64_t{5});
  EXPECT_EQ(reply.Finish(0), sizeof(fuse_out_header));
  std::string small(15, 'x');
  const auto small_parts = Split(small, 3);
  Reply none(small_parts, 9);
  EXPECT_EQ(none.room(), 0U);
  EXPECT_EQ(none.Finish(ENOENT), 0U);
  EXPECT_EQ(small, std::string(15, 'x'));
}

}  // namespace
}  // namespace kata::fsd
