// SPDX-License-Identifier: Apache-2.0
#include "oci/parse.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "oci/default_spec.h"

namespace kata::oci {
namespace {

using nlohmann::json;

json Default() { return json::parse(DefaultSpecJson()); }

std::string ErrorOf(const json& spec) {
  const Result<grpc::Spec> parsed = ParseSpec(spec.dump());
  return parsed ? "" : parsed.error().message();
}

// The error of the default spec after replacing one value.
std::string ErrorWith(const char* pointer, json value) {
  json spec = Default();
  spec[json::json_pointer(pointer)] = std::move(value);
  return ErrorOf(spec);
}

std::string ErrorWithout(const char* object, const char* key) {
  json spec = Default();
  spec[json::json_pointer(object)].erase(key);
  return ErrorOf(spec);
}

TEST(ParseSpec, ReadsTheDefaultSpec) {
  const Result<grpc::Spec> spec = ParseSpec(DefaultSpecJson());
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->version(), "1.1.0");
  EXPECT_TRUE(spec->process().terminal());
  EXPECT_EQ(spec->process().args(0), "sh");
  EXPECT_EQ(spec->process().capabilities().bounding_size(), 3);
  EXPECT_EQ(spec->process().capabilities().inheritable_size(), 0);
  EXPECT_EQ(spec->process().rlimits(0).hard(), 1024U);
  EXPECT_TRUE(spec->root().readonly());
  EXPECT_EQ(spec->mounts(2).options(5), "gid=5");
  EXPECT_EQ(spec->linux().resources().devices(0).major(), -1);
  EXPECT_EQ(spec->linux().resources().devices(0).type(), "a");
  EXPECT_EQ(spec->linux().maskedpaths_size(), 10);
  EXPECT_FALSE(spec->process().user().has_umask());
}

TEST(ParseSpec, ReadsEveryField) {
  const Result<grpc::Spec> spec = ParseSpec(R"({
    "ociVersion": "1.1.0", "hostname": "h", "domainname": "d", "root": {"path": "/r"},
    "annotations": {"a.b": "c", "empty": ""},
    "process": {"args": ["a", ""], "cwd": "/w", "consoleSize": {"height": 24, "width": 80}, "oomScoreAdj": -5,
      "user": {"uid": 4294967295, "gid": 2, "umask": 0, "additionalGids": [3, 4]},
      "rlimits": [{"type": "RLIMIT_CORE", "hard": 18446744073709551615, "soft": 0}],
      "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4},
      "scheduler": {"policy": "SCHED_DEADLINE", "nice": -3, "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 1,
                    "deadline": 2, "period": 3}},
    "hooks": {"prestart": [{"path": "/1"}], "createRuntime": [{"path": "/2", "args": ["x"], "env": ["A=B"]}],
      "createContainer": [{"path": "/3"}], "startContainer": [{"path": "/4", "timeout": 7}],
      "poststart": [{"path": "/5"}], "poststop": [{"path": "/6"}]},
    "mounts": [{"destination": "/m", "source": "s", "type": "t", "options": ["ro"],
                "uidMappings": [{"containerID": 4, "hostID": 5, "size": 6}],
                "gidMappings": [{"containerID": 7, "hostID": 8, "size": 9}]}],
    "linux": {"cgroupsPath": "/c", "rootfsPropagation": "slave", "personality": {"domain": "LINUX32"},
      "uidMappings": [{"containerID": 1, "hostID": 2, "size": 3}], "sysctl": {"net.x": "1"},
      "namespaces": [{"type": "network", "path": "/n"}],
      "devices": [{"path": "/dev/f", "type": "c", "major": 10, "minor": 229, "fileMode": 384, "uid": 1, "gid": 2},
                  {"path": "/dev/p", "type": "p"}],
      "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1,
        "args": [{"index": 5, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}]}]},
      "resources": {"memory": {"limit": -1, "reservation": 5, "swap": 6}, "pids": {"limit": 9},
        "cpu": {"shares": 2, "quota": -1, "period": 100000, "burst": 0, "idle": 1, "cpus": "0-1", "mems": "0"},
        "blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}],
          "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 600}],
          "throttleWriteIOPSDevice": [{"major": 8, "minor": 2, "rate": 700}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4}], "unified": {"memory.high": "max"},
        "devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}]}}})");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->domainname(), "d");
  EXPECT_EQ(spec->annotations().at("a.b"), "c");
  EXPECT_EQ(spec->annotations().count("empty"), 1U);
  EXPECT_EQ(spec->process().args(1), "");
  EXPECT_EQ(spec->process().user().uid(), 4294967295U);
  EXPECT_TRUE(spec->process().user().has_umask());
  EXPECT_EQ(spec->process().user().additionalgids(1), 4U);
  EXPECT_EQ(spec->process().rlimits(0).hard(), UINT64_MAX);
  EXPECT_EQ(spec->process().oomscoreadj(), -5);
  EXPECT_EQ(spec->process().consolesize().width(), 80U);
  EXPECT_EQ(spec->process().iopriority().class_(), "IOPRIO_CLASS_IDLE");
  EXPECT_EQ(spec->process().scheduler().nice(), -3);
  EXPECT_EQ(spec->process().scheduler().period(), 3U);
  EXPECT_EQ(spec->hooks().prestart(0).path(), "/1");
  EXPECT_EQ(spec->hooks().createruntime(0).env(0), "A=B");
  EXPECT_FALSE(spec->hooks().createruntime(0).inheritsenv());
  EXPECT_TRUE(spec->hooks().prestart(0).inheritsenv()) << "no env is not an empty env";
  EXPECT_EQ(spec->hooks().createcontainer(0).path(), "/3");
  EXPECT_EQ(spec->hooks().startcontainer(0).timeout(), 7);
  EXPECT_EQ(spec->hooks().poststart(0).path(), "/5");
  EXPECT_EQ(spec->hooks().poststop(0).path(), "/6");
  EXPECT_EQ(spec->mounts(0).options(0), "ro");
  EXPECT_EQ(spec->mounts(0).uidmappings(0).hostid(), 5U);
  EXPECT_EQ(spec->mounts(0).gidmappings(0).size(), 9U);
  const grpc::Linux& section = spec->linux();
  EXPECT_EQ(section.cgroupspath(), "/c");
  EXPECT_EQ(section.personality().domain(), "LINUX32");
  EXPECT_EQ(section.uidmappings(0).hostid(), 2U);
  EXPECT_EQ(section.uidmappings(0).containerid(), 1U);
  EXPECT_EQ(section.sysctl().at("net.x"), "1");
  EXPECT_EQ(section.namespaces(0).path(), "/n");
  EXPECT_EQ(section.devices(0).filemode(), 0600U);
  EXPECT_EQ(section.devices(1).filemode(), 0666U);
  EXPECT_EQ(section.seccomp().defaulterrnoret(), 38U);
  EXPECT_EQ(section.seccomp().syscalls(0).errnoret(), 1U);
  EXPECT_EQ(section.seccomp().syscalls(0).args(0).valuetwo(), 2U);
  EXPECT_EQ(section.resources().memory().limit(), -1);
  EXPECT_TRUE(section.resources().cpu().has_burst());
  EXPECT_EQ(section.resources().cpu().idle(), 1);
  EXPECT_EQ(section.resources().pids().limit(), 9);
  EXPECT_EQ(section.resources().blockio().weightdevice(0).weight(), 20U);
  EXPECT_EQ(section.resources().blockio().throttlereadbpsdevice(0).rate(), 600U);
  EXPECT_EQ(section.resources().blockio().throttlewriteiopsdevice(0).minor(), 2);
  EXPECT_EQ(section.resources().hugepagelimits(0).limit(), 4U);
  EXPECT_EQ(section.resources().unified().at("memory.high"), "max");
  EXPECT_EQ(section.resources().devices(0).access(), "rw");
}

