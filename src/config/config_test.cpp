// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <set>

#include "base/files.h"
#include "config/key.h"

namespace kata::config {
namespace {

// The error of applying a text to the defaults; "" if it is valid.
std::string ErrorOf(const std::string& text) {
  Config config;
  const auto result = ApplyText(config, text, "c.toml");
  if (result) return "";
  EXPECT_EQ(config, Config()) << "a text with an error left something behind";
  return result.error().message();
}

std::string Hypervisor(const std::string& line) { return ErrorOf("[hypervisor.qemu]\n" + line + "\n"); }

// The shipped file with every default uncommented.
std::string ShippedText() {
  const Result<std::string> shipped = ReadFile(KATA_SHIPPED_CONFIGURATION);
  EXPECT_TRUE(shipped) << shipped.error().message();
  return std::regex_replace(shipped.value_or(""), std::regex("#([a-z0-9_]+ = )"), "$1");
}

TEST(ShippedConfiguration, IsTheDefaults) {
  Config config;
  const auto warnings = ApplyText(config, ShippedText(), "configuration.toml");
  ASSERT_TRUE(warnings) << warnings.error().message();
  EXPECT_TRUE(warnings->empty());
  EXPECT_EQ(config, Config());
}

// The part of a text that belongs to one section.
std::string PartOf(const std::string& text, const std::string& section) {
  const size_t begin = text.find("\n[" + section + "]\n");
  EXPECT_NE(begin, std::string::npos) << section;
  return text.substr(begin, text.find("\n[", begin + 1) - begin);
}

TEST(ShippedConfiguration, HasEveryUsedKey) {
  // Alternative names, and keys for which only one value is accepted.
  const std::set<std::string> left_out = {"hypervisor.qemu.seccompsandbox",
                                          "hypervisor.qemu.confidential_guest",
                                          "hypervisor.qemu.shared_fs",
                                          "hypervisor.qemu.disable_guest_selinux",
                                          "agent.kata.dial_timeout",
                                          "agent.kata.debug_console_enabled",
                                          "runtime.create_container_timeout",
                                          "runtime.sandbox_bind_mounts",
                                          "runtime.emptydir_mode"};
  const std::string text = ShippedText();
  for (const Section& section : Sections()) {
    const std::string part = PartOf(text, section.name);
    for (const Key& key : section.keys) {
      const std::string full = section.name + "." + key.name;
      if (!key.used() || left_out.contains(full)) continue;
      EXPECT_NE(part.find("\n" + key.name + " = "), std::string::npos) << full;
    }
  }
}

TEST(Keys, HaveNamesOfTheirOwn) {
  for (const Section& section : Sections()) {
    std::set<std::string> names, annotations;
    for (const Key& key : section.keys) {
      EXPECT_TRUE(names.insert(key.name).second) << key.name;
      EXPECT_TRUE(annotations.insert(key.annotation_name()).second) << key.annotation_name();
    }
  }
}

TEST(ApplyText, SetsEveryKindOfValue) {
  Config config;
  const auto warnings = ApplyText(config, R"(
[hypervisor.qemu]
path = "/opt/qemu"
default_vcpus = 2.5
default_memory = 512
enable_hugepages = true
virtio_fs_extra_args = ["-o", "no_flock"]
accel = "tcg"
[agent.kata]
dial_timeout = 7
kernel_modules = ["e1000e a=1"]
[runtime]
log_level = "warn"
create_container_timeout = 99
)",
                                  "c.toml");
  ASSERT_TRUE(warnings) << warnings.error().message();
  EXPECT_TRUE(warnings->empty());
  EXPECT_EQ(config.hypervisor.path, "/opt/qemu");
  EXPECT_EQ(config.hypervisor.default_vcpus, 2.5);
  EXPECT_EQ(config.hypervisor.default_memory, 512U);
  EXPECT_TRUE(config.hypervisor.enable_hugepages);
  EXPECT_EQ(config.hypervisor.virtio_fs_extra_args, (std::vector<std::string>{"-o", "no_flock"}));
  EXPECT_EQ(config.hypervisor.accel, "tcg");
  EXPECT_EQ(config.agent.reconnect_timeout_ms, 7000U);
  EXPECT_EQ(config.agent.kernel_modules, (std::vector<std::string>{"e1000e a=1"}));
  EXPECT_EQ(config.runtime.log_level, "warn");
  EXPECT_EQ(config.agent.create_container_timeout, 99U);
}

TEST(ApplyText, NamesFileLineKeyAndValue) {
  EXPECT_EQ(Hypervisor("default_memory = \"2G\""),
            "c.toml:2: hypervisor.qemu.default_memory: expected a whole number, found \"2G\"");
  EXPECT_EQ(Hypervisor("\ndefault_memory = 31"),
            "c.toml:3: hypervisor.qemu.default_memory: expected a number of 32 to 16777216, found 31");
  EXPECT_EQ(Hypervisor("machine_type = \"pc\""),
            "c.toml:2: hypervisor.qemu.machine_type: expected one of q35, microvm, found \"pc\"");
  EXPECT_EQ(Hypervisor("enable_hugepages = 1"),
            "c.toml:2: hypervisor.qemu.enable_hugepages: expected true or false, found 1");
  EXPECT_EQ(Hypervisor("enable_annotations = [\"a\", 1]"),
            "c.toml:2: hypervisor.qemu.enable_annotations: expected a list of strings, found a list");
  EXPECT_EQ(Hypervisor("path = \"qemu\""),
            "c.toml:2: hypervisor.qemu.path: expected an absolute path without \".\" and \"..\", found \"qemu\"");
  EXPECT_EQ(Hypervisor("virtio_fs_queue_size = 1000"),
            "c.toml:2: hypervisor.qemu.virtio_fs_queue_size: expected a power of two of 2 to 1024, found 1000");
  EXPECT_EQ(Hypervisor("default_vcpus = nan").substr(0, 62),
            "c.toml:2: hypervisor.qemu.default_vcpus: expected a number of ");
  EXPECT_EQ(ErrorOf("[runtime]\nlog_level = 1979-05-27\n"),
            "c.toml:2: runtime.log_level: expected a string, found a date or time");
}

TEST(ApplyText, SuggestsTheNearestName) {
  EXPECT_EQ(Hypervisor("defualt_memory = 1"),
            "c.toml:2: hypervisor.qemu.defualt_memory: unknown key, did you mean default_memory?");
  EXPECT_EQ(Hypervisor("zzzzzzzz = 1"), "c.toml:2: hypervisor.qemu.zzzzzzzz: unknown key");
  EXPECT_EQ(ErrorOf("[hypervisor.qemo]\n"),
            "c.toml:1: hypervisor.qemo: unknown section, did you mean hypervisor.qemu?");
  EXPECT_EQ(ErrorOf("[agent]\nkata = 5\n"), "c.toml:2: agent.kata: expected a table, found 5");
  EXPECT_EQ(ErrorOf("path = \"/x\"\n"), "c.toml:1: path: unknown key");
}

TEST(ApplyText, NamesThePlaceOfASyntaxError) {
  EXPECT_TRUE(ErrorOf("[runtime]\nlog_level = \n").starts_with("c.toml:2:13: "))
      << ErrorOf("[runtime]\nlog_level = \n");
  EXPECT_FALSE(ErrorOf("[runtime]\nlog_level = \"info\"\nlog_level = \"info\"\n").empty());
}

TEST(ApplyText, ReportsKnownButUnusedKeysOnce) {
  Config config;
  const auto warnings = ApplyText(config, R"(
[hypervisor.qemu]
enable_iommu = true
msize_9p = 8192
[[hypervisor.qemu.guest_extension_images]]
name = "x"
[hypervisor.qemu.factory]
enable_template = true
[hypervisor.clh]
path = "/x"
[agent.kata.mem_agent]
mem_agent_enable = true
[runtime]
enable_pprof = true
)",
                                  "c.toml");
  ASSERT_TRUE(warnings) << warnings.error().message();
  ASSERT_EQ(warnings->size(), 1U);
  for (const char* name :
       {"[hypervisor.clh]", "hypervisor.qemu.enable_iommu", "hypervisor.qemu.msize_9p", "[hypervisor.qemu.factory]",
        "[agent.kata.mem_agent]", "runtime.enable_pprof", "hypervisor.qemu.guest_extension_images"}) {
    EXPECT_NE((*warnings)[0].find(name), std::string::npos) << name << " in " << (*warnings)[0];
  }
  EXPECT_EQ(config, Config());
}

