// SPDX-License-Identifier: Apache-2.0
#include "oci/validate.h"

#include <gtest/gtest.h>

#include <functional>

#include "oci/default_spec.h"
#include "oci/guest_spec.h"
#include "oci/parse.h"

namespace kata::oci {
namespace {

grpc::Spec DefaultSpec() { return *ParseSpec(DefaultSpecJson()); }

// The error of the default spec after applying change; "" if it is valid.
std::string ErrorAfter(const std::function<void(grpc::Spec&)>& change) {
  grpc::Spec spec = DefaultSpec();
  change(spec);
  const Result<> result = Validate(spec);
  return result ? "" : result.error().message();
}

void ExpectFault(const std::string& path, const std::function<void(grpc::Spec&)>& change) {
  const std::string error = ErrorAfter(change);
  EXPECT_TRUE(error.starts_with(path)) << "expected " << path << ", got: " << error;
}

grpc::LinuxNamespace& AddNamespace(grpc::Spec& spec, const std::string& type, const std::string& path = "") {
  grpc::LinuxNamespace& added = *spec.mutable_linux()->add_namespaces();
  added.set_type(type);
  added.set_path(path);
  return added;
}

TEST(ValidateId, FollowsRuncsRule) {
  for (const char* id : {"a", "0", "A_b+c-d.e", "..."}) EXPECT_TRUE(ValidateId(id)) << id;
  EXPECT_TRUE(ValidateId(std::string(255, 'x')));
  for (const char* id : {"", ".", "..", "a/b", "../a", "a b", "a\n", "ä", "a:b"}) EXPECT_FALSE(ValidateId(id)) << id;
  EXPECT_FALSE(ValidateId(std::string(256, 'x')));
  EXPECT_FALSE(ValidateId(std::string("a\0b", 3)));
}

TEST(Validate, AcceptsTheDefaultSpecs) {
  EXPECT_EQ(ErrorAfter([](grpc::Spec&) {}), "");
  grpc::Spec rootless = *ParseSpec(RootlessSpecJson(1000, 1000));
  EXPECT_TRUE(Validate(rootless));
}

TEST(Validate, ChecksTheVersion) {
  for (const char* version : {"1.0.0", "1.0.2-dev", "1.2.1+build"}) {
    EXPECT_EQ(ErrorAfter([&](grpc::Spec& spec) { spec.set_version(version); }), "") << version;
  }
  for (const char* version : {"", "1", "1.1", "x.y.z", "2.0.0", "1.0.", "-1.0.0"}) {
    ExpectFault("ociVersion: ", [&](grpc::Spec& spec) { spec.set_version(version); });
  }
}

TEST(Validate, ChecksTheProcess) {
  ExpectFault("process: ", [](grpc::Spec& spec) { spec.clear_process(); });
  ExpectFault("process.args: ", [](grpc::Spec& spec) { spec.mutable_process()->clear_args(); });
  ExpectFault("process.cwd: ", [](grpc::Spec& spec) { spec.mutable_process()->set_cwd("tmp"); });
  ExpectFault("process.oomScoreAdj: ", [](grpc::Spec& spec) { spec.mutable_process()->set_oomscoreadj(1001); });
  ExpectFault("process.user.umask: ",
              [](grpc::Spec& spec) { spec.mutable_process()->mutable_user()->set_umask(01000); });
  ExpectFault("process.rlimits[0].type: ",
              [](grpc::Spec& spec) { spec.mutable_process()->mutable_rlimits(0)->set_type("RLIMIT_NONE"); });
  ExpectFault("process.rlimits[0].soft: ",
              [](grpc::Spec& spec) { spec.mutable_process()->mutable_rlimits(0)->set_soft(1025); });
  ExpectFault("process.rlimits[1].type: \"RLIMIT_NOFILE\" stands twice",
              [](grpc::Spec& spec) { *spec.mutable_process()->add_rlimits() = spec.process().rlimits(0); });
  ExpectFault("process.ioPriority.priority: ", [](grpc::Spec& spec) {
    spec.mutable_process()->mutable_iopriority()->set_class_("IOPRIO_CLASS_RT");
    spec.mutable_process()->mutable_iopriority()->set_priority(8);
  });
  ExpectFault("process.scheduler.priority: ",
              [](grpc::Spec& spec) { spec.mutable_process()->mutable_scheduler()->set_policy("SCHED_FIFO"); });
  ExpectFault("process.scheduler.policy: ",
              [](grpc::Spec& spec) { spec.mutable_process()->mutable_scheduler()->set_policy("FIFO"); });
}

TEST(Validate, ChecksTheEnvironment) {
  ExpectFault("process.env[2]: invalid environment variable: \"NOEQ\"", [](grpc::Spec& spec) {
    spec.mutable_process()->clear_env();
    for (const char* variable : {"A=b", "EMPTY=", "NOEQ"}) spec.mutable_process()->add_env(variable);
  });
  ExpectFault("process.env[0]: environment variable name can't be empty: \"=x\"", [](grpc::Spec& spec) {
    spec.mutable_process()->clear_env();
    spec.mutable_process()->add_env("=x");
  });
}

TEST(Validate, DropsUnknownCapabilitiesWithAWarning) {
  grpc::Spec spec = DefaultSpec();
  spec.mutable_process()->mutable_capabilities()->add_bounding("CAP_FLY");
  spec.mutable_process()->mutable_capabilities()->add_ambient("CAP_FLY");
  std::vector<std::string> warnings;
  ASSERT_TRUE(Validate(spec, &warnings));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_EQ(warnings[0], "process.capabilities: ignoring unknown or unavailable capabilities: [CAP_FLY]");
  EXPECT_EQ(spec.process().capabilities().bounding_size(), 3);
  EXPECT_EQ(spec.process().capabilities().ambient_size(), 3);
}

TEST(Validate, ChecksNamespaces) {
  ExpectFault("linux.namespaces[6].type: unknown", [](grpc::Spec& spec) { AddNamespace(spec, "disk"); });
  ExpectFault("linux.namespaces[6].type: \"pid\" stands twice", [](grpc::Spec& spec) { AddNamespace(spec, "pid"); });
  ExpectFault("linux.namespaces[6].type: time", [](grpc::Spec& spec) { AddNamespace(spec, "time"); });
  ExpectFault("linux.namespaces[0].path: ",
              [](grpc::Spec& spec) { spec.mutable_linux()->mutable_namespaces(0)->set_path("ns"); });
  const auto join_pid = [](grpc::Spec& spec) {
    spec.mutable_linux()->mutable_namespaces(0)->set_path("/proc/7/ns/pid");
  };
  EXPECT_EQ(ErrorAfter(join_pid), "") << "whether it can be joined is seen later";
  EXPECT_EQ(ErrorAfter([](grpc::Spec& spec) { spec.mutable_linux()->mutable_namespaces(1)->set_path("/run/netns/x"); }),
            "");
  ExpectFault("hostname: ", [](grpc::Spec& spec) { spec.mutable_linux()->mutable_namespaces()->DeleteSubrange(3, 1); });
  ExpectFault("linux.maskedPaths",
              [](grpc::Spec& spec) { spec.mutable_linux()->mutable_namespaces()->DeleteSubrange(4, 1); });
}

TEST(Validate, ChecksMappings) {
  const auto map_root = [](grpc::Spec& spec) {
    spec.mutable_linux()->add_uidmappings()->set_size(1);
    spec.mutable_linux()->add_gidmappings()->set_size(1);
  };
  ExpectFault("linux.uidMappings: needs a user namespace", map_root);
  ExpectFault("linux.uidMappings, linux.gidMappings: required", [](grpc::Spec& spec) { AddNamespace(spec, "user"); });
  ExpectFault("linux.gidMappings[0].size: ", [&](grpc::Spec& spec) {
    AddNamespace(spec, "user");
    map_root(spec);
    spec.mutable_linux()->mutable_gidmappings(0)->set_size(0);
  });
  const auto fault = [&](const char* begin, const std::function<void(grpc::Linux&)>& change) {
    ExpectFault(begin, [&](grpc::Spec& spec) {
      AddNamespace(spec, "user");
      map_root(spec);
      change(*spec.mutable_linux());
    });
  };
  const auto add = [](grpc::Linux& section, uint32_t inside, uint32_t outside, uint32_t size) {
    grpc::LinuxIDMapping& mapping = *section.add_uidmappings();
    mapping.set_containerid(inside);
    mapping.set_hostid(outside);
    mapping.set_size(size);
  };
  fault("linux.uidMappings[1]: overlaps linux.uidMappings[0]", [&](grpc::Linux& section) { add(section, 0, 9, 1); });
  fault("linux.uidMappings[1]: overlaps linux.uidMappings[0]", [&](grpc::Linux& section) { add(section, 9, 0, 1); });
  fault("linux.uidMappings[1].size: ", [&](grpc::Linux& section) { add(section, 1, 1, UINT32_MAX); });
  fault("linux.uidMappings[1].size: ", [&](grpc::Linux& section) { add(section, 1, UINT32_MAX, 1); });
  fault("linux.uidMappings: 341 mappings", [&](grpc::Linux& section) {
    for (uint32_t i = 1; i <= 340; ++i) add(section, 2 * i, 2 * i, 1);
  });
}

TEST(Validate, ChecksMappedMounts) {
  const auto bind = [](grpc::Spec& spec) -> grpc::Mount& {
    grpc::Mount& mount = *spec.mutable_mounts(1);
    mount.set_type("bind");
    return mount;
  };
  const auto map_both = [&](grpc::Spec& spec) -> grpc::Mount& {
    grpc::Mount& mount = bind(spec);
    mount.add_uidmappings()->set_size(5);
    mount.add_gidmappings()->set_size(5);
    return mount;
  };
  EXPECT_EQ(ErrorAfter([&](grpc::Spec& spec) { map_both(spec); }), "");
  EXPECT_EQ(ErrorAfter([&](grpc::Spec& spec) { map_both(spec).add_options("ridmap"); }), "");
  EXPECT_EQ(ErrorAfter([&](grpc::Spec& spec) {
              AddNamespace(spec, "user");
              spec.mutable_linux()->add_uidmappings()->set_size(1);
              spec.mutable_linux()->add_gidmappings()->set_size(1);
              bind(spec).add_options("idmap");
            }),
            "");
  ExpectFault("mounts[1].options: idmap needs mappings", [&](grpc::Spec& spec) { bind(spec).add_options("idmap"); });
  ExpectFault("mounts[1]: needs both", [&](grpc::Spec& spec) { map_both(spec).clear_gidmappings(); });
  ExpectFault("mounts[1]: ids can only be mapped in a bind",
              [&](grpc::Spec& spec) { map_both(spec).set_type("tmpfs"); });
  ExpectFault("mounts[1].gidMappings[1]: overlaps",
              [&](grpc::Spec& spec) { map_both(spec).add_gidmappings()->set_size(1); });
  ExpectFault("mounts[1].options: idmap=uids=0-1-10: ",
              [&](grpc::Spec& spec) { map_both(spec).add_options("idmap=uids=0-1-10"); });
}

TEST(Validate, AllowsASysctlOnlyInItsNamespace) {
  const auto with = [](const char* name) {
    return ErrorAfter([&](grpc::Spec& spec) { (*spec.mutable_linux()->mutable_sysctl())[name] = "1"; });
  };
  for (const char* name : {"net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/rp_filter", "kernel.shmmax",
                           "fs.mqueue.msg_max", "kernel.domainname"}) {
    EXPECT_EQ(with(name), "") << name;
  }
  for (const char* name : {"kernel.hostname", "vm.swappiness", "kernel.core_pattern", "net..x", "net.ipv4.", "",
                           "net/../kernel/core_pattern", "/net/ipv4"}) {
    EXPECT_TRUE(with(name).starts_with("linux.sysctl[\"")) << name << ": " << with(name);
  }
  ExpectFault("linux.sysctl[\"net.core.somaxconn\"]: needs the network namespace", [](grpc::Spec& spec) {
    spec.mutable_linux()->mutable_namespaces()->DeleteSubrange(1, 1);
    (*spec.mutable_linux()->mutable_sysctl())["net.core.somaxconn"] = "1";
  });
}

TEST(Validate, TakesARelativeDestinationFromTheRootWithAWarning) {
  grpc::Spec spec = DefaultSpec();
  spec.mutable_mounts(0)->set_destination("proc");
  std::vector<std::string> warnings;
  ASSERT_TRUE(Validate(spec, &warnings));
  EXPECT_EQ(spec.mounts(0).destination(), "/proc");
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_TRUE(warnings[0].starts_with("mounts[0].destination: "));
}

TEST(Validate, CleansDestinationsByTheirLetters) {
  for (const auto& [written, clean] : {std::pair{"/dl/../dm", "/dm"}, {"/../../x/", "/x"}, {"a//./b/../c", "/a/c"}}) {
    grpc::Spec spec = DefaultSpec();
    spec.mutable_mounts(0)->set_destination(written);
    ASSERT_TRUE(Validate(spec)) << written;
    EXPECT_EQ(spec.mounts(0).destination(), clean) << written;
  }
  for (const char* root : {"/", "/a/..", ".", "//"}) {
    ExpectFault("mounts[2].destination: \"/\" is the root",
                [&](grpc::Spec& spec) { spec.mutable_mounts(2)->set_destination(root); });
  }
}

TEST(Validate, OnlyABindNeedsNoType) {
  ExpectFault("mounts[1].type: missing", [](grpc::Spec& spec) { spec.mutable_mounts(1)->clear_type(); });
  for (const char* option : {"bind", "rbind"}) {
    EXPECT_EQ(ErrorAfter([&](grpc::Spec& spec) {
                spec.mutable_mounts(1)->clear_type();
                spec.mutable_mounts(1)->add_options(option);
              }),
              "");
  }
}

TEST(Validate, NamesFitIntoTheKernels) {
  EXPECT_EQ(ErrorAfter([](grpc::Spec& spec) {
              spec.set_hostname(std::string(64, 'h'));
              spec.set_domainname(std::string(64, 'd'));
            }),
            "");
  ExpectFault("hostname: 65 bytes", [](grpc::Spec& spec) { spec.set_hostname(std::string(65, 'h')); });
  ExpectFault("domainname: 65 bytes", [](grpc::Spec& spec) { spec.set_domainname(std::string(65, 'd')); });
}

TEST(Validate, ChecksMountsHooksDevicesAndPaths) {
  ExpectFault("hooks.poststop[0].path: ",
              [](grpc::Spec& spec) { spec.mutable_hooks()->add_poststop()->set_path("hook"); });
  ExpectFault("linux.devices[0].type: ", [](grpc::Spec& spec) {
    grpc::LinuxDevice& device = *spec.mutable_linux()->add_devices();
    device.set_path("/dev/x");
    device.set_type("x");
  });
  ExpectFault("linux.maskedPaths[10]: ", [](grpc::Spec& spec) { spec.mutable_linux()->add_maskedpaths("proc"); });
  ExpectFault("linux.rootfsPropagation: ", [](grpc::Spec& spec) { spec.mutable_linux()->set_rootfspropagation("up"); });
  ExpectFault("linux.personality.domain: ",
              [](grpc::Spec& spec) { spec.mutable_linux()->mutable_personality()->set_domain("BSD"); });
}

TEST(Validate, ChecksSeccomp) {
  ExpectFault("linux.seccomp.defaultAction: ",
              [](grpc::Spec& spec) { spec.mutable_linux()->mutable_seccomp()->set_defaultaction("ALLOW"); });
  ExpectFault("linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY", [](grpc::Spec& spec) {
    spec.mutable_linux()->mutable_seccomp()->set_defaultaction("SCMP_ACT_ALLOW");
    spec.mutable_linux()->mutable_seccomp()->add_syscalls()->set_action("SCMP_ACT_NOTIFY");
  });
}

TEST(Validate, ChecksResources) {
  const auto fault = [](const std::string& path, const std::function<void(grpc::LinuxResources&)>& change) {
    ExpectFault("linux.resources." + path,
                [&](grpc::Spec& spec) { change(*spec.mutable_linux()->mutable_resources()); });
  };
  fault("memory.limit: ", [](auto& resources) { resources.mutable_memory()->set_limit(-2); });
  fault("memory.swap: ", [](auto& resources) {
    resources.mutable_memory()->set_limit(100);
    resources.mutable_memory()->set_swap(99);
  });
  fault("memory.limit: 4096 bytes", [](auto& resources) { resources.mutable_memory()->set_limit(4096); });
  fault("memory.limit: ", [](auto& resources) { resources.mutable_memory()->set_limit((1 << 20) - 1); });
  fault("unified[\"memory.max\"]: 65536 bytes",
        [](auto& resources) { (*resources.mutable_unified())["memory.max"] = "65536"; });
  fault("unified[\"memory.max\"]: 0 bytes",
        [](auto& resources) { (*resources.mutable_unified())["memory.max"] = "0"; });
  EXPECT_EQ(ErrorAfter([](grpc::Spec& spec) {
              spec.mutable_linux()->mutable_resources()->mutable_memory()->set_limit(1 << 20);
            }),
            "");
  fault("cpu.period: ", [](auto& resources) { resources.mutable_cpu()->set_period(999); });
  fault("cpu.quota: ", [](auto& resources) { resources.mutable_cpu()->set_quota(999); });
  for (const char* list : {"a", "1-", "3-1", "1,,2", "1,", "-1", "1-2-3", " 1"}) {
    fault("cpu.cpus: ", [&](auto& resources) { resources.mutable_cpu()->set_cpus(list); });
  }
  fault("blockIO.weight: ", [](auto& resources) { resources.mutable_blockio()->set_weight(9); });
  fault("pids.limit: ", [](auto& resources) { resources.mutable_pids()->set_limit(-2); });
  fault("hugepageLimits[0].pageSize: ", [](auto& resources) { resources.add_hugepagelimits()->set_pagesize("2M"); });
  for (const char* access : {"rwa", "mwr", "x"}) {
    EXPECT_EQ(ErrorAfter([access](grpc::Spec& spec) {
                spec.mutable_linux()->mutable_resources()->mutable_devices(0)->set_access(access);
              }),
              "")
        << "as runc: letters in any order, others than r, w and m stand for nothing";
  }
  fault("devices[0].access: it is empty", [](auto& resources) { resources.mutable_devices(0)->clear_access(); });
  for (const char* name : {"../cgroup.procs", "memory", ".hidden", "a/b.c"}) {
    fault("unified[\"", [&](auto& resources) { (*resources.mutable_unified())[name] = "1"; });
  }
  EXPECT_EQ(ErrorAfter([](grpc::Spec& spec) {
              grpc::LinuxResources& resources = *spec.mutable_linux()->mutable_resources();
              resources.mutable_cpu()->set_cpus("0-3,7");
              resources.mutable_cpu()->set_quota(-1);
              resources.mutable_memory()->set_swap(-1);
              (*resources.mutable_unified())["memory.high"] = "max";
            }),
            "");
}

TEST(GuestSpec, KeepsWhatTheGuestNeeds) {
  grpc::Spec spec = DefaultSpec();
  spec.mutable_hooks()->add_prestart()->set_path("/host");
  spec.mutable_hooks()->add_startcontainer()->set_path("/in");
  spec.mutable_process()->set_apparmorprofile("docker-default");
  spec.mutable_linux()->mutable_namespaces(0)->set_path("/proc/7/ns/pid");
  spec.mutable_linux()->mutable_seccomp()->set_defaultaction("SCMP_ACT_ALLOW");
  grpc::LinuxResources& resources = *spec.mutable_linux()->mutable_resources();
  resources.mutable_cpu()->set_cpus("2-3");
  resources.mutable_cpu()->set_quota(50000);
  resources.mutable_pids()->set_limit(10);
  resources.mutable_blockio()->set_weight(100);
  resources.mutable_network()->set_classid(1);

  const grpc::Spec guest = GuestSpec(spec);
  EXPECT_EQ(guest.hooks().prestart_size(), 0);
  ASSERT_EQ(guest.hooks().startcontainer_size(), 1);
  EXPECT_EQ(guest.process().apparmorprofile(), "");
  ASSERT_EQ(guest.linux().namespaces_size(), 5);
  for (const auto& entry : guest.linux().namespaces()) {
    EXPECT_NE(entry.type(), "network");
    EXPECT_EQ(entry.path(), "");
  }
  EXPECT_EQ(guest.linux().seccomp().defaultaction(), "SCMP_ACT_ALLOW");
  EXPECT_EQ(guest.linux().resources().cpu().cpus(), "");
  EXPECT_EQ(guest.linux().resources().cpu().quota(), 50000);
  EXPECT_EQ(guest.linux().resources().pids().limit(), 10);
  EXPECT_EQ(guest.linux().resources().blockio().weight(), 100U);
  EXPECT_EQ(guest.linux().resources().devices_size(), 1);
  EXPECT_FALSE(guest.linux().resources().has_network());
}

}  // namespace
}  // namespace kata::oci
