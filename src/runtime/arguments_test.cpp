// SPDX-License-Identifier: Apache-2.0
#include "runtime/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <typename T>
T Parse(const std::vector<std::string>& arguments) {
  auto invocation = ParseArguments(arguments);
  if (!invocation) {
    ADD_FAILURE() << invocation.error().message;
    return {};
  }
  const T* options = std::get_if<T>(&invocation->options);
  if (options == nullptr) {
    ADD_FAILURE() << "another verb";
    return {};
  }
  return *options;
}

UsageError Fails(const std::vector<std::string>& arguments) {
  auto invocation = ParseArguments(arguments);
  if (!invocation) return invocation.error();
  ADD_FAILURE() << "was understood";
  return {};
}

TEST(Arguments, GlobalsAsConmonAndContainerdWriteThem) {
  auto invocation = ParseArguments({"--root", "/r", "--log=/l", "--log-format", "json", "--debug", "--systemd-cgroup",
                                    "--rootless=false", "--criu", "/c", "--config", "/k.toml", "state", "c1"});
  ASSERT_TRUE(invocation) << invocation.error().message;
  const Globals& globals = invocation->globals;
  EXPECT_EQ(globals.root, "/r");
  EXPECT_EQ(globals.log_path, "/l");
  EXPECT_EQ(globals.log_format, log::Format::kJson);
  EXPECT_TRUE(globals.debug);
  EXPECT_TRUE(globals.systemd_cgroup);
  EXPECT_EQ(globals.rootless, false);
  EXPECT_EQ(globals.config_path, "/k.toml");
  EXPECT_EQ(std::get<StateOptions>(invocation->options).id, "c1");
}

TEST(Arguments, Defaults) {
  auto invocation = ParseArguments({"create", "c1"});
  ASSERT_TRUE(invocation);
  EXPECT_EQ(invocation->globals.root, "/run/kata");
  EXPECT_EQ(invocation->globals.log_path, "");
  EXPECT_EQ(invocation->globals.rootless, std::nullopt);
  EXPECT_EQ(Fails({"--rootless", "maybe", "list"}).message, "invalid value \"maybe\" for --rootless");
  EXPECT_EQ(std::get<CreateOptions>(invocation->options).bundle, ".");
  EXPECT_EQ(Parse<KillOptions>({"kill", "c1"}).signal, "SIGTERM");
}

TEST(Arguments, Create) {
  const auto options = Parse<CreateOptions>({"create", "--bundle", "/b", "--pid-file", "/p", "--console-socket", "/s",
                                             "--no-pivot", "--no-new-keyring", "--preserve-fds", "0", "c1"});
  EXPECT_EQ(options.id, "c1");
  EXPECT_EQ(options.bundle, "/b");
  EXPECT_EQ(options.pid_file, "/p");
  EXPECT_EQ(options.console_socket, "/s");
}

TEST(Arguments, OfAnOptionThatIsGivenTwiceTheLastCounts) {
  EXPECT_EQ(Parse<CreateOptions>({"create", "--pid-file", "/a", "--pid-file=/b", "c1"}).pid_file, "/b");
  EXPECT_THAT(Parse<ExecOptions>({"exec", "--env", "A=1", "--env", "B=2", "c1", "true"}).env,
              ElementsAre("A=1", "B=2"));
}

TEST(Arguments, Run) {
  const auto options = Parse<RunOptions>({"run", "-d", "--keep", "--no-subreaper", "-b", "/b", "c1"});
  EXPECT_TRUE(options.detach);
  EXPECT_TRUE(options.keep);
  EXPECT_EQ(options.create.id, "c1");
  EXPECT_EQ(options.create.bundle, "/b");
}

TEST(Arguments, DescriptorsCannotBePreserved) {
  EXPECT_THAT(Fails({"create", "--preserve-fds", "1", "c1"}).message, HasSubstr("--preserve-fds"));
  EXPECT_THAT(Fails({"exec", "--preserve-fds", "3", "c1", "true"}).message, HasSubstr("--preserve-fds"));
}

TEST(Arguments, ExecLeavesTheCommandsOptionsAlone) {
  const auto options = Parse<ExecOptions>({"exec", "-t", "c1", "ls", "-l", "--user", "x", "-d"});
  EXPECT_EQ(options.id, "c1");
  EXPECT_THAT(options.args, ElementsAre("ls", "-l", "--user", "x", "-d"));
  EXPECT_TRUE(options.tty);
  EXPECT_FALSE(options.detach);
  EXPECT_EQ(options.user, "");
}

