// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/copy_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/storage/temp_dir_test.h"
#include "base/files.h"

namespace kata::agent {
namespace {

class CopyFileTest : public TempDirTest {
 protected:
  grpc::CopyFileRequest Piece(const std::string& name, const std::string& data, int64_t offset, int64_t size) const {
    grpc::CopyFileRequest request;
    request.set_path(path() + "/" + name);
    request.set_data(data);
    request.set_offset(offset);
    request.set_file_size(size);
    request.set_file_mode(S_IFREG | 0640);
    request.set_dir_mode(S_IFDIR | 0750);
    request.set_uid(1000);
    request.set_gid(2000);
    return request;
  }

  struct stat Status(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(lstat((path() + "/" + name).c_str(), &status), 0) << name;
    return status;
  }

  bool Exists(const std::string& name) const {
    struct stat status {};
    return lstat((path() + "/" + name).c_str(), &status) == 0;
  }
};

TEST_F(CopyFileTest, PiecesMakeAFileThatAppearsWhole) {
  ASSERT_TRUE(CopyFile(root(), Piece("d/file", "hello ", 0, 11)));
  EXPECT_FALSE(Exists("d/file"));
  ASSERT_TRUE(CopyFile(root(), Piece("d/file", "world", 6, 11)));
  EXPECT_EQ(*ReadFile(path() + "/d/file"), "hello world");
  EXPECT_EQ(Status("d/file").st_mode, S_IFREG | 0640U);
  EXPECT_EQ(Status("d/file").st_uid, 1000U);
  EXPECT_EQ(Status("d/file").st_gid, 2000U);
  EXPECT_EQ(Status("d").st_mode, S_IFDIR | 0750U);
  EXPECT_FALSE(Exists("d/file.kata-part"));
}

TEST_F(CopyFileTest, ReplacesAnEarlierFileAndKeepsItUntilThen) {
  ASSERT_TRUE(CopyFile(root(), Piece("f", "old, and longer", 0, 15)));
  ASSERT_TRUE(CopyFile(root(), Piece("f", "n", 0, 3)));
  EXPECT_EQ(*ReadFile(path() + "/f"), "old, and longer");
  ASSERT_TRUE(CopyFile(root(), Piece("f", "ew", 1, 3)));
  EXPECT_EQ(*ReadFile(path() + "/f"), "new");
  ASSERT_TRUE(CopyFile(root(), Piece("f", "", 0, 0)));
  EXPECT_EQ(*ReadFile(path() + "/f"), "");
}

TEST_F(CopyFileTest, RefusesPiecesThatDoNotFit) {
  EXPECT_FALSE(CopyFile(root(), Piece("f", "abc", -1, 3)));
  EXPECT_FALSE(CopyFile(root(), Piece("f", "abc", 0, -1)));
  EXPECT_FALSE(CopyFile(root(), Piece("f", "abc", 0, 2)));
  EXPECT_FALSE(CopyFile(root(), Piece("f", "abc", INT64_MAX, INT64_MAX)));
  EXPECT_EQ(CopyFile(root(), Piece("f", "abc", 5, 8)).error().code(), Code::kOutOfRange);
  EXPECT_FALSE(Exists("f"));
}

TEST_F(CopyFileTest, RefusesPathsElsewhere) {
  EXPECT_FALSE(CopyFile(root(), Piece("../outside/f", "x", 0, 1)));
  auto absolute = Piece("", "x", 0, 1);
  absolute.set_path(outside() + "/f");
  EXPECT_FALSE(CopyFile(root(), absolute));
  EXPECT_NE(access((outside() + "/f").c_str(), F_OK), 0);
}

TEST_F(CopyFileTest, WritesThroughNoLinkThatWasPlanted) {
  // The two steps of CVE-2026-41326: a link by CopyFile itself, then a file through it.
  auto link = Piece("link", outside(), 0, 0);
  link.set_file_mode(S_IFLNK | 0777);
  ASSERT_TRUE(CopyFile(root(), link));
  EXPECT_TRUE(S_ISLNK(Status("link").st_mode));
  EXPECT_FALSE(CopyFile(root(), Piece("link/f", "x", 0, 1)));
  auto directory = Piece("link/d", "", 0, 0);
  directory.set_file_mode(S_IFDIR | 0755);
  EXPECT_FALSE(CopyFile(root(), directory));
  EXPECT_EQ(ListDir(Open(outside(), O_RDONLY | O_DIRECTORY)->get())->size(), 0U);

  // A link in the place of the file or of its temporary part is replaced, not followed.
  ASSERT_TRUE(WriteFileAtomic(Open(outside(), O_RDONLY | O_DIRECTORY)->get(), "victim", "safe", 0600));
  ASSERT_EQ(symlink((outside() + "/victim").c_str(), (path() + "/f").c_str()), 0);
  ASSERT_TRUE(CopyFile(root(), Piece("f", "x", 0, 1)));
  EXPECT_TRUE(S_ISREG(Status("f").st_mode));
  ASSERT_EQ(symlink((outside() + "/victim").c_str(), (path() + "/g.kata-part").c_str()), 0);
  EXPECT_FALSE(CopyFile(root(), Piece("g", "x", 0, 1)));
  EXPECT_EQ(*ReadFile(outside() + "/victim"), "safe");
}

TEST_F(CopyFileTest, MakesDirectoriesAndLinks) {
  auto directory = Piece("dir", "", 0, 0);
  directory.set_file_mode(S_IFDIR | 02711);
  ASSERT_TRUE(CopyFile(root(), directory));
  EXPECT_EQ(Status("dir").st_mode, S_IFDIR | 02711U);
  EXPECT_EQ(Status("dir").st_uid, 1000U);
  auto link = Piece("l", "some/target", 0, 0);
  link.set_file_mode(S_IFLNK | 0777);
  ASSERT_TRUE(CopyFile(root(), link));
  link.set_data("other");
  ASSERT_TRUE(CopyFile(root(), link)) << "a link may be replaced";
  char target[64] = {};
  EXPECT_EQ(readlink((path() + "/l").c_str(), target, sizeof target), 5);
  EXPECT_STREQ(target, "other");
  link.set_data("");
  EXPECT_FALSE(CopyFile(root(), link));
}

TEST_F(CopyFileTest, RefusesOtherTypes) {
  for (const mode_t type : {S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK}) {
    auto request = Piece("special", "", 0, 0);
    request.set_file_mode(type | 0600);
    EXPECT_EQ(CopyFile(root(), request).error().code(), Code::kInvalidArgument);
  }
  ASSERT_EQ(mkfifo((path() + "/f.kata-part").c_str(), 0600), 0);
  EXPECT_FALSE(CopyFile(root(), Piece("f", "x", 0, 1))) << "a FIFO in the way neither blocks nor is written to";
}

}  // namespace
}  // namespace kata::agent
