// SPDX-License-Identifier: Apache-2.0
#include "setup/diff.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

namespace kata::setup {
namespace {

// What patch(1) makes of the old text and the diff.
std::string Patched(const std::string& text, const std::string& diff) {
  std::string directory = ::testing::TempDir() + "diff-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) return "no directory";
  std::ofstream(directory + "/old") << text;
  std::ofstream(directory + "/diff") << diff;
  const std::string command = "patch -s -o " + directory + "/new " + directory + "/old " + directory + "/diff";
  EXPECT_EQ(system(command.c_str()), 0) << diff;
  std::ifstream patched(directory + "/new");
  std::string result(std::istreambuf_iterator<char>(patched), {});
  std::filesystem::remove_all(directory);
  return result;
}

TEST(Diff, IsThatOfDiffU) {
  EXPECT_EQ(UnifiedDiff("a", "x\n", "b", "x\n"), "");
  EXPECT_EQ(UnifiedDiff("/dev/null", "", "b", "1\n2\n"), "--- /dev/null\n+++ b\n@@ -0,0 +1,2 @@\n+1\n+2\n");
  EXPECT_EQ(UnifiedDiff("a", "1\n2\n3\n4\n5\n", "b", "1\n2\n3\n4\n5\n6\n"),
            "--- a\n+++ b\n@@ -3,3 +3,4 @@\n 3\n 4\n 5\n+6\n");
  EXPECT_EQ(
      UnifiedDiff("a", "1\n2", "b", "1\n2\n3"),
      "--- a\n+++ b\n@@ -1,2 +1,3 @@\n 1\n-2\n\\ No newline at end of file\n+2\n+3\n\\ No newline at end of file\n");
}

TEST(Diff, IsWhatPatchUnderstands) {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    std::string before;
    std::string after;
    for (int line = 0; line < 40; ++line) {
      const std::string text = std::to_string(random() % 7) + "\n";
      const auto what = random() % 12;
      if (what != 0) before += text;
      if (what != 1) after += text;
    }
    if (round % 3 == 0) after.pop_back();
    if (before == after) continue;
    EXPECT_EQ(Patched(before, UnifiedDiff("old", before, "old", after)), after);
  }
}

}  // namespace
}  // namespace kata::setup
