// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config/config.h"

namespace kata::config {
namespace {

namespace fs = std::filesystem;

class LoadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "config.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = fs::canonical(pattern);
    options_.search_paths = {(path_ / "etc/configuration.toml").string(), (path_ / "usr/configuration.toml").string()};
  }
  void TearDown() override { fs::remove_all(path_); }

  std::string Write(const std::string& name, const std::string& text) {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return (path_ / name).string();
  }
  std::string Memory(const std::string& name, int mib) {
    return Write(name, "[hypervisor.qemu]\ndefault_memory = " + std::to_string(mib) + "\n");
  }
  uint32_t LoadedMemory() {
    const Result<Loaded> loaded = Load(options_);
    EXPECT_TRUE(loaded) << loaded.error().message();
    return loaded ? loaded->config.hypervisor.default_memory : 0;
  }

  fs::path path_;
  LoadOptions options_;
};

TEST_F(LoadTest, NeedsNoFile) {
  const Result<Loaded> loaded = Load(options_);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_TRUE(loaded->files.empty());
  EXPECT_EQ(loaded->config, Config());
}

TEST_F(LoadTest, TakesTheFirstFileOfTheOrder) {
  Memory("usr/configuration.toml", 101);
  EXPECT_EQ(LoadedMemory(), 101U);
  Memory("etc/configuration.toml", 102);
  EXPECT_EQ(LoadedMemory(), 102U);
  options_.env_path = Memory("env.toml", 103);
  EXPECT_EQ(LoadedMemory(), 103U);
  options_.explicit_path = Memory("explicit.toml", 104);
  EXPECT_EQ(LoadedMemory(), 104U);
}

TEST_F(LoadTest, FailsWhenANamedFileIsMissing) {
  options_.env_path = (path_ / "none.toml").string();
  const Result<Loaded> by_environment = Load(options_);
  ASSERT_FALSE(by_environment);
  EXPECT_EQ(by_environment.error().code(), Code::kNotFound);
  EXPECT_EQ(by_environment.error().message(),
            "configuration file " + options_.env_path + " (KATA_CONF_FILE): No such file or directory");
  options_.explicit_path = path_.string();  // a directory
  EXPECT_FALSE(Load(options_));
}

TEST_F(LoadTest, APathOfTheEnvironmentMeansTheSameInAnotherDirectory) {
  Memory("relative.toml", 105);
  const fs::path before = fs::current_path();
  fs::current_path(path_);
  ::setenv("KATA_CONF_FILE", "relative.toml", 1);
  options_ = OptionsOfProcess("");
  const LoadOptions explicit_one = OptionsOfProcess("explicit.toml");
  ::unsetenv("KATA_CONF_FILE");
  EXPECT_EQ(OptionsOfProcess("").named_file(), "");
  fs::current_path(before);
  EXPECT_EQ(options_.named_file(), (path_ / "relative.toml").string());
  EXPECT_EQ(LoadedMemory(), 105U);
  EXPECT_EQ(explicit_one.named_file(), (path_ / "explicit.toml").string());
  EXPECT_EQ(options_.executable, fs::read_symlink("/proc/self/exe").string());
}

TEST_F(LoadTest, MergesDropInsInTheOrderOfTheirNames) {
  Write("etc/configuration.toml", "[hypervisor.qemu]\ndefault_memory = 100\nkernel_params = \"base\"\n");
  Memory("etc/config.d/20-b.toml", 102);
  Memory("etc/config.d/10-a.toml", 101);
  Memory("etc/config.d/30-c.conf", 103);
  Memory("etc/config.d/.hidden.toml", 104);
  const Result<Loaded> loaded = Load(options_);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->config.hypervisor.default_memory, 102U);
  EXPECT_EQ(loaded->config.hypervisor.kernel_params, "base");
  ASSERT_EQ(loaded->files.size(), 3U);
  EXPECT_TRUE(loaded->files[1].ends_with("/10-a.toml"));
}

TEST_F(LoadTest, NamesTheFileAtFault) {
  Write("etc/configuration.toml", "");
  const std::string bad = Write("etc/config.d/1.toml", "[runtime]\n\nlog_level = \"loud\"\n");
  const Result<Loaded> loaded = Load(options_);
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(loaded.error().message().starts_with(bad + ":3: runtime.log_level: expected one of "))
      << loaded.error().message();
}

TEST_F(LoadTest, FollowsTheExecutableOfABuildDirectory) {
  options_.executable = Write("build/bin/kata-runtime", "");
  const std::string standin = Write("build/bin/kata-standin", "");
  const std::string kernel = Write("build/guest/vmlinux", "");
  const std::string initrd = Write("build/guest/kata-containers-initrd.img", "");
  Result<Loaded> loaded = Load(options_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.runtime.standin_path, standin);
  EXPECT_EQ(loaded->config.hypervisor.kernel, kernel);
  EXPECT_EQ(loaded->config.hypervisor.initrd, initrd);
  Write("etc/configuration.toml", "[hypervisor.qemu]\nkernel = \"/k\"\n");
  loaded = Load(options_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.hypervisor.kernel, "/k");
  EXPECT_EQ(loaded->config.hypervisor.initrd, initrd);
}

TEST_F(LoadTest, FollowsTheExecutableOfAnInstallation) {
  options_.executable = Write("local/bin/kata-runtime", "");
  const std::string kernel = Write("local/share/kata-containers/vmlinux.container", "");
  const std::string initrd = Write("local/share/kata-containers/kata-containers-initrd.img", "");
  const std::string own = Memory("local/share/defaults/kata-containers/configuration.toml", 105);
  Result<Loaded> loaded = Load(options_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->files, std::vector<std::string>{own});
  EXPECT_EQ(loaded->config.hypervisor.kernel, kernel);
  EXPECT_EQ(loaded->config.hypervisor.initrd, initrd);
  EXPECT_EQ(loaded->config.hypervisor.default_memory, 105U);
  // The administrator's file has precedence.
  Memory("etc/configuration.toml", 106);
  EXPECT_EQ(LoadedMemory(), 106U);
}

TEST_F(LoadTest, FindsStandinAndFileServerInLibexec) {
  options_.executable = Write("opt/bin/kata-runtime", "");
  const std::string standin = Write("opt/libexec/kata-containers/kata-standin", "");
  const std::string file_server = Write("opt/libexec/kata-containers/kata-fsd", "");
  const Result<Loaded> loaded = Load(options_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.runtime.standin_path, standin);
  HypervisorConfig expected;
  expected.virtio_fs_daemon = file_server;
  EXPECT_EQ(loaded->config.hypervisor, expected);
}

}  // namespace
}  // namespace kata::config
