// SPDX-License-Identifier: Apache-2.0
#include "sandbox/record/state.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

State Example() {
  State state;
  state.id = "c1";
  state.oci_version = "1.1.0";
  state.status = Status::kRunning;
  state.standin = {.pid = 12, .start_time = 345};
  state.sandbox = *IdentifyProcess(getpid());
  state.helpers = {{.pid = 77, .start_time = 1}, {.pid = 78, .start_time = 2}};
  state.bundle = "/b";
  state.rootfs = "/b/rootfs";
  state.created = "2026-01-02T03:04:05.000000006Z";
  state.annotations = {{"a", "b"}};
  state.owner = 4294967294U;
  state.cgroup_paths = {"/sys/fs/cgroup/x"};
  state.exit_status = 3;
  state.exited_at = "x";
  state.failure = "it \"died\"\nbadly";
  state.timing = {{"boot", 123456}};
  state.network = "/run/netns/pod";
  state.socket = "/run/containerd/s/abc";
  state.disks = true;
  state.sandbox_id = "c0";
  return state;
}

TEST(State, ComesBackAsItWasStored) {
  testing::TempDir dir;
  State state = Example();
  ASSERT_TRUE(StoreState(dir.fd(), state));
  auto loaded = LoadState(dir.fd());
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(ToJson(*loaded), ToJson(state));
  EXPECT_EQ(loaded->helpers, state.helpers);
  EXPECT_EQ(loaded->owner, state.owner);
  EXPECT_EQ(loaded->timing.at("boot"), 123456);
  EXPECT_EQ(loaded->network, state.network);
  EXPECT_EQ(loaded->socket, state.socket);
  EXPECT_TRUE(loaded->disks);
  EXPECT_EQ(loaded->sandbox_id, state.sandbox_id);
  struct stat status {};
  ASSERT_EQ(fstatat(dir.fd(), kStateFile, &status, 0), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST(State, BytesThatAreNoTextDoNotBreakIt) {
  State state = Example();
  state.failure = "guest said \xff\xfe";
  EXPECT_TRUE(ParseState(ToJson(state)));
}

TEST(State, NeverOutgrowsItsReader) {
  testing::TempDir dir;
  State state = Example();
  state.failure = std::string(100000, '\x1b');
  ASSERT_TRUE(StoreState(dir.fd(), state));
  EXPECT_LE(LoadState(dir.fd())->failure.size(), kMaxFailure);
  // In JSON, control characters take six bytes each.
  state.annotations["a"] = std::string(kMaxStateBytes / 6, '\x01');
  auto stored = StoreState(dir.fd(), state);
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code(), Code::kResourceExhausted);
  EXPECT_TRUE(LoadState(dir.fd())) << "what was there before is still whole";
  // The first record must leave room to grow.
  state.annotations["a"] = std::string(kMaxStateBytes - 10000, 'x');
  state.failure.clear();
  EXPECT_TRUE(StoreState(dir.fd(), state));
  state.status = Status::kCreating;
  EXPECT_FALSE(StoreState(dir.fd(), state));
}

TEST(State, DepthIsAnErrorAndNoCrash) {
  std::string whole = ToJson(Example());
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  const std::string field = "\"socket\": \"/run/containerd/s/abc\"";
  whole.replace(whole.find(field), field.size(), "\"socket\": " + deep);
  EXPECT_EQ(ParseState(whole).error().code(), Code::kInvalidArgument);
}

TEST(State, HalfAFileIsAnError) {
  std::string whole = ToJson(Example());
  for (size_t length = 0; length + 2 < whole.size(); ++length) {
    auto parsed = ParseState(whole.substr(0, length));
    ASSERT_FALSE(parsed) << length;
    EXPECT_EQ(parsed.error().code(), Code::kInvalidArgument);
    EXPECT_EQ(parsed.error().message(), "state.json is not a whole record: it is cut off or damaged");
  }
}

TEST(State, WrongTypesAreErrorsThatNameTheField) {
  std::string whole = ToJson(Example());
  struct {
    const char* from;
    const char* to;
    const char* field;
  } const cases[] = {{"\"status\": \"running\"", "\"status\": \"dancing\"", "status"},
                     {"\"pid\": 12,", "\"pid\": -99999999999,", "pid"},
                     {"\"pid\": 12,", "\"pid\": \"12\",", "pid"},
                     {"\"owner\": 4294967294", "\"owner\": 4294967296", "owner"},
                     {"\"exitStatus\": 3", "\"exitStatus\": 1.5", "exitStatus"},
                     {"\"bundle\"", "\"bandle\"", "bundle"}};
  for (const auto& each : cases) {
    std::string text = whole;
    size_t at = text.find(each.from);
    ASSERT_NE(at, std::string::npos) << each.from;
    text.replace(at, strlen(each.from), each.to);
    auto parsed = ParseState(text);
    ASSERT_FALSE(parsed) << each.to;
    EXPECT_NE(parsed.error().message().find(each.field), std::string::npos) << parsed.error().message();
  }
  EXPECT_FALSE(ParseState("[]"));
  EXPECT_FALSE(ParseState("null"));
}

TEST(State, ALinkInItsPlaceIsNotFollowed) {
  testing::TempDir dir;
  std::string elsewhere = dir.Write("elsewhere", ToJson(Example()));
  ASSERT_EQ(symlinkat(elsewhere.c_str(), dir.fd(), kStateFile), 0);
  EXPECT_FALSE(LoadState(dir.fd()));
}

TEST(State, MissingIsNotFound) {
  testing::TempDir dir;
  auto loaded = LoadState(dir.fd());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), Code::kNotFound);
}

TEST(State, AStateWithoutItsProcessIsStopped) {
  State state = Example();
  EXPECT_EQ(CurrentStatus(state), Status::kRunning);
  state.sandbox.start_time += 1;
  EXPECT_EQ(CurrentStatus(state), Status::kStopped);
}

TEST(ParseTime, ReadsWhatFormatTimeWrites) {
  for (const timespec& time : {timespec{0, 1}, timespec{1767323045, 600000000}, timespec{1767323045, 0}}) {
    const auto parsed = ParseTime(FormatTime(time.tv_sec, static_cast<int32_t>(time.tv_nsec)));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->tv_sec, time.tv_sec);
    EXPECT_EQ(parsed->tv_nsec, time.tv_nsec);
  }
  for (const char* text : {"", "yesterday", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1Z",
                           "2026-01-02T03:04:05.000000001", "2026-01-02T03:04:05.000000001Z "}) {
    EXPECT_FALSE(ParseTime(text)) << text;
  }
}

TEST(FormatTime, IsRfc3339) {
  EXPECT_EQ(FormatTime(0, 1), "1970-01-01T00:00:00.000000001Z");
  EXPECT_EQ(FormatTime(1767323045, 600000000), "2026-01-02T03:04:05.600000000Z");
}

}  // namespace
}  // namespace kata::sandbox
