// SPDX-License-Identifier: Apache-2.0
#include "fsd/guest_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <limits>
#include <random>

#include "base/files.h"
#include "fsd/vhost_user_fixture.h"

namespace kata::fsd {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

class GuestMemoryTest : public ::testing::Test {
 protected:
  GuestMemoryTest() {
    low_.Write(0xf0000, "low");
    high_.Write(0x100000, "high");
    memory_ = GuestMemory().With(high_.region(), high_.file()).value();
    memory_ = memory_.With(low_.region(), low_.file()).value();
  }

  bool Has(uint64_t address, uint64_t size) const {
    std::vector<iovec> pieces;
    return memory_.Append(address, size, 16, pieces);
  }

  // Two that are one after the other for the guest, and not for the VMM.
  TestMemory low_{0, kUser + 8 * kMiB, kMiB};
  TestMemory high_{kMiB, kUser, 2 * kMiB};
  GuestMemory memory_;
};

TEST_F(GuestMemoryTest, TranslatesBothKindsOfAddresses) {
  EXPECT_EQ(std::string(reinterpret_cast<char*>(memory_.AtGuest(0xf0000, 3))), "low");
  EXPECT_EQ(memory_.AtUser(kUser + 8 * kMiB + 0xf0000, 3), memory_.AtGuest(0xf0000, 3));
  EXPECT_EQ(memory_.AtUser(kUser, 4), memory_.AtGuest(kMiB, 4));
  EXPECT_EQ(std::string(reinterpret_cast<char*>(memory_.AtGuest(kMiB, 5))), "high");
}

TEST_F(GuestMemoryTest, NothingOutside) {
  EXPECT_NE(memory_.AtGuest(3 * kMiB - 1, 1), nullptr);
  EXPECT_EQ(memory_.AtGuest(3 * kMiB, 1), nullptr);
  EXPECT_EQ(memory_.AtGuest(3 * kMiB - 1, 2), nullptr);
  EXPECT_EQ(memory_.AtGuest(0, kMax), nullptr);
  EXPECT_EQ(memory_.AtGuest(1, kMax), nullptr);
  EXPECT_EQ(memory_.AtGuest(kMax, 2), nullptr);
  EXPECT_EQ(memory_.AtGuest(kMiB - 1, 2), nullptr) << "in one region, or not at all";
  EXPECT_EQ(memory_.AtUser(kUser + 2 * kMiB, 1), nullptr);
  EXPECT_EQ(memory_.AtUser(kUser - 1, 1), nullptr);
  EXPECT_EQ(memory_.AtUser(kUser, kMax), nullptr);
  EXPECT_EQ(memory_.AtUser(0, 1), nullptr);
  EXPECT_FALSE(Has(3 * kMiB, 1));
  EXPECT_FALSE(Has(3 * kMiB - 1, 2));
  EXPECT_FALSE(Has(kMax, 2));
  EXPECT_FALSE(Has(0, kMax));
  EXPECT_TRUE(Has(3 * kMiB, 0));
}

TEST_F(GuestMemoryTest, ABufferInTwoRegionsIsTwoPieces) {
  std::vector<iovec> pieces;
  ASSERT_TRUE(memory_.Append(kMiB - 4096, 8192, 16, pieces));
  ASSERT_EQ(pieces.size(), 2);
  EXPECT_EQ(pieces[0].iov_base, memory_.AtGuest(kMiB - 4096, 4096));
  EXPECT_EQ(pieces[0].iov_len, 4096);
  EXPECT_EQ(pieces[1].iov_base, memory_.AtGuest(kMiB, 4096));
  EXPECT_EQ(pieces[1].iov_len, 4096);
  EXPECT_FALSE(memory_.Append(kMiB - 4096, 8192, 3, pieces)) << "no more than three";
}

TEST_F(GuestMemoryTest, TheEndOfTheAddressesIsNotTheirBeginning) {
  const TestMemory last(kMax - kMiB + 1, kUser + 32 * kMiB, kMiB);
  memory_ = memory_.With(last.region(), last.file()).value();
  EXPECT_NE(memory_.AtGuest(kMax, 1), nullptr);
  EXPECT_TRUE(Has(kMax, 1));
  EXPECT_FALSE(Has(kMax, 2));
  EXPECT_FALSE(Has(kMax - 4095, 8192));
}

TEST_F(GuestMemoryTest, RegionsThatAreRefused) {
  const TestMemory other(64 * kMiB, kUser + 64 * kMiB, kMiB);
  const auto refused = [&](MemoryRegion region) { return !memory_.With(region, other.file()); };
  const MemoryRegion good = other.region();
  EXPECT_FALSE(refused(good));
  MemoryRegion bad = good;
  bad.guest_address = 3 * kMiB - 1;
  EXPECT_TRUE(refused(bad)) << "overlaps for the guest";
  bad = good;
  bad.user_address = kUser + 1;
  EXPECT_TRUE(refused(bad)) << "overlaps for the VMM";
  bad = good;
  bad.size = 0;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.size = kMiB + 1;
  EXPECT_TRUE(refused(bad)) << "beyond the file";
  bad = good;
  bad.file_offset = 1;
  EXPECT_TRUE(refused(bad)) << "beyond the file";
  bad = good;
  bad.file_offset = kMax;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.guest_address = kMax - kMiB + 2;
  EXPECT_TRUE(refused(bad)) << "beyond the addresses";
  bad = good;
  bad.user_address = kMax;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.size = kMax;
  EXPECT_TRUE(refused(bad));
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd one(pair[0]);
  const UniqueFd two(pair[1]);
  EXPECT_FALSE(memory_.With(good, one.get()));
  EXPECT_FALSE(memory_.With(good, Open("/dev/zero", O_RDWR).value().get()));
  EXPECT_FALSE(memory_.With(good, Open("/proc/self/fd/" + std::to_string(other.file()), O_RDONLY).value().get()));
}

TEST_F(GuestMemoryTest, ARegionInTheMiddleOfAFile) {
  const TestMemory whole(64 * kMiB, kUser + 64 * kMiB, 2 * kMiB);
  whole.Write(64 * kMiB + kMiB + 100, "here");
  const MemoryRegion part = {512 * kMiB, kMiB - 200, kUser + 512 * kMiB, kMiB + 100};
  memory_ = memory_.With(part, whole.file()).value();
  EXPECT_EQ(std::string(reinterpret_cast<char*>(memory_.AtGuest(512 * kMiB, 5))), "here");
  EXPECT_NE(memory_.AtGuest(512 * kMiB, kMiB - 200), nullptr);
  EXPECT_EQ(memory_.AtGuest(512 * kMiB, kMiB - 199), nullptr);
}

TEST_F(GuestMemoryTest, ARemovedRegionStaysForThoseThatUseIt) {
  GuestMemory before = memory_;
  const auto* place = reinterpret_cast<const char*>(before.AtGuest(kMiB, 4));
  MemoryRegion region = high_.region();
  region.file_offset = 4711;  // does not count
  memory_ = memory_.Without(region).value();
  EXPECT_EQ(memory_.AtGuest(kMiB, 4), nullptr);
  EXPECT_NE(memory_.AtGuest(0, 4), nullptr);
  EXPECT_EQ(std::string(place), "high");
  EXPECT_FALSE(memory_.Without(region));
  region = low_.region();
  region.size -= 1;
  EXPECT_FALSE(memory_.Without(region)) << "another size";
}

TEST_F(GuestMemoryTest, LettingGoLosesNothing) {
  const auto* place = reinterpret_cast<const char*>(memory_.AtGuest(kMiB, 5));
  EXPECT_EQ(std::string(place), "high");
  memory_.LetGo();
  EXPECT_EQ(std::string(place), "high");
}

TEST_F(GuestMemoryTest, NoMoreThanSoMany) {
  GuestMemory memory;
  const TestMemory page(0, 0, 4096);
  for (size_t i = 0; i < GuestMemory::kMaxRegions; ++i) {
    memory = memory.With({i * 8192, 4096, i * 8192, 0}, page.file()).value();
  }
  EXPECT_EQ(memory.regions(), GuestMemory::kMaxRegions);
  EXPECT_FALSE(memory.With({kMiB * 1024, 4096, kMiB * 1024, 0}, page.file()));
}

// Whatever is asked for, what comes is inside: checked by the addresses of the mappings.
TEST_F(GuestMemoryTest, AnyRangeIsInsideOrRefused) {
  std::mt19937_64 random(4711);
  const uint64_t edges[] = {0,        1,   4095, 4096, kMiB - 1, kMiB, kMiB + 1, 3 * kMiB - 1, 3 * kMiB, 3 * kMiB + 1,
                            kMax - 1, kMax};
  const auto any = [&] {
    const uint64_t edge = edges[random() % std::size(edges)];
    return random() % 4 == 0 ? random() : edge + random() % 3 - 1;
  };
  std::vector<iovec> pieces;
  for (int i = 0; i < 100000; ++i) {
    const uint64_t address = any();
    const uint64_t size = any();
    const bool inside = size <= 3 * kMiB && address <= 3 * kMiB - size;
    pieces.clear();
    ASSERT_EQ(memory_.Append(address, size, 16, pieces), inside || size == 0) << address << " " << size;
    if (!inside) continue;
    uint64_t total = 0;
    for (const iovec& piece : pieces) {
      ASSERT_EQ(piece.iov_base, memory_.AtGuest(address + total, piece.iov_len));
      total += piece.iov_len;
    }
    ASSERT_EQ(total, size);
  }
}

}  // namespace
}  // namespace kata::fsd