TEST(ParseSpec, NamesThePathAtFault) {
  EXPECT_EQ(ErrorWith("/process/rlimits/0/hard", "abc"),
            "config.json: process.rlimits[0].hard: expected an unsigned number, found \"abc\"");
  EXPECT_EQ(ErrorWith("/process/user/uid", -1), "config.json: process.user.uid: expected an unsigned number, found -1");
  EXPECT_EQ(ErrorWith("/process/user/gid", 4294967296),
            "config.json: process.user.gid: expected a number of at most 4294967295, found 4294967296");
  EXPECT_EQ(ErrorWith("/process/user/uid", 1.5),
            "config.json: process.user.uid: expected an unsigned number, found 1.5");
  EXPECT_EQ(ErrorWith("/process/args/0", 7), "config.json: process.args[0]: expected a string, found 7");
  EXPECT_EQ(ErrorWith("/process/args", "sh"), "config.json: process.args: expected an array, found \"sh\"");
  EXPECT_EQ(ErrorWith("/process", json::array()), "config.json: process: expected an object, found an array");
  EXPECT_EQ(ErrorWith("/process/terminal", "yes"),
            "config.json: process.terminal: expected true or false, found \"yes\"");
  EXPECT_EQ(ErrorWith("/mounts/1", nullptr), "config.json: mounts[1]: expected an object, found null");
  EXPECT_EQ(ErrorWith("/annotations", {{"a", 1}}), "config.json: annotations[\"a\"]: expected a string, found 1");
  EXPECT_EQ(ErrorWith("/linux/resources/memory", {{"limit", 9223372036854775808U}}),
            "config.json: linux.resources.memory.limit: expected a whole number, found 9223372036854775808");
  EXPECT_EQ(ErrorWith("/process/args/0", std::string("a\0b", 3)),
            "config.json: process.args[0]: the string holds a NUL character");
  EXPECT_EQ(ErrorWith("/hooks", {{"poststop", {{{"path", "/x"}, {"timeout", 0}}}}}).substr(0, 43),
            "config.json: hooks.poststop[0].timeout: exp");
  EXPECT_EQ(ErrorOf(json::array()), "config.json: expected an object, found an array");
}

