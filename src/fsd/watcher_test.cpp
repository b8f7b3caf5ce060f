// SPDX-License-Identifier: Apache-2.0
#include "fsd/watcher.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <random>
#include <semaphore>
#include <set>
#include <thread>

#include "base/files.h"
#include "fsd/fuse_extensions.h"

namespace kata::fsd {
namespace {

// Directories of the host as inodes 2, 3, ...
class WatcherTest : public ::testing::Test {
 protected:
  WatcherTest() {
    char path[] = "/tmp/fsd-test-XXXXXX";
    EXPECT_NE(mkdtemp(path), nullptr);
    path_ = path;
    proc_fds_.Reset(open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~WatcherTest() override {
    watcher_.reset();
    EXPECT_TRUE(RemoveTree(path_));
  }

  void Create(Watcher::Options options) {
    auto changes = HostChanges::Open(1880000000U + static_cast<uint32_t>(getpid()));
    ASSERT_TRUE(changes) << changes.error().message();
    const auto open = [this](const Inode& inode) {
      if (opening_) opening_(inode);
      return inode.access.path;
    };
    auto watcher = Watcher::Create(*std::move(changes), proc_fds_.get(), open, options);
    ASSERT_TRUE(watcher) << watcher.error().message();
    watcher_ = *std::move(watcher);
    watcher_->OnReady([this] { ready_.release(); });
  }
  std::shared_ptr<Inode> Make(uint64_t id) const {
    const std::string name = path_ + "/" + std::to_string(id);
    EXPECT_EQ(mkdir(name.c_str(), 0755), 0);
    auto inode = std::make_shared<Inode>(id, InodeKey{.device = 1, .number = id, .group = 0}, S_IFDIR | 0755U);
    Open(*inode, UniqueFd(open(name.c_str(), O_PATH | O_CLOEXEC)));
    return inode;
  }
  static void Open(Inode& inode, UniqueFd fd) {
    inode.access.mount = std::make_shared<Mount>();
    inode.access.path = std::make_shared<const OpenPath>(inode.access.mount, std::move(fd));
  }
  static int PathOf(const std::shared_ptr<Inode>& inode) { return inode->access.path->fd.get(); }
  void UseNames(const std::shared_ptr<Inode>& inode) { watcher_->UseNames(inode, PathOf(inode)); }

  // Another process removes something in the directories of these inodes.
  void ExpectToldOfThoseThatAreWatched(uint64_t first, uint64_t last) {
    std::vector<std::string> victims;
    std::set<uint64_t> wanted;
    for (uint64_t id = first; id <= last; ++id) {
      victims.push_back(path_ + "/" + std::to_string(id) + "/victim");
      ASSERT_EQ(mkdir(victims.back().c_str(), 0755), 0);
      if (watcher_->Watches(id)) wanted.insert(id);
    }
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (const auto& victim : victims) rmdir(victim.c_str());
      _exit(0);
    }
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    std::set<uint64_t> told;
    // Reached only in a failure.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (told != wanted && ready_.try_acquire_until(end)) {
      const std::string events = watcher_->Take(4096);
      for (size_t at = 0; at < events.size();) {
        HostEvent event;
        memcpy(&event, events.data() + at, sizeof event);
        at += sizeof event + (size_t{event.length} + 7) / 8 * 8;
        if ((event.mask & IN_DELETE) != 0) told.insert(event.node);
      }
    }
    EXPECT_EQ(told, wanted);
  }