TEST(Arguments, ContainersAndCommandsMayHaveNamesOfVerbs) {
  EXPECT_EQ(Parse<StateOptions>({"state", "run"}).id, "run");
  EXPECT_EQ(Parse<KillOptions>({"kill", "kill", "KILL"}).id, "kill");
  EXPECT_THAT(Parse<ExecOptions>({"exec", "list", "kill", "-9", "1"}).args, ElementsAre("kill", "-9", "1"));
}

TEST(Arguments, ExecOptions) {
  const auto options = Parse<ExecOptions>({"exec",      "--cwd",
                                           "/w",        "-e",
                                           "A=1",       "--env",
                                           "B=--x",     "-u",
                                           "1:2",       "-g",
                                           "3",         "-g",
                                           "4",         "-c",
                                           "CAP_KILL",  "--cap",
                                           "CAP_CHOWN", "--no-new-privs",
                                           "--detach",  "--pid-file",
                                           "/p",        "--apparmor",
                                           "x",         "--process-label",
                                           "y",         "--cgroup",
                                           "z",         "--ignore-paused",
                                           "c1",        "id"});
  EXPECT_EQ(options.cwd, "/w");
  EXPECT_THAT(options.env, ElementsAre("A=1", "B=--x"));
  EXPECT_EQ(options.user, "1:2");
  EXPECT_THAT(options.additional_gids, ElementsAre(3U, 4U));
  EXPECT_THAT(options.capabilities, ElementsAre("CAP_KILL", "CAP_CHOWN"));
  EXPECT_TRUE(options.no_new_privileges);
  EXPECT_TRUE(options.detach);
  EXPECT_TRUE(options.ignore_paused);
  EXPECT_EQ(options.pid_file, "/p");
  EXPECT_THAT(options.args, ElementsAre("id"));
}

TEST(Arguments, ExecWithAProcessFileNeedsNoCommand) {
  const auto options = Parse<ExecOptions>({"exec", "--process", "/p.json", "c1"});
  EXPECT_EQ(options.process_file, "/p.json");
  EXPECT_TRUE(options.args.empty());
}

TEST(Arguments, Kill) {
  EXPECT_EQ(Parse<KillOptions>({"kill", "c1", "9"}).signal, "9");
  EXPECT_TRUE(Parse<KillOptions>({"kill", "--all", "c1", "KILL"}).all);
  EXPECT_TRUE(Parse<KillOptions>({"kill", "c1", "KILL", "-a"}).all);
  EXPECT_EQ(Parse<KillOptions>({"kill", "c1", "-9"}).signal, "-9");
}

TEST(Arguments, EveryVerbKnowsGosFlags) {
  const auto exec = Parse<ExecOptions>({"-debug=false", "--", "exec", "-cwd=/tmp", "-t=false", "--", "c1", "ls", "-t"});
  EXPECT_EQ(exec.id, "c1");
  EXPECT_EQ(exec.cwd, "/tmp");
  EXPECT_FALSE(exec.tty);
  EXPECT_THAT(exec.args, ElementsAre("ls", "-t"));
  EXPECT_EQ(Parse<KillOptions>({"kill", "--", "nope"}).id, "nope");
  EXPECT_EQ(Parse<StateOptions>({"state", "c1", "--"}).id, "c1");
  EXPECT_EQ(Parse<StateOptions>({"state", "-h=false", "--", "--frob"}).id, "--frob");
  EXPECT_THAT(Parse<HelpOptions>({"state", "-help"}).text, HasSubstr("kata-runtime state"));
  EXPECT_EQ(Fails({"list", "--", "-q"}).message, "kata-runtime: \"list\" requires exactly 0 argument(s)");
  EXPECT_EQ(Fails({"exec", "-frob", "c1", "true"}).message, "flag provided but not defined: -frob");
  EXPECT_EQ(Fails({"exec", "-g", "x", "c1", "true"}).message, "invalid value \"x\" for flag -g");
}

TEST(Arguments, PsTakesOptionsOfPs) {
  const auto options = Parse<PsOptions>({"ps", "-f", "json", "c1", "-ef"});
  EXPECT_EQ(options.id, "c1");
  EXPECT_TRUE(options.json);
  EXPECT_THAT(options.words, ElementsAre("-ef"));
}