TEST(ParseSpec, NamesWhatIsMissing) {
  EXPECT_EQ(ErrorWithout("", "ociVersion"), "config.json: ociVersion: required, and missing");
  EXPECT_EQ(ErrorWithout("", "root"), "config.json: root: required, and missing");
  EXPECT_EQ(ErrorWithout("/root", "path"), "config.json: root.path: required, and missing");
  EXPECT_EQ(ErrorWithout("/process", "cwd"), "config.json: process.cwd: required, and missing");
  EXPECT_EQ(ErrorWithout("/process", "args").substr(0, 26), "config.json: process.args:");
  EXPECT_EQ(ErrorWithout("/mounts/3", "destination"), "config.json: mounts[3].destination: required, and missing");
  EXPECT_EQ(ErrorWithout("/linux/namespaces/2", "type"),
            "config.json: linux.namespaces[2].type: required, and missing");
}

TEST(ParseSpec, NamesLineAndColumnOfASyntaxError) {
  const Result<grpc::Spec> parsed = ParseSpec("{\n  \"ociVersion\": 1.1.0\n}");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message().substr(0, 21), "config.json:2:20: syn") << parsed.error().message();
  EXPECT_EQ(ParseSpec("").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ParseSpec("{} trailing").error().message().substr(0, 17), "config.json:1:6: ");
  EXPECT_FALSE(ParseSpec("{\"ociVersion\": \"\xff\"}"));
}

TEST(ParseSpec, RefusesWhatItCannotHonour) {
  const std::pair<const char*, json> cases[] = {
      {"/linux/intelRdt", {{"closID", "x"}}},
      {"/linux/timeOffsets", {{"monotonic", {{"secs", 1}}}}},
      {"/linux/memoryPolicy", {{"mode", "MPOL_BIND"}}},
      {"/linux/resources/rdma", {{"mlx5", {{"hcaHandles", 1}}}}},
      {"/linux/resources/cpu", {{"realtimeRuntime", 100}}},
      {"/vm", {{"kernel", {{"path", "/k"}}}}},
  };
  for (const auto& [pointer, value] : cases) {
    json spec = Default();
    spec[json::json_pointer(pointer)] = value;
    const Result<grpc::Spec> parsed = ParseSpec(spec.dump());
    ASSERT_FALSE(parsed) << pointer;
    EXPECT_EQ(parsed.error().code(), Code::kUnimplemented) << parsed.error().message();
  }
  // Empty values are accepted.
  EXPECT_EQ(ErrorWith("/linux/intelRdt", json::object()), "");
  EXPECT_EQ(ErrorWith("/linux/resources/cpu", {{"realtimeRuntime", 0}}), "");
  // So is a listener in a profile that has no SCMP_ACT_NOTIFY.
  EXPECT_EQ(ErrorWith("/linux/seccomp", {{"defaultAction", "SCMP_ACT_ALLOW"}, {"listenerPath", "/run/x"}}), "");
}