TEST(ApplyText, ChecksWhatMustFitTogether) {
  EXPECT_EQ(Hypervisor("default_memory = 512\ndefault_maxmemory = 256"),
            "c.toml:2: hypervisor.qemu.default_memory: 512 MiB is more than default_maxmemory, 256 MiB");
  EXPECT_EQ(Hypervisor("default_vcpus = 4\ndefault_maxvcpus = 2"),
            "c.toml:2: hypervisor.qemu.default_vcpus: 4 is more than default_maxvcpus, 2");
  EXPECT_EQ(Hypervisor("image = \"/i\"").substr(0, 48), "c.toml:2: hypervisor.qemu.image: images are not ");
  EXPECT_EQ(Hypervisor("image = \"/i\"\ninitrd = \"/r\""), "");
  EXPECT_EQ(Hypervisor("image = \"\""), "");
}

TEST(ApplyText, CannotTurnProtectionsOff) {
  for (const char* line :
       {"seccomp_sandbox = \"\"", "seccomp_sandbox = \"off\"", "seccomp_sandbox = \"on,spawn=allow,x=y\"",
        "virtio_fs_extra_args = [\"--sandbox=none\"]", "virtio_fs_extra_args = [\"-o\", \"writeback\"]",
        "virtio_fs_extra_args = [\"-o\", \"no_flock,sandbox=chroot\"]", "virtio_fs_extra_args = [\"-osandbox=none\"]",
        "virtio_fs_extra_args = [\"--seccomp\", \"none\"]", "virtio_fs_extra_args = [\"--seccomp none\"]",
        "virtio_fs_extra_args = [\"-o\", \"modcaps=+sys_admin\"]", "virtio_fs_extra_args = [\"--shared-dir=/\"]",
        "machine_accelerators = \"x,dumpdtb=/etc/passwd\"", "cpu_features = \"a b\"", "confidential_guest = true",
        "kernel_params = \"a\\nb\""}) {
    EXPECT_TRUE(Hypervisor(line).starts_with("c.toml:2: hypervisor.qemu.")) << line << ": " << Hypervisor(line);
  }
  EXPECT_EQ(Hypervisor("seccomp_sandbox = \"on,spawn=allow\""), "");
  EXPECT_EQ(Hypervisor("confidential_guest = false"), "");
}

