// SPDX-License-Identifier: Apache-2.0
// Parts that need no container: capability names, homes, variables, sysctl names, the hooks' state, the plan.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>

#include "agent/container/capabilities.h"
#include "agent/container/command_path.h"
#include "agent/container/hooks.h"
#include "agent/container/plan.h"
#include "agent/container/sysctl.h"
#include "agent/container/validate.h"

namespace kata::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Capabilities, NamesAreTheKernelsNumbers) {
  EXPECT_EQ(CapabilityFromName("CAP_CHOWN"), unsigned{CAP_CHOWN});
  EXPECT_EQ(CapabilityFromName("CAP_NET_RAW"), unsigned{CAP_NET_RAW});
  EXPECT_EQ(CapabilityFromName("CAP_SYS_ADMIN"), unsigned{CAP_SYS_ADMIN});
  EXPECT_EQ(CapabilityFromName("CAP_SETFCAP"), unsigned{CAP_SETFCAP});
  EXPECT_EQ(CapabilityFromName("CAP_AUDIT_CONTROL"), unsigned{CAP_AUDIT_CONTROL});
  EXPECT_EQ(CapabilityFromName("CAP_WAKE_ALARM"), unsigned{CAP_WAKE_ALARM});
  EXPECT_EQ(CapabilityFromName("CAP_CHECKPOINT_RESTORE"), unsigned{CAP_CHECKPOINT_RESTORE});
  for (const char* bad : {"", "CHOWN", "cap_chown", "CAP_", "CAP_CHOWN "}) EXPECT_FALSE(CapabilityFromName(bad)) << bad;
}

TEST(Capabilities, NothingIsImplied) {
  grpc::LinuxCapabilities names;
  names.add_bounding("CAP_KILL");
  names.add_permitted("CAP_FUTURE");
  std::vector<std::string> unknown;
  const CapabilitySets sets = ParseCapabilities(names, &unknown);
  EXPECT_EQ(sets.bounding, uint64_t{1} << CAP_KILL);
  EXPECT_EQ(sets.effective | sets.permitted | sets.inheritable | sets.ambient, 0U);
  EXPECT_THAT(unknown, ElementsAre("CAP_FUTURE"));
}

TEST(Passwd, FindsHomesByNumberOnly) {
  const std::string passwd =
      "root:x:0:0:root:/root:/bin/sh\n"
      "1000:x:5:5::/wrong:/bin/sh\n"
      "broken\n"
      "spaced:x: 7:7::/wrong:\n"
      "user:x:1000:1000::/home/user:\n"
      "none:x:9:9::\n";
  EXPECT_EQ(HomeOf(passwd, 0), "/root");
  EXPECT_EQ(HomeOf(passwd, 1000), "/home/user");
  EXPECT_EQ(HomeOf(passwd, 7), "/");
  EXPECT_EQ(HomeOf(passwd, 9), "/");
  EXPECT_EQ(HomeOf("", 0), "/");
  EXPECT_EQ(HomeOf("\n:::::\n4294967296:x:4294967296:0::/x:", 0), "/");
}

TEST(Environment, TheLastOfANameCounts) {
  std::string value;
  EXPECT_NE(FindVariable({"PATH=/a", "PATHX=/b", "PATH=/c"}, "PATH", &value), nullptr);
  EXPECT_EQ(value, "/c");
  EXPECT_EQ(FindVariable({"PATHX=/b", "PATH"}, "PATH", &value), nullptr);
}

