// SPDX-License-Identifier: Apache-2.0
// What others do to the files, told to the guest. "Others" are child processes: what this process does is the guest's.
#include <sys/inotify.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "fsd/fuse_extensions.h"
#include "fsd/fuse_server_fixture.h"

namespace kata::fsd {
namespace {

// Reached only in a failure.
constexpr std::chrono::seconds kDeadline(120);

struct Told {
  uint64_t node;
  uint32_t mask;
  std::string name;
  uint32_t cookie = 0;
  bool operator==(const Told& other) const { return node == other.node && mask == other.mask && name == other.name; }
};

void PrintTo(const Told& told, std::ostream* out) {
  *out << "node " << told.node << " mask " << std::hex << told.mask << std::dec << " name '" << told.name << "'";
}

class FuseServerWatchTest : public FuseServerTest {
 protected:
  void SetUp() override {
    FuseServerTest::SetUp();
    Begin({});
  }
  void TearDown() override {
    if (server_) server_->OnEvents({});
    FuseServerTest::TearDown();
  }

  void Begin(FuseServer::Options options) {
    auto changes = HostChanges::Open(1880000000U + static_cast<uint32_t>(getpid()));
    ASSERT_TRUE(changes) << changes.error().message();
    options.changes = *std::move(changes);
    Serve(std::move(options));
    server_->OnEvents([this] {
      const std::lock_guard lock(mutex_);
      ready_ = true;
      changed_.notify_all();
    });
    ASSERT_NE(guest_->agreed.flags2 & (kInitHostEvents >> 32U), 0U);
  }

  // In another process.
  template <typename Action>
  static void ByAnother(Action action) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      action();
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
  void ByAnotherWrite(std::string_view name, std::string_view text) {
    ByAnother([&] { Overwrite(Path(name), text); });
  }
  static void Overwrite(const std::string& path, std::string_view text) {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || write(file, text.data(), text.size()) < 0 || close(file) != 0) _exit(1);
  }