// Values that are refused, because a warning would leave a VM that differs from what was asked for.
TEST(ApplyText, RefusesWhatItCannotDo) {
  EXPECT_EQ(Hypervisor("shared_fs = \"none\""),
            "c.toml:2: hypervisor.qemu.shared_fs: expected \"virtio-fs\", found \"none\": nothing else carries a "
            "container's files yet");
  for (const char* line : {"[agent.kata]\ndebug_console_enabled = true", "[runtime]\nsandbox_bind_mounts = [\"/a\"]",
                           "[runtime]\nemptydir_mode = \"block-encrypted\""}) {
    EXPECT_NE(ErrorOf(line).find("not supported") + ErrorOf(line).find("no shell"), 2 * std::string::npos)
        << line << ": " << ErrorOf(line);
  }
  for (const char* line : {"[hypervisor.qemu]\nshared_fs = \"virtio-fs\"",
                           "[agent.kata]\ndebug_console_enabled = false", "[runtime]\ndisable_new_netns = false",
                           "[runtime]\nsandbox_bind_mounts = []", "[runtime]\nemptydir_mode = \"shared-fs\""}) {
    EXPECT_EQ(ErrorOf(line), "");
  }
}

TEST(ApplyText, NetworkKeys) {
  Config config;
  const auto warnings = ApplyText(config,
                                  "[hypervisor.qemu]\ndisable_vhost_net = true\nnetwork_queues = 2\n"
                                  "rx_rate_limiter_max_rate = 20000000000\ntx_rate_limiter_max_rate = 1000\n"
                                  "default_bridges = 0\n[runtime]\ninternetworking_model = \"none\"\n"
                                  "disable_new_netns = true\ndan_conf = \"/etc/dans\"\n",
                                  "c.toml");
  ASSERT_TRUE(warnings) << warnings.error().message();
  EXPECT_TRUE(warnings->empty());
  EXPECT_TRUE(config.hypervisor.disable_vhost_net);
  EXPECT_EQ(config.hypervisor.network_queues, 2U);
  EXPECT_EQ(config.hypervisor.rx_rate_limiter_max_rate, 20000000000U);
  EXPECT_EQ(config.hypervisor.tx_rate_limiter_max_rate, 1000U);
  EXPECT_EQ(config.hypervisor.default_bridges, 0U);
  EXPECT_EQ(config.runtime.internetworking_model, "none");
  EXPECT_TRUE(config.runtime.disable_new_netns);
  EXPECT_EQ(config.runtime.dan_conf, "/etc/dans");
  for (const auto& [line, message] : std::map<std::string, std::string>{
           {"[runtime]\ndisable_new_netns = true", "needs internetworking_model = \"none\""},
           {"[runtime]\ninternetworking_model = \"l3forwarding\"", "tcfilter, macvtap, none"},
           {"[hypervisor.qemu]\ndefault_bridges = 2", "0 to 1"},
           {"[hypervisor.qemu]\ntx_rate_limiter_max_rate = -1", "0 to 1000000000000"}}) {
    EXPECT_NE(ErrorOf(line).find(message), std::string::npos) << ErrorOf(line);
  }
}