TEST(ParseSpec, WarnsOfWhatTheHostDecides) {
  json spec = Default();
  spec["process"]["apparmorProfile"] = "of-my-own";
  // Whether these are ignored depends on the host.
  spec["process"]["selinuxLabel"] = "system_u";
  spec["linux"]["mountLabel"] = "system_u";
  std::vector<std::string> warnings;
  ASSERT_TRUE(ParseSpec(spec.dump(), &warnings));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_TRUE(warnings[0].starts_with("config.json: process.apparmorProfile: ignored"));
  for (const char* profile : {"docker-default", "containers-default-0.62.2", "unconfined", ""}) {
    spec["process"]["apparmorProfile"] = profile;
    warnings.clear();
    ASSERT_TRUE(ParseSpec(spec.dump(), &warnings));
    EXPECT_TRUE(warnings.empty()) << profile;
  }
}

TEST(ParseSpec, IgnoresUnknownFieldsAndNull) {
  EXPECT_EQ(ErrorWith("/futureField", {{"x", 1}}), "");
  EXPECT_EQ(ErrorWith("/hooks", nullptr), "");
  EXPECT_EQ(ErrorWith("/process/rlimits", nullptr), "");
}

TEST(ParseSpec, RefusesDuplicatesDepthAndSize) {
  const Result<grpc::Spec> twice = ParseSpec(R"({"process": {"cwd": "/", "cwd": "/etc"}})");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message(), "config.json: process.cwd: the key stands twice in its object");
  const Result<grpc::Spec> deep = ParseSpec(std::string(100000, '['));
  EXPECT_FALSE(deep);
  const Result<grpc::Spec> closed = ParseSpec(std::string(100, '[') + std::string(100, ']'));
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().message(), "config.json: nested deeper than 32 levels");
  EXPECT_EQ(ParseSpec(std::string(kMaxSpecBytes + 1, ' ')).error().code(), Code::kOutOfRange);
}

TEST(ParseProcess, ReadsOneProcess) {
  const Result<grpc::Process> process = ParseProcess(R"({"args": ["id"], "cwd": "/", "user": {"uid": 5}})");
  ASSERT_TRUE(process) << process.error().message();
  EXPECT_EQ(process->user().uid(), 5U);
  EXPECT_EQ(ParseProcess(R"({"args": ["id"]})").error().message(), "process.json: cwd: required, and missing");
}

TEST(ParseResources, ReadsResources) {
  const Result<grpc::LinuxResources> resources = ParseResources(R"({"memory": {"limit": 1048576}})");
  ASSERT_TRUE(resources) << resources.error().message();
  EXPECT_EQ(resources->memory().limit(), 1048576);
}

TEST(DefaultSpec, RootlessHasAUserNamespaceAndNoNetwork) {
  const Result<grpc::Spec> spec = ParseSpec(RootlessSpecJson(1000, 100));
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->linux().uidmappings(0).hostid(), 1000U);
  EXPECT_EQ(spec->linux().gidmappings(0).hostid(), 100U);
  EXPECT_FALSE(spec->linux().has_resources());
  for (const auto& entry : spec->linux().namespaces()) EXPECT_NE(entry.type(), "network");
  for (const auto& mount : spec->mounts()) {
    for (const auto& option : mount.options()) EXPECT_NE(option, "gid=5");
  }
}

// No input crashes the parser: every truncation of a spec, and many mutations of it.
TEST(ParseSpec, SurvivesDamagedInput) {
  const std::string good = json::parse(DefaultSpecJson()).dump();
  for (size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(ParseSpec(good.substr(0, length)));
  std::mt19937 random(1);
  const std::string letters = "{}[]\",:0-9eE.tfn\\u\x80\xff \n";
  int accepted = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bad = good;
    for (int change = 0; change < 3; ++change) bad[random() % bad.size()] = letters[random() % letters.size()];
    const Result<grpc::Spec> parsed = ParseSpec(bad);
    if (parsed) {
      ++accepted;
    } else {
      EXPECT_TRUE(parsed.error().message().starts_with("config.json"));
      EXPECT_LT(parsed.error().message().size(), 1000U);
    }
  }
  EXPECT_LT(accepted, 5000);
}

}  // namespace
}  // namespace kata::oci