TEST(Arguments, List) {
  EXPECT_TRUE(Parse<ListOptions>({"list", "-f", "json"}).json);
  EXPECT_FALSE(Parse<ListOptions>({"list"}).json);
  EXPECT_TRUE(Parse<ListOptions>({"list", "--quiet"}).quiet);
  EXPECT_EQ(Fails({"list", "-f", "xml"}).message, "invalid format option");
}

TEST(Arguments, UpdateTakesNegativeNumbers) {
  const auto options = Parse<UpdateOptions>({"update", "--cpu-quota", "-1", "--memory", "512M", "c1"});
  EXPECT_EQ(options.cpu_quota, -1);
  EXPECT_EQ(options.memory, "512M");
  EXPECT_FALSE(options.cpu_shares.has_value());
}

TEST(Arguments, WrongOnesAreExplainedWithTheUsage) {
  const UsageError unknown = Fails({"frob", "--x"});
  EXPECT_EQ(unknown.exit_status, 3);
  EXPECT_THAT(unknown.message, HasSubstr("\"frob\""));
  EXPECT_THAT(unknown.usage, HasSubstr("create"));

  const UsageError flag = Fails({"--log", "/l", "state", "--frob", "c1"});
  EXPECT_EQ(flag.exit_status, 1);
  EXPECT_EQ(flag.message, "flag provided but not defined: --frob");
  EXPECT_THAT(flag.usage, HasSubstr("kata-runtime state"));
  EXPECT_EQ(flag.globals.log_path, "/l");

  EXPECT_EQ(Fails({"--frob", "state", "c1"}).message, "flag provided but not defined: --frob");
  EXPECT_EQ(Fails({"exec", "--frob", "c1", "true"}).message, "flag provided but not defined: --frob");
  EXPECT_EQ(Fails({"state"}).message, "kata-runtime: \"state\" requires exactly 1 argument(s)");
  EXPECT_EQ(Fails({"state", "a", "b"}).message, "kata-runtime: \"state\" requires exactly 1 argument(s)");
  EXPECT_EQ(Fails({"kill"}).message, "kata-runtime: \"kill\" requires a minimum of 1 argument(s)");
  EXPECT_EQ(Fails({"kill", "a", "9", "b"}).message, "kata-runtime: \"kill\" requires a maximum of 2 argument(s)");
  EXPECT_THAT(Fails({"create", "--pid-file"}).message, HasSubstr("--pid-file"));
  EXPECT_THAT(Fails({"--log-format", "xml", "list"}).message, HasSubstr("invalid log-format: xml"));
}

TEST(Arguments, Help) {
  EXPECT_THAT(Parse<HelpOptions>({"--help"}).text, HasSubstr("delete"));
  EXPECT_THAT(Parse<HelpOptions>({}).text, HasSubstr("delete"));
  EXPECT_THAT(Parse<HelpOptions>({"exec", "--help"}).text, HasSubstr("--additional-gids"));
  EXPECT_THAT(Parse<HelpOptions>({"help", "kill"}).text, HasSubstr("kata-runtime kill"));
  EXPECT_EQ(Fails({"help", "frob"}).exit_status, 3);
}

TEST(Arguments, Version) {
  // Before the verb these options replace it, whatever follows.
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--version"}, {"-v"}, {"--debug", "-v"}, {"-v", "state", "c1"}}) {
    const auto invocation = ParseArguments(arguments);
    ASSERT_TRUE(invocation) << invocation.error().message;
    EXPECT_TRUE(std::holds_alternative<VersionOptions>(invocation->options));
    EXPECT_EQ(invocation->verb, "");
  }
  const auto paths = ParseArguments({"--show-default-config-paths"});
  ASSERT_TRUE(paths) << paths.error().message;
  EXPECT_TRUE(std::holds_alternative<ConfigPathsOptions>(paths->options));
  // After a verb they are options of the verb, which has none of these names.
  EXPECT_EQ(Fails({"state", "--version", "c1"}).message, "flag provided but not defined: --version");
}

TEST(Arguments, Setup) {
  const auto setup = Parse<SetupOptions>({"setup", "docker", "--apply", "--default", "--file", "/d.json"});
  EXPECT_EQ(setup.engine, "docker");
  EXPECT_TRUE(setup.apply && setup.make_default && !setup.undo);
  EXPECT_EQ(setup.file, "/d.json");
  EXPECT_THAT(Fails({"setup", "docker", "--apply", "--undo"}).message, HasSubstr("exclude each other"));
  EXPECT_THAT(Fails({"setup"}).message, HasSubstr("exactly 1 argument"));
}

}  // namespace
}  // namespace kata::runtime