  int Watch(uint64_t node, bool watched = true, uint64_t sequence = 1) {
    return guest_->Call(kHostWatch, node, Struct(HostWatchIn{sequence, watched ? 1U : 0U, 0})).error;
  }
  // The events of one reply.
  std::vector<Told> Take(size_t room = 4096) {
    const Answer answer = guest_->Call(kHostEvents, kRoot, "", room);
    EXPECT_EQ(answer.error, 0);
    std::vector<Told> result;
    for (size_t at = 0; at + sizeof(HostEvent) <= answer.body.size();) {
      const auto event = answer.As<HostEvent>(at);
      at += sizeof event;
      result.push_back({event.node, event.mask, answer.body.substr(at, event.length), event.cookie});
      at += (size_t{event.length} + 7) / 8 * 8;
    }
    return result;
  }
  // Waits for an event, and returns all that was told until then or with it.
  std::vector<Told> Until(const Told& wanted) {
    std::vector<Told> all;
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    for (;;) {
      for (Told& told : Take()) all.push_back(std::move(told));
      if (std::find(all.begin(), all.end(), wanted) != all.end()) break;
      std::unique_lock lock(mutex_);
      if (!changed_.wait_until(lock, end, [&] { return ready_; })) {
        ADD_FAILURE() << "not told: " << testing::PrintToString(wanted);
        break;
      }
      ready_ = false;
    }
    return all;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ready_ = false;
};

TEST_F(FuseServerWatchTest, WhatHappensInADirectory) {
  ASSERT_EQ(mkdir(Path("dir").c_str(), 0755), 0);
  const uint64_t dir = Node("dir");
  ASSERT_EQ(Watch(dir), 0);
  ByAnotherWrite("dir/file", "text");
  EXPECT_EQ(Until({dir, IN_CLOSE_WRITE, "file"}),
            (std::vector<Told>{{dir, IN_CREATE, "file"}, {dir, IN_MODIFY, "file"}, {dir, IN_CLOSE_WRITE, "file"}}));
  ByAnother([&] { chmod(Path("dir/file").c_str(), 0600); });
  EXPECT_EQ(Until({dir, IN_ATTRIB, "file"}).size(), 1U);
  ByAnother([&] { mkdir(Path("dir/inner").c_str(), 0700); });
  EXPECT_EQ(Until({dir, IN_CREATE | IN_ISDIR, "inner"}).size(), 1U);
  ByAnother([&] { rmdir(Path("dir/inner").c_str()); });
  EXPECT_EQ(Until({dir, IN_DELETE | IN_ISDIR, "inner"}).size(), 1U);
  ByAnother([&] { unlink(Path("dir/file").c_str()); });
  EXPECT_EQ(Until({dir, IN_DELETE, "file"}).back(), (Told{dir, IN_DELETE, "file"}));
  ByAnother([&] { chmod(Path("dir").c_str(), 0700); });
  EXPECT_EQ(Until({dir, IN_ATTRIB, ""}).size(), 1U);
  ByAnother([&] { rmdir(Path("dir").c_str()); });
  Until({dir, IN_DELETE_SELF, ""});
}

TEST_F(FuseServerWatchTest, BothHalvesOfAMove) {
  for (const char* name : {"from", "to"}) ASSERT_EQ(mkdir(Path(name).c_str(), 0755), 0);
  Write("from/file", "");
  Write("outside", "");
  const uint64_t from = Node("from");
  const uint64_t to = Node("to");
  ASSERT_EQ(Watch(from), 0);
  ASSERT_EQ(Watch(to), 0);
  ByAnother([&] { rename(Path("from/file").c_str(), Path("to/new").c_str()); });
  const auto told = Until({to, IN_MOVED_TO, "new"});
  ASSERT_EQ(told, (std::vector<Told>{{from, IN_MOVED_FROM, "file"}, {to, IN_MOVED_TO, "new"}}));
  EXPECT_NE(told[0].cookie, 0U);
  EXPECT_EQ(told[0].cookie, told[1].cookie);
  ByAnother([&] { rename(Path("to/new").c_str(), Path("to/newer").c_str()); });
  const auto again = Until({to, IN_MOVED_TO, "newer"});
  ASSERT_EQ(again.size(), 2U);
  EXPECT_NE(again[0].cookie, told[0].cookie);
}

TEST_F(FuseServerWatchTest, WhatTheGuestHasDoneItself) {
  ASSERT_EQ(Watch(kRoot), 0);
  const Answer made = guest_->Create(kRoot, "own", O_WRONLY, 0644);
  ASSERT_TRUE(made.ok());
  const uint64_t node = made.As<fuse_entry_out>().nodeid;
  const uint64_t fh = made.As<fuse_open_out>(sizeof(fuse_entry_out)).fh;
  ASSERT_EQ(Watch(node), 0);
  EXPECT_TRUE(guest_->Write(node, fh, 0, "text").ok());
  EXPECT_TRUE(guest_->Release(node, fh).ok());
  EXPECT_TRUE(guest_->Rename(kRoot, "own", kRoot, "renamed").ok());
  EXPECT_TRUE(guest_->Unlink(kRoot, "renamed").ok());
  guest_->Forget(node, 1);
  EXPECT_TRUE(guest_->MakeDirectory(kRoot, "directory", 0755).ok());
  ByAnother([&] { mkdir(Path("others").c_str(), 0755); });
  EXPECT_EQ(Until({kRoot, IN_CREATE | IN_ISDIR, "others"}).size(), 1U);
}

TEST_F(FuseServerWatchTest, AFile) {
  Write("file", "text");
  const uint64_t node = Node("file");
  ASSERT_EQ(Watch(node), 0);
  ByAnotherWrite("file", "new");
  EXPECT_EQ(Until({node, IN_CLOSE_WRITE, ""}), (std::vector<Told>{{node, IN_MODIFY, ""}, {node, IN_CLOSE_WRITE, ""}}));
  ByAnother([&] { rename(Path("file").c_str(), Path("moved").c_str()); });
  Until({node, IN_MOVE_SELF, ""});
  ByAnother([&] { unlink(Path("moved").c_str()); });
  const auto told = Until({node, IN_DELETE_SELF, ""});
  EXPECT_EQ(told.front(), (Told{node, IN_ATTRIB, ""})) << "the number of its links";
}

TEST_F(FuseServerWatchTest, NamesThatTheGuestHasLookedAt) {
  ASSERT_EQ(mkdir(Path("dir").c_str(), 0755), 0);
  Write("dir/file", "");
  const uint64_t file = Node("dir/file");
  const uint64_t dir = Node("dir");
  // Nobody watches: what only concerns a watcher is not told.
  ByAnotherWrite("dir/file", "text");
  ByAnother([&] {
    Overwrite(Path("dir/new"), "other");
    rename(Path("dir/new").c_str(), Path("dir/file").c_str());
  });
  EXPECT_EQ(Until({dir, IN_MOVED_TO, "file"}),
            (std::vector<Told>{{dir, IN_MOVED_FROM, "new"}, {dir, IN_MOVED_TO, "file"}}));
  EXPECT_NE(Node("dir/file"), file);
  ByAnother([&] { unlink(Path("dir/file").c_str()); });
  EXPECT_EQ(Until({dir, IN_DELETE, "file"}).size(), 1U);
}

TEST_F(FuseServerWatchTest, NobodyWatchesAnyMore) {
  Write("file", "");
  const uint64_t file = Node("file");
  ASSERT_EQ(Watch(file, true, 5), 0);
  // Was sent before, and has come later.
  ASSERT_EQ(Watch(file, false, 4), 0);
  ByAnotherWrite("file", "1");
  Until({file, IN_CLOSE_WRITE, ""});
  ASSERT_EQ(Watch(file, false, 6), 0);
  ASSERT_EQ(Watch(kRoot, true, 7), 0);
  ByAnotherWrite("file", "2");
  EXPECT_EQ(Until({kRoot, IN_CLOSE_WRITE, "file"}).front(), (Told{kRoot, IN_MODIFY, "file"}));
  ASSERT_EQ(Watch(kRoot, false, 8), 0);
  ByAnotherWrite("file", "3");
  ByAnother([&] { unlink(Path("file").c_str()); });
  EXPECT_EQ(Until({kRoot, IN_DELETE, "file"}).size(), 1U) << "its names are of interest still";
}

TEST_F(FuseServerWatchTest, WhatIsForgotten) {
  ASSERT_EQ(mkdir(Path("dir").c_str(), 0755), 0);
  Write("dir/file", "");
  const uint64_t file = Node("dir/file");
  const uint64_t dir = Node("dir");
  ASSERT_EQ(Watch(file), 0);
  EXPECT_EQ(server_->watched(), 3U) << "the root and dir for their names";
  guest_->Forget(file, 1);
  EXPECT_EQ(server_->watched(), 2U);
  guest_->Forget(dir, 2);
  EXPECT_EQ(server_->watched(), 1U);
  EXPECT_EQ(Watch(dir), ESTALE);
  guest_->Init();
  EXPECT_EQ(server_->watched(), 0U);
}

TEST_F(FuseServerWatchTest, AGuestThatDoesNotKnow) {
  guest_->Init(~kInitHostEvents);
  EXPECT_EQ(Watch(kRoot), ENOSYS);
  EXPECT_EQ(guest_->Call(kHostEvents, kRoot, "").error, ENOSYS);
  EXPECT_EQ(guest_->Call(kHostEventsEnd, kRoot, "").error, ENOSYS);
  Write("file", "");
  EXPECT_NE(Node("file"), 0U);
  EXPECT_EQ(server_->watched(), 0U);
}

TEST_F(FuseServerWatchTest, TheEndOfWaiting) {
  fuse_in_header header = {};
  header.len = sizeof header;
  header.opcode = kHostEvents;
  header.unique = 77;
  const iovec in = {&header, sizeof header};
  EXPECT_TRUE(server_->MustWait({&in, 1}));
  EXPECT_EQ(guest_->Call(kHostEventsEnd, kRoot, "").error, 0);
  EXPECT_TRUE(ready_);
  EXPECT_FALSE(server_->MustWait({&in, 1}));
  fuse_out_header reply = {};
  const iovec out = {&reply, sizeof reply};
  EXPECT_EQ(server_->AnswerEvents({&in, 1}, {&out, 1}), sizeof reply);
  EXPECT_EQ(reply.error, -ECANCELED);
  EXPECT_EQ(reply.unique, 77U);
  guest_->Init();
  EXPECT_TRUE(server_->MustWait({&in, 1}));
}

TEST_F(FuseServerWatchTest, LostEventsAreTold) {
  Write("file", "");
  const uint64_t file = Node("file");
  ASSERT_EQ(Watch(file), 0);
  ASSERT_EQ(Watch(kRoot), 0);
  // More than the kernel keeps and the server has room for.
  const int count = std::stoi(ReadFile("/proc/sys/fs/fanotify/max_queued_events").value()) + 4096;
  ByAnother([&] {
    for (int i = 0; i < count; ++i) {
      if (mknod(Path("n" + std::to_string(i)).c_str(), S_IFIFO | 0600, 0) != 0) _exit(1);
    }
  });
  bool of_root = false;
  bool of_file = false;
  while (!of_root || !of_file) {
    for (const Told& told : Take()) {
      if (told.mask == IN_Q_OVERFLOW) (told.node == kRoot ? of_root : of_file) = true;
    }
  }
  // And goes on.
  ByAnother([&] { mkdir(Path("later").c_str(), 0755); });
  Until({kRoot, IN_CREATE | IN_ISDIR, "later"});
}

TEST_F(FuseServerWatchTest, SmallRoom) {
  ASSERT_EQ(Watch(kRoot), 0);
  ByAnother([&] { mkdir(Path("a-name-of-more-than-eight").c_str(), 0755); });
  ByAnother([&] { mkdir(Path("b").c_str(), 0755); });
  EXPECT_TRUE(Take(sizeof(HostEvent)).empty());
  std::vector<Told> all;
  while (all.size() < 2) {
    for (const Told& told : Take(sizeof(HostEvent) + 32)) all.push_back(told);
  }
  EXPECT_EQ(all[0].name, "a-name-of-more-than-eight");
  EXPECT_EQ(all[1].name, "b");
}

TEST_F(FuseServerWatchTest, BirthTime) {
  Write("file", "");
  struct statx status = {};
  ASSERT_EQ(statx(AT_FDCWD, Path("file").c_str(), 0, STATX_BTIME, &status), 0);
  const auto out = guest_->Call(kBirthTime, Node("file"), "").As<BirthTimeOut>();
  EXPECT_EQ(out.known, (status.stx_mask & STATX_BTIME) != 0 ? 1U : 0U);
  EXPECT_EQ(out.seconds, static_cast<uint64_t>(status.stx_btime.tv_sec));
  EXPECT_EQ(out.nanoseconds, status.stx_btime.tv_nsec);
  EXPECT_EQ(guest_->Call(kBirthTime, 4711, "").error, ESTALE);
}

}  // namespace
}  // namespace kata::fsd
