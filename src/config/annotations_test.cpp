// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "config/config.h"
#include "config/key.h"

namespace kata::config {
namespace {

constexpr char kPrefix[] = "io.katacontainers.config.";

// Applies one annotation; returns the error, or "".
std::string Apply(Config& config, const std::string& name, const std::string& value) {
  const auto result = ApplyAnnotations(config, {{kPrefix + name, value}});
  return result ? "" : result.error().message();
}

Config Allowing(std::vector<std::string> expressions) {
  Config config;
  config.hypervisor.enable_annotations = std::move(expressions);
  return config;
}

TEST(ApplyAnnotations, LeavesOthersAlone) {
  Config config;
  const auto warnings = ApplyAnnotations(
      config, {{"io.katacontainers.pkg.oci.bundle_path", "/x"}, {"a", "b"}, {"io.katacontainers.config.other.x", "1"}});
  ASSERT_TRUE(warnings) << warnings.error().message();
  EXPECT_TRUE(warnings->empty());
  EXPECT_EQ(config, Config());
}

// With the default configuration annotations can only change keys that affect the pod's own guest.
TEST(ApplyAnnotations, AreDeniedByDefault) {
  for (const Section& section : Sections()) {
    for (const Key& key : section.keys) {
      if (!key.used()) continue;
      Config config;
      const std::string value = key.type == Type::kBool ? "true" : key.type == Type::kString ? "/dev/urandom" : "64";
      const std::string error = Apply(config, section.group + "." + key.annotation_name(), value);
      if (key.pod == FromPod::kFree) {
        EXPECT_EQ(config.hypervisor, Config().hypervisor) << key.name;
        continue;
      }
      EXPECT_NE(error, "") << key.name;
      EXPECT_EQ(config, Config()) << key.name;
    }
  }
  Config config;
  EXPECT_EQ(Apply(config, "hypervisor.default_memory", "512"),
            "annotation io.katacontainers.config.hypervisor.default_memory: not allowed by the configuration: to allow "
            "it, add \"default_memory\" to enable_annotations in [hypervisor.qemu]");
}

TEST(ApplyAnnotations, AllowsWhatAnExpressionMatchesInFull) {
  Config config = Allowing({"default_.*", "", "kernel"});
  EXPECT_EQ(Apply(config, "hypervisor.default_memory", "512"), "");
  EXPECT_EQ(config.hypervisor.default_memory, 512U);
  EXPECT_EQ(Apply(config, "hypervisor.default_max_vcpus", "3"), "");
  EXPECT_EQ(config.hypervisor.default_maxvcpus, 3U);
  EXPECT_EQ(Apply(config, "hypervisor.default_vcpus", "1.5"), "");
  EXPECT_EQ(config.hypervisor.default_vcpus, 1.5);
  EXPECT_NE(Apply(config, "hypervisor.kernel_params", "quiet"), "");
}

TEST(ApplyAnnotations, ChecksValuesAsTheFileDoes) {
  Config config = Allowing({".*"});
  EXPECT_EQ(
      Apply(config, "hypervisor.default_memory", "1"),
      "annotation io.katacontainers.config.hypervisor.default_memory: expected a number of 32 to 16777216, found 1");
  for (const char* bad : {"", "abc", "1x", "0x10", " 64", "99999999999999999999"}) {
    EXPECT_NE(Apply(config, "hypervisor.default_memory", bad), "") << bad;
  }
  EXPECT_NE(Apply(config, "hypervisor.enable_hugepages", "yes"), "");
  EXPECT_NE(Apply(config, "hypervisor.default_vcpus", "inf"), "");
  config.hypervisor.default_maxmemory = 1024;
  EXPECT_NE(Apply(config, "hypervisor.default_memory", "2048"), "");
  EXPECT_EQ(config.hypervisor.default_memory, HypervisorConfig().default_memory);
}

TEST(ApplyAnnotations, KeepsPathsWithinTheOperatorsGlobs) {
  Config config = Allowing({".*"});
  EXPECT_NE(Apply(config, "hypervisor.path", "/bin/sh"), "");
  EXPECT_EQ(Apply(config, "hypervisor.path", config.hypervisor.path), "");
  config.hypervisor.valid_hypervisor_paths = {"/opt/qemu-*/bin/qemu"};
  EXPECT_EQ(Apply(config, "hypervisor.path", "/opt/qemu-7/bin/qemu"), "");
  for (const char* bad : {"/opt/qemu-7/x/bin/qemu", "/opt/qemu-7/bin/../bin/qemu", "opt/qemu-7/bin/qemu", "",
                          "/opt/qemu-/../qemu-/bin/qemu", "/opt/qemu-7//bin/qemu"}) {
    EXPECT_NE(Apply(config, "hypervisor.path", bad), "") << bad;
  }
  EXPECT_NE(Apply(config, "hypervisor.virtio_fs_daemon", "/bin/sh"), "");
  EXPECT_NE(Apply(config, "hypervisor.entropy_source", "/dev/sda"), "");
  EXPECT_EQ(Apply(config, "hypervisor.entropy_source", "/dev/random"), "");
  EXPECT_EQ(Apply(config, "hypervisor.kernel", "/usr/share/kata-containers/vmlinux-debug"), "");
  EXPECT_NE(Apply(config, "hypervisor.kernel", "/etc/shadow"), "");
  EXPECT_NE(Apply(config, "hypervisor.initrd", "/usr/share/kata-containers/../../../etc/shadow"), "");
  EXPECT_NE(Apply(config, "hypervisor.firmware", "/etc/shadow"), "");
  EXPECT_NE(Apply(config, "hypervisor.image", "/i"), "");
}

TEST(ApplyAnnotations, NeverTakesArgumentsOrHostPathsFromAPod) {
  std::set<std::string> refused;
  for (const Section& section : Sections()) {
    for (const Key& key : section.keys) {
      if (!key.used() || key.pod != FromPod::kNever) continue;
      const std::string name = section.group + "." + key.annotation_name();
      refused.insert(name);
      Config config = Allowing({".*"});
      const Config before = config;
      EXPECT_NE(Apply(config, name, "true").find("can be set in the configuration file only"), std::string::npos)
          << name;
      EXPECT_EQ(config, before);
    }
  }
  // docs/configuration.md, "Annotations", says the same. A key that is missing here or there is open to pods.
  EXPECT_EQ(refused, (std::set<std::string>{"agent.enable_debug",
                                            "agent.log_level",
                                            "hypervisor.accel",
                                            "hypervisor.apparmor",
                                            "hypervisor.disable_selinux",
                                            "hypervisor.enable_annotations",
                                            "hypervisor.enable_debug",
                                            "hypervisor.machine_accelerators",
                                            "hypervisor.seccomp_sandbox",
                                            "hypervisor.seccompsandbox",
                                            "hypervisor.selinux_label",
                                            "hypervisor.valid_entropy_sources",
                                            "hypervisor.valid_hypervisor_paths",
                                            "hypervisor.valid_virtio_fs_daemon_paths",
                                            "hypervisor.virtio_fs_extra_args",
                                            "runtime.dan_conf",
                                            "runtime.disable_new_netns",
                                            "runtime.enable_debug",
                                            "runtime.hypervisor_name",
                                            "runtime.log_level",
                                            "runtime.sandbox_bind_mounts",
                                            "runtime.sandbox_cgroup_only",
                                            "runtime.timeout_factor"}));
}

// With several hypervisors, a pod's values belong to the chosen one and are checked by its table.
TEST(ApplyAnnotations, GoToTheTableOfTheChosenHypervisor) {
  Config config = Allowing({".*"});
  config.hypervisor.name = "another";
  const Config before = config;
  EXPECT_EQ(Apply(config, "hypervisor.machine_type", "microvm"), "");
  EXPECT_EQ(config, before);
}

TEST(ApplyAnnotations, RefusesWhatItCannotKeep) {
  Config config = Allowing({".*"});
  for (const char* name : {"hypervisor.kernel_hash", "hypervisor.cc_init_data", "agent.policy"}) {
    const auto result = ApplyAnnotations(config, {{std::string(kPrefix) + name, "x"}});
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code(), Code::kUnimplemented);
  }
  EXPECT_EQ(
      Apply(config, "runtime.emptydir_mod", "x"),
      "annotation io.katacontainers.config.runtime.emptydir_mod: unknown annotation, did you mean emptydir_mode?");
}

TEST(ApplyAnnotations, AppendsKernelParametersAndSplitsLists) {
  Config config = Allowing({"kernel_.*"});
  config.hypervisor.kernel_params = "quiet";
  EXPECT_EQ(Apply(config, "hypervisor.kernel_params", "debug"), "");
  EXPECT_EQ(config.hypervisor.kernel_params, "quiet debug");
  EXPECT_EQ(Apply(config, "agent.kernel_modules", "e1000e a=1;i915"), "");
  EXPECT_EQ(config.agent.kernel_modules, (std::vector<std::string>{"e1000e a=1", "i915"}));
}

TEST(ApplyAnnotations, ReportsUnusedOnesAndChangesAllOrNothing) {
  Config config = Allowing({".*"});
  const auto warnings = ApplyAnnotations(config, {{std::string(kPrefix) + "hypervisor.enable_iommu", "true"},
                                                  {std::string(kPrefix) + "runtime.vfio_mode", "vfio"}});
  ASSERT_TRUE(warnings) << warnings.error().message();
  ASSERT_EQ(warnings->size(), 1U);
  EXPECT_EQ((*warnings)[0], "annotations: known, but not used yet: hypervisor.enable_iommu, runtime.vfio_mode");
  const Config before = config;
  EXPECT_FALSE(ApplyAnnotations(config, {{std::string(kPrefix) + "hypervisor.default_memory", "64"},
                                         {std::string(kPrefix) + "hypervisor.default_vcpus", "x"}}));
  EXPECT_EQ(config, before);
}

}  // namespace
}  // namespace kata::config
