// SPDX-License-Identifier: Apache-2.0
#include "agent/namespaces.h"

#include <gmock/gmock.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

#include "base/child.h"
#include "base/files.h"

namespace kata::agent {
namespace {

using testing::HasSubstr;

grpc::Linux Mapped(uint32_t outside) {
  grpc::Linux section;
  for (auto* mapping : {section.add_uidmappings(), section.add_gidmappings()}) {
    mapping->set_hostid(outside);
    mapping->set_size(10);
  }
  return section;
}

// Whether this user namespace owns the other namespace.
bool Owns(const UniqueFd& user, const UniqueFd& other) {
  const UniqueFd owner(ioctl(other.get(), NS_GET_USERNS));
  struct stat one {
  }, two{};
  return owner && fstat(user.get(), &one) == 0 && fstat(owner.get(), &two) == 0 && one.st_ino == two.st_ino;
}

std::string HostnameIn(const UniqueFd& uts) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  const UniqueFd answer(ends[0]);
  UniqueFd theirs(ends[1]);
  auto child = Fork({.fds = {-1, -1, -1, uts.get(), theirs.get()}}, [] {
    struct utsname name {};
    if (setns(3, CLONE_NEWUTS) != 0 || uname(&name) != 0) _exit(1);
    (void)WriteAll(4, name.nodename);
    _exit(0);
  });
  theirs.Reset();
  return ReadAll(answer.get()).value_or("");
}

TEST(SharedNamespaces, AUserNamespaceOwnsTheOthers) {
  ASSERT_EQ(geteuid(), 0U) << "makes namespaces";
  auto shared = MakeSharedNamespaces("the-pod", /*with_pid=*/false);
  ASSERT_TRUE(shared) << shared.error().message();
  const Result<> made = NeedUserNamespace(*shared, Mapped(100000));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(Owns(shared->user, shared->ipc));
  EXPECT_TRUE(Owns(shared->user, shared->uts));
  EXPECT_EQ(HostnameIn(shared->uts), "the-pod");
  const Result<> pid = NeedPidNamespace(*shared);
  ASSERT_TRUE(pid) << pid.error().message();
  EXPECT_TRUE(Owns(shared->user, shared->pid));

  const int before = shared->user.get();
  EXPECT_TRUE(NeedUserNamespace(*shared, Mapped(100000)));
  EXPECT_EQ(shared->user.get(), before) << "the same for all containers of the pod";
  const Result<> other = NeedUserNamespace(*shared, Mapped(200000));
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message(), HasSubstr("the pod's user namespace"));
}

TEST(SharedNamespaces, AUserNamespaceThatComesTooLateOrHasNoMappings) {
  auto shared = MakeSharedNamespaces("", /*with_pid=*/true);
  ASSERT_TRUE(shared) << shared.error().message();
  EXPECT_THAT(NeedUserNamespace(*shared, Mapped(100000)).error().message(), HasSubstr("older than its user namespace"));
  auto other = MakeSharedNamespaces("", /*with_pid=*/false);
  ASSERT_TRUE(other);
  EXPECT_THAT(NeedUserNamespace(*other, {}).error().message(), HasSubstr("linux.uidMappings"));
  EXPECT_FALSE(other->user);
}

}  // namespace
}  // namespace kata::agent