TEST(Sysctl, Names) {
  EXPECT_EQ(*SysctlPath("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
  EXPECT_EQ(*SysctlPath("net/ipv4/ip_forward"), "net/ipv4/ip_forward");
  EXPECT_EQ(*SysctlPath("net.ipv4.conf.eth0/1.rp_filter"), "net/ipv4/conf/eth0.1/rp_filter");
  EXPECT_EQ(*SysctlPath("net/ipv4/conf/eth0.1/rp_filter"), "net/ipv4/conf/eth0.1/rp_filter");
  for (const char* bad : {"", "/etc/passwd", "net/../../x", "..", "net..x", "./x", "x/", "net."}) {
    EXPECT_FALSE(SysctlPath(bad)) << bad;
  }
}

TEST(Sysctl, GroupsOfTheContainerAreTheGuestsOwn) {
  grpc::Linux linux;
  EXPECT_EQ(*GuestGroups("0 100", linux), "0 100");
  for (const auto& [inside, outside, size] : {std::array{0U, 100000U, 10U}, {10U, 1000U, 1U}}) {
    auto* mapping = linux.add_gidmappings();
    mapping->set_containerid(inside);
    mapping->set_hostid(outside);
    mapping->set_size(size);
  }
  EXPECT_EQ(*GuestGroups("0 9", linux), "100000 100009");
  EXPECT_EQ(*GuestGroups(" 10\t10\n", linux), "1000 1000");
  for (const char* bad : {"0 11", "0 2147483647", "x", "0 -1"}) EXPECT_FALSE(GuestGroups(bad, linux)) << bad;
}

TEST(Hooks, StateIsJson) {
  grpc::Spec spec;
  spec.set_version("1.0.2");
  spec.mutable_root()->set_path("/run/c1/rootfs");
  (*spec.mutable_annotations())["a\"b"] = "line\nbreak\\";
  EXPECT_EQ(StateJson(spec, "c1", 1),
            R"({"ociVersion":"1.0.2","id":"c1","status":"created","pid":1,"bundle":"/run/c1",)"
            R"("annotations":{"a\"b":"line\u000abreak\\"}})");
  spec.clear_annotations();
  EXPECT_EQ(StateJson(spec, "c1", 1),
            R"({"ociVersion":"1.0.2","id":"c1","status":"created","pid":1,"bundle":"/run/c1"})");
}

TEST(Plan, ErrorsKeepTheirKind) {
  const Error error = UnpackError(PackError(Error(Code::kNotFound, "no such thing", ENOENT)));
  EXPECT_EQ(error.code(), Code::kNotFound);
  EXPECT_EQ(error.sys(), ENOENT);
  EXPECT_EQ(error.message(), "no such thing");
  EXPECT_EQ(UnpackError("").code(), Code::kInternal);
}

TEST(Validate, NamesTheField) {
  grpc::Spec good;
  good.mutable_process()->add_args("/bin/true");
  good.mutable_process()->set_cwd("/");
  good.mutable_root()->set_path("/rootfs");
  good.mutable_linux()->add_namespaces()->set_type("mount");
  ASSERT_TRUE(ValidateSpec("c1", good));
  for (const char* id : {"", ".", "..", "a/b"}) EXPECT_FALSE(ValidateSpec(id, good)) << id;
  EXPECT_FALSE(ValidateSpec(std::string(256, 'x'), good));

  const auto refusal = [](const grpc::Spec& spec) {
    const auto result = ValidateSpec("c1", spec);
    return result ? std::string("accepted") : result.error().message();
  };
  grpc::Spec spec = good;
  spec.mutable_process()->clear_args();
  EXPECT_THAT(refusal(spec), HasSubstr("process.args"));
  spec = good;
  spec.mutable_process()->set_cwd("tmp");
  EXPECT_THAT(refusal(spec), HasSubstr("process.cwd"));
  spec = good;
  spec.mutable_root()->set_path("rootfs");
  EXPECT_THAT(refusal(spec), HasSubstr("root.path"));
  spec = good;
  spec.mutable_linux()->clear_namespaces();
  EXPECT_THAT(refusal(spec), HasSubstr("linux.namespaces"));
  spec = good;
  spec.mutable_linux()->add_namespaces()->set_type("mount");
  EXPECT_THAT(refusal(spec), HasSubstr("linux.namespaces[1].type"));
  spec = good;
  spec.mutable_linux()->add_uidmappings()->set_size(1);
  EXPECT_THAT(refusal(spec), HasSubstr("linux.uidMappings"));
  spec = good;
  spec.mutable_linux()->mutable_intelrdt()->set_l3cacheschema("L3:0=1");
  EXPECT_THAT(refusal(spec), HasSubstr("linux.intelRdt"));
}

}  // namespace
}  // namespace kata::agent