TEST(KernelFlavourTest, IsPartOfTheFilesName) {
  HypervisorConfig config;
  EXPECT_EQ(config.KernelFile(), "/usr/share/kata-containers/vmlinux.container");
  config.kernel_flavour = "full";
  EXPECT_EQ(config.KernelFile(), "/usr/share/kata-containers/vmlinux-full.container");
  config.kernel = "/src/v1.2/build/guest/vmlinux";
  EXPECT_EQ(config.KernelFile(), "/src/v1.2/build/guest/vmlinux-full");
  config.kernel = "/opt/vmlinux-6.1.container";
  EXPECT_EQ(config.KernelFile(), "/opt/vmlinux-6.1-full.container");
  EXPECT_EQ(Hypervisor("kernel_flavour = \"full\""), "");
  EXPECT_EQ(Hypervisor("kernel_flavour = \"../etc\""),
            "c.toml:2: hypervisor.qemu.kernel_flavour: expected one of minimal, full, found \"../etc\"");
}

// No input crashes the parser: every truncation of the shipped file, and many mutations of it.
TEST(ApplyText, SurvivesDamagedInput) {
  const std::string good = ShippedText();
  for (size_t length = 0; length < good.size(); length += 7) ErrorOf(good.substr(0, length));
  std::mt19937 random(1);
  const std::string letters = "[]{}\"'=.,#\n\\u0-9eE_+\x80\xff\t ";
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bad = good;
    for (int change = 0; change < 4; ++change) bad[random() % bad.size()] = letters[random() % letters.size()];
    const std::string error = ErrorOf(bad);
    if (!error.empty()) ++refused;
    EXPECT_LT(error.size(), 1000U);
    EXPECT_TRUE(error.empty() || error.starts_with("c.toml:")) << error;
  }
  EXPECT_GT(refused, 0);
  EXPECT_FALSE(ErrorOf("x = " + std::string(100000, '[')).empty());
}

TEST(HypervisorNameTest, IsTheKeysElseThatOfTheOnlyTable) {
  const auto name = [](const std::string& text) {
    Config config;
    const auto warnings = ApplyText(config, text, "c.toml");
    EXPECT_TRUE(warnings) << warnings.error().message();
    return config.hypervisor.name;
  };
  EXPECT_EQ(name(""), "qemu");
  EXPECT_EQ(name("[hypervisor.qemu]\ndefault_memory = 256\n"), "qemu");
  EXPECT_EQ(name("[hypervisor.clh]\npath = \"/c\"\n"), "clh");
  EXPECT_EQ(name("[hypervisor.qemu]\n[hypervisor.clh]\n"), "qemu");
  EXPECT_EQ(name("[hypervisor.qemu]\n[runtime]\nhypervisor_name = \"clh\"\n"), "clh");
  EXPECT_THAT(ErrorOf("[runtime]\nhypervisor_name = \"../x\"\n"), ::testing::HasSubstr("expected a name"));
}

TEST(TimeoutFactorTest, IsANumberAboveZero) {
  Config config;
  EXPECT_TRUE(ApplyText(config, "[runtime]\ntimeout_factor = 2.5\n", "c.toml"));
  EXPECT_EQ(config.runtime.timeout_factor, 2.5);
  for (const char* wrong : {"0", "-1", "nan", "inf", "101"}) {
    EXPECT_THAT(ErrorOf(std::string("[runtime]\ntimeout_factor = ") + wrong + "\n"),
                ::testing::HasSubstr("expected a number of 0.1 to 100"));
  }
}

}  // namespace
}  // namespace kata::config