  std::string path_;
  UniqueFd proc_fds_;
  std::function<void(const Inode&)> opening_;
  std::counting_semaphore<> ready_{0};
  std::unique_ptr<Watcher> watcher_;
};

TEST_F(WatcherTest, TheGuestWatchesTooMany) {
  Create({.max_watched = 2, .max_names = 2});
  EXPECT_EQ(watcher_->Watch(Make(2), 1), 0);
  EXPECT_EQ(watcher_->Watch(Make(3), 2), 0);
  const auto more = Make(4);
  EXPECT_EQ(watcher_->Watch(more, 3), ENOSPC);
  EXPECT_EQ(watcher_->size(), 2U);
  UseNames(more);
  EXPECT_EQ(watcher_->Watch(more, 4), ENOSPC);
  EXPECT_EQ(watcher_->size(), 3U) << "for its names";
  watcher_->Unwatch(2, 5);
  EXPECT_EQ(watcher_->Watch(more, 6), 0);
}

TEST_F(WatcherTest, TheDirectoryThatWasLookedAtLongestAgoMakesRoom) {
  Create({.max_watched = 10, .max_names = 3});
  std::vector<std::shared_ptr<Inode>> inodes;
  for (uint64_t id = 2; id < 5; ++id) inodes.push_back(Make(id));
  for (const auto& inode : inodes) UseNames(inode);
  UseNames(inodes[0]);
  EXPECT_EQ(watcher_->Watch(inodes[2], 1), 0);
  UseNames(Make(10));  // instead of inodes[1]
  EXPECT_EQ(watcher_->size(), 3U);
  watcher_->Forget(inodes[1]->id, PathOf(inodes[1]));
  EXPECT_EQ(watcher_->size(), 3U) << "it was not there any more";
  UseNames(Make(11));  // instead of inodes[2], which the guest watches
  UseNames(Make(12));  // instead of inodes[0]
  EXPECT_EQ(watcher_->size(), 4U);
  watcher_->Unwatch(inodes[2]->id, 2);
  EXPECT_EQ(watcher_->size(), 3U);
}

// What makes room is opened, for which its file system may take long.
TEST_F(WatcherTest, WhatMakesRoomHoldsNobodyUp) {
  std::promise<void> begun;
  std::promise<void> end;
  opening_ = [&](const Inode& inode) {
    if (inode.id != 2) return;
    begun.set_value();
    end.get_future().wait();
  };
  Create({.max_watched = 10, .max_names = 2});
  const auto oldest = Make(2);
  std::vector<std::shared_ptr<Inode>> inodes;
  for (uint64_t id = 3; id < 6; ++id) inodes.push_back(Make(id));
  UseNames(oldest);
  UseNames(inodes[0]);
  std::thread drops([&] { UseNames(inodes[1]); });
  begun.get_future().wait();
  EXPECT_FALSE(watcher_->Watches(2));
  UseNames(inodes[1]);
  UseNames(inodes[2]);  // instead of inodes[0]
  EXPECT_EQ(watcher_->Watch(inodes[0], 1), 0);
  EXPECT_EQ(watcher_->size(), 3U);
  // Who looks at it again waits until it is not watched any more, and watches it anew.
  std::thread again([&] { UseNames(oldest); });
  end.set_value();
  drops.join();
  again.join();
  EXPECT_TRUE(watcher_->Watches(2));
  ExpectToldOfThoseThatAreWatched(2, 5);
}

// Whatever several threads have done to a few directories.
TEST_F(WatcherTest, WhatIsWatchedInTheEndIsTold) {
  Create({.max_watched = 3, .max_names = 2});
  std::vector<std::shared_ptr<Inode>> inodes;
  for (uint64_t id = 2; id < 6; ++id) inodes.push_back(Make(id));
  std::atomic<uint64_t> sequence = 0;
  for (unsigned round = 0; round < 50; ++round) {
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < 3; ++seed) {
      threads.emplace_back([&, random = std::mt19937{round * 3 + seed}]() mutable {
        for (int i = 0; i < 100; ++i) {
          const auto& inode = inodes[random() % inodes.size()];
          switch (random() % 8) {
            case 0:
              watcher_->Forget(inode->id, PathOf(inode));
              break;
            case 1:
              (void)watcher_->Watch(inode, ++sequence);
              break;
            case 2:
              watcher_->Unwatch(inode->id, ++sequence);
              break;
            default:
              UseNames(inode);
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_LE(watcher_->size(), 4U);
    ExpectToldOfThoseThatAreWatched(2, 5);
    if (HasFailure()) return;
  }
}

TEST_F(WatcherTest, AGuestThatWatchesInALoop) {
  Create({.max_watched = 4, .max_names = 4});
  const auto inode = Make(2);
  for (uint64_t i = 0; i < 20000; ++i) {
    ASSERT_EQ(watcher_->Watch(inode, i), 0);
    if (i % 3 == 0) UseNames(inode);
    if (i % 7 == 0) watcher_->Forget(2, PathOf(inode));
    watcher_->Unwatch(2, i);
    ASSERT_LE(watcher_->size(), 1U);
  }
}

TEST_F(WatcherTest, AFileSystemThatDoesNotTell) {
  Create({});
  auto inode = std::make_shared<Inode>(2, InodeKey{.device = 9, .number = 1, .group = 0}, S_IFDIR | 0755U);
  // The root of a pipe's file system and its like have no handles.
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  Open(*inode, UniqueFd(pipe_ends[0]));
  const UniqueFd other(pipe_ends[1]);
  EXPECT_NE(watcher_->Watch(inode, 1), 0);
  UseNames(inode);
  EXPECT_EQ(watcher_->size(), 0U);
}

// The host allows a user so many groups. Each server is a user of its own, and takes none from the others.
TEST(HostChanges, OneUserForEachServer) {
  constexpr uint32_t kUser = 1890000000;
  const int limit = std::stoi(ReadFile("/proc/sys/fs/fanotify/max_user_groups").value());
  std::vector<std::unique_ptr<HostChanges>> groups;
  bool refused = false;
  for (int i = 0; i <= limit && !refused; ++i) {
    auto group = HostChanges::Open(kUser);
    refused = !group;
    if (group) groups.push_back(*std::move(group));
  }
  EXPECT_TRUE(refused) << "this host has no such limit";
  EXPECT_TRUE(HostChanges::Open(kUser + 1));
}

std::string Event(uint64_t mask, int32_t pid, const std::string& infos) {
  fanotify_event_metadata head = {};
  head.event_len = static_cast<uint32_t>(sizeof head + infos.size());
  head.vers = FANOTIFY_METADATA_VERSION;
  head.metadata_len = sizeof head;
  head.mask = mask;
  head.fd = FAN_NOFD;
  head.pid = pid;
  return std::string(reinterpret_cast<const char*>(&head), sizeof head) + infos;
}

std::string Info(uint8_t type, const std::string& handle, const std::string& name) {
  std::string body(8, 'f');
  const uint32_t numbers[] = {static_cast<uint32_t>(handle.size()), 1};
  body.append(reinterpret_cast<const char*>(numbers), sizeof numbers);
  body += handle + name;
  fanotify_event_info_header head = {};
  head.info_type = type;
  head.len = static_cast<uint16_t>(sizeof head + body.size());
  return std::string(reinterpret_cast<const char*>(&head), sizeof head) + body;
}

TEST(ParseChange, AllParts) {
  const std::string name("name\0\0\0\0", 8);
  const std::string event = Event(FAN_RENAME, 0,
                                  Info(FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, "12345678", name) +
                                      Info(FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, "87654321", std::string("new\0", 4)) +
                                      Info(FAN_EVENT_INFO_TYPE_FID, "abcdefgh", "") + Info(99, "later", ""));
  HostChange change;
  ASSERT_TRUE(ParseChange(event, &change));
  EXPECT_EQ(change.mask, FAN_RENAME);
  EXPECT_FALSE(change.own);
  EXPECT_EQ(change.entry.name, "name");
  EXPECT_TRUE(change.entry.directory.ends_with("12345678"));
  EXPECT_EQ(change.new_entry.name, "new");
  EXPECT_TRUE(change.file.ends_with("abcdefgh"));
  EXPECT_EQ(change.file.size(), 8 + 8 + 8U);
  ASSERT_TRUE(ParseChange(Event(FAN_CREATE, 7, ""), &change));
  EXPECT_TRUE(change.own);
}

TEST(ParseChange, Damaged) {
  const std::string event = Event(FAN_CREATE, 0,
                                  Info(FAN_EVENT_INFO_TYPE_DFID_NAME, "12345678", std::string("name\0", 5)) +
                                      Info(FAN_EVENT_INFO_TYPE_FID, "abcdefgh", ""));
  std::mt19937_64 random{1};
  for (int i = 0; i < 100000; ++i) {
    // An allocation of its own, so that a sanitizer sees what goes beyond.
    std::string damaged = event.substr(0, i % 3 == 0 ? random() % event.size() : event.size());
    for (int j = 0; j < 3 && !damaged.empty(); ++j) damaged[random() % damaged.size()] = static_cast<char>(random());
    if (i % 2 == 0 && damaged.size() >= 4) {
      const auto length = static_cast<uint32_t>(damaged.size());
      memcpy(damaged.data(), &length, sizeof length);
    }
    const std::unique_ptr<char[]> exact(new char[damaged.size()]);
    memcpy(exact.get(), damaged.data(), damaged.size());
    HostChange change;
    if (!ParseChange({exact.get(), damaged.size()}, &change)) continue;
    EXPECT_LT(change.entry.name.size(), event.size());
  }
}

}  // namespace
}  // namespace kata::fsd
