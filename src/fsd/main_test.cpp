// SPDX-License-Identifier: Apache-2.0
// kata-fsd as the sandbox process starts it, with a VMM and a guest by hand.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "base/child.h"
#include "base/files.h"
#include "base/process_table.h"
#include "fsd/fuse_extensions.h"
#include "fsd/vhost_user_front_end_fixture.h"

namespace kata::fsd {
namespace {

using ::testing::HasSubstr;

class ProgramTest : public ::testing::Test, protected TestFrontEnd {
 protected:
  ProgramTest() {
    directory_ = ::testing::TempDir() + "/fsd_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    shared_ = directory_ + "/with, comma";
    EXPECT_EQ(mkdir(shared_.c_str(), 0755), 0);
    const UniqueFd file = Open(shared_ + "/file", O_WRONLY | O_CREAT, 0640).value();
    EXPECT_TRUE(WriteAll(file.get(), "contents"));
    errors_.Reset(memfd_create("errors", MFD_CLOEXEC));
  }
  ~ProgramTest() override {
    program_.End();
    EXPECT_TRUE(RemoveTree(directory_));
  }

  // With the socket as descriptor 3.
  void Start(std::vector<std::string> words) {
    Command command;
    words.insert(words.begin(), KATA_FSD);
    command.argv = std::move(words);
    command.stderr_fd = errors_.get();
    // An autobound abstract address, so that no file is needed.
    UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    socklen_t length = sizeof(sa_family_t);
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    length = sizeof address;
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    command.extra_fds = {listener.get()};
    auto child = Spawn(command);
    ASSERT_TRUE(child) << child.error().message();
    program_ = *std::move(child);
    vmm_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(vmm_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  }
  void StartServer() {
    Start({"-f", "--thread-pool-size=1", "-o", "announce_submounts", "-o", "cache=auto", "-o", "xattrmap=/ok/all///",
           "-o", "sandbox=namespace", "-o", "source=" + directory_ + R"(/with\, comma)", "--rlimit-nofile=1000",
           "--fd=3"});
    Set();
  }
  // Its exit status, and what it said.
  std::string End() {
    const auto status = program_.Wait();
    lseek(errors_.get(), 0, SEEK_SET);
    return status->Describe() + ": " + ReadAll(errors_.get()).value();
  }
  pid_t Inner() const {
    const std::vector<pid_t> children = ChildrenOf(program_.pid());
    return children.empty() ? -1 : children.front();
  }

  // Sends a request of the guest. Where the reply will be.
  uint64_t Submit(uint32_t opcode, uint64_t node, const std::string& arguments) {
    fuse_in_header header = {};
    header.len = static_cast<uint32_t>(sizeof header + arguments.size());
    header.opcode = opcode;
    header.unique = ++unique_;
    header.nodeid = node;
    return Add(requests_, std::string(reinterpret_cast<char*>(&header), sizeof header) + arguments);
  }
  // A request, and the structure that it gets for it. The error of the reply.
  template <typename Out>
  int Fuse(uint32_t opcode, uint64_t node, const std::string& arguments, Out* out) {
    const uint64_t place = Submit(opcode, node, arguments);
    const uint32_t length = Await(requests_);
    fuse_out_header reply = {};
    memcpy(&reply, memory_.At(place), sizeof reply);
    EXPECT_EQ(reply.len, length);
    EXPECT_EQ(reply.unique, unique_);
    if (reply.error == 0) memcpy(out, memory_.At(place + sizeof reply), sizeof *out);
    return -reply.error;
  }
  void Init(uint64_t flags = 0) {
    fuse_init_in in = {};
    in.flags = static_cast<uint32_t>(flags);
    in.flags2 = static_cast<uint32_t>(flags >> 32U);
    in.major = FUSE_KERNEL_VERSION;
    in.minor = FUSE_KERNEL_MINOR_VERSION;
    fuse_init_out out = {};
    EXPECT_EQ(Fuse(FUSE_INIT, 0, {reinterpret_cast<char*>(&in), sizeof in}, &out), 0);
    EXPECT_EQ(out.major, FUSE_KERNEL_VERSION);
  }

  std::string directory_;
  std::string shared_;
  UniqueFd errors_;
  Child program_;
  uint64_t unique_ = 0;
};

TEST_F(ProgramTest, ServesTheSharedDirectory) {
  StartServer();
  Init();
  fuse_entry_out entry = {};
  ASSERT_EQ(Fuse(FUSE_LOOKUP, FUSE_ROOT_ID, std::string("file", 5), &entry), 0);
  EXPECT_EQ(entry.attr.size, 8);
  EXPECT_EQ(entry.attr.mode, S_IFREG | 0640U);
  fuse_open_in open = {O_RDONLY, 0};
  fuse_open_out opened = {};
  ASSERT_EQ(Fuse(FUSE_OPEN, entry.nodeid, {reinterpret_cast<char*>(&open), sizeof open}, &opened), 0);
  fuse_read_in read = {};
  read.fh = opened.fh;
  read.size = 100;
  char text[8] = {};
  ASSERT_EQ(Fuse(FUSE_READ, entry.nodeid, {reinterpret_cast<char*>(&read), sizeof read}, &text), 0);
  EXPECT_EQ(std::string(text, sizeof text), "contents");
  EXPECT_EQ(Fuse(FUSE_LOOKUP, FUSE_ROOT_ID, std::string("none", 5), &entry), ENOENT);
  EXPECT_NE(Fuse(FUSE_LOOKUP, FUSE_ROOT_ID, std::string("..", 3), &entry), 0);
  vmm_.Reset();
  EXPECT_EQ(End(), "exited with status 0: ");
}

// With one thread for requests: one that waits for events does not hold up the others.
TEST_F(ProgramTest, TellsWhatOthersDo) {
  StartServer();
  Init(FUSE_INIT_EXT | kInitHostEvents);
  const HostWatchIn watch = {.sequence = 1, .watched = 1, .padding = 0};
  char none = 0;
  ASSERT_EQ(Fuse(kHostWatch, FUSE_ROOT_ID, {reinterpret_cast<const char*>(&watch), sizeof watch}, &none), 0);
  const uint64_t reply = Submit(kHostEvents, FUSE_ROOT_ID, "");
  fuse_entry_out entry = {};
  ASSERT_EQ(Fuse(FUSE_LOOKUP, FUSE_ROOT_ID, std::string("file", 5), &entry), 0);
  ASSERT_EQ(mkdir((shared_ + "/made").c_str(), 0755), 0);
  const uint32_t length = Await(requests_);
  HostEvent event = {};
  ASSERT_EQ(length, sizeof(fuse_out_header) + sizeof event + 8);
  memcpy(&event, memory_.At(reply + sizeof(fuse_out_header)), sizeof event);
  EXPECT_EQ(event.node, FUSE_ROOT_ID);
  EXPECT_EQ(event.mask, static_cast<uint32_t>(IN_CREATE | IN_ISDIR));
  EXPECT_EQ(memory_.Read(reply + sizeof(fuse_out_header) + sizeof event, event.length), "made");
  // A queue that stops gets back the request that waits.
  Submit(kHostEvents, FUSE_ROOT_ID, "");
  ASSERT_EQ(Fuse(FUSE_LOOKUP, FUSE_ROOT_ID, std::string("file", 5), &entry), 0) << "comes after it";
  Stop(kRequests);
  EXPECT_EQ(Await(requests_), sizeof(fuse_out_header));
  vmm_.Reset();
  EXPECT_EQ(End(), "exited with status 0: ");
}

TEST_F(ProgramTest, IsConfined) {
  StartServer();
  Init();
  const std::string status = ReadFile("/proc/" + std::to_string(Inner()) + "/status").value();
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, HasSubstr("CapEff:\t00000000880000df"));
  EXPECT_THAT(status, HasSubstr("CapBnd:\t0000000000000000"));
  EXPECT_THAT(ReadFile("/proc/" + std::to_string(program_.pid()) + "/status").value(),
              HasSubstr("CapPrm:\t0000000000000000"));
  EXPECT_THAT(ReadFile("/proc/" + std::to_string(Inner()) + "/limits").value(),
              HasSubstr("Max open files            1000                 1000"));
  struct stat root = {};
  struct stat shared = {};
  ASSERT_EQ(stat(("/proc/" + std::to_string(Inner()) + "/root").c_str(), &root), 0);
  ASSERT_EQ(stat(shared_.c_str(), &shared), 0);
  EXPECT_EQ(root.st_ino, shared.st_ino);
}

// In kB, of both processes.
TEST_F(ProgramTest, IsSmall) {
  StartServer();
  Init();
  uint64_t total = 0;
  for (const pid_t pid : {program_.pid(), Inner()}) {
    const std::string text = ReadFile("/proc/" + std::to_string(pid) + "/smaps_rollup").value();
    const size_t start = text.find_first_of("0123456789", text.find("\nPss:"));
    uint64_t size = 0;
    std::from_chars(text.data() + start, text.data() + text.size(), size);
    total += size;
  }
  EXPECT_GT(total, 0);
  EXPECT_LE(total, 2000);
}

TEST_F(ProgramTest, DiesWithTheProcessThatWasStarted) {
  for (const int signal : {SIGKILL, SIGTERM}) {
    StartServer();
    const UniqueFd inner = OpenPidfd(Inner()).value();
    kill(program_.pid(), signal);
    pollfd ended = {inner.get(), POLLIN, 0};
    EXPECT_EQ(poll(&ended, 1, kDeadline), 1);
    EXPECT_THAT(End(), HasSubstr("killed by signal " + std::to_string(signal)));
  }
}

TEST_F(ProgramTest, TheDeathOfTheServerIsTold) {
  StartServer();
  kill(Inner(), SIGKILL);
  EXPECT_EQ(End(), "exited with status 137: kata-fsd: the serving process was killed by signal 9 (Killed)\n");
}

TEST_F(ProgramTest, SaysWhyItCannotServe) {
  Start({"-o", "source=" + directory_ + "/none", "--fd=3"});
  EXPECT_THAT(End(), HasSubstr("status 1: kata-fsd: cannot mount " + directory_ + "/none: No such file"));
}

TEST_F(ProgramTest, SaysWhatIsWrongWithItsOptions) {
  Start({"-o", "source=" + directory_, "--fd=3", "--daemonize"});
  EXPECT_EQ(End(), "exited with status 2: kata-fsd: --daemonize: not known\n");
}

TEST_F(ProgramTest, AFrontEndThatIsNone) {
  StartServer();
  const char text[] = "GET / HTTP/1.0\r\n\r\n";
  ASSERT_GT(send(vmm_.get(), text, sizeof text, MSG_NOSIGNAL), 0);
  EXPECT_THAT(End(), HasSubstr("exited with status 1: kata-fsd: request 542393671 of the VMM"));
}

}  // namespace
}  // namespace kata::fsd
