// SPDX-License-Identifier: Apache-2.0
// Reads "process" of a config.json, or a process.json.
#include "oci/sections.h"

namespace kata::oci {
namespace {

constexpr int64_t kInt32Min = std::numeric_limits<int32_t>::min();
constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

void ReadUser(const JsonObject& json, grpc::User& user) {
  user.set_uid(json.Unsigned32("uid"));
  user.set_gid(json.Unsigned32("gid"));
  if (json.Has("umask")) user.set_umask(json.Unsigned32("umask"));
  json.EachUnsigned32("additionalGids", [&](uint32_t gid) { user.add_additionalgids(gid); });
  user.set_username(json.String("username"));
}

void ReadCapabilities(const JsonObject& json, grpc::LinuxCapabilities& capabilities) {
  const auto read = [&](const char* key, auto* list) {
    json.EachString(key, [&](std::string name) { *list->Add() = std::move(name); });
  };
  read("bounding", capabilities.mutable_bounding());
  read("effective", capabilities.mutable_effective());
  read("inheritable", capabilities.mutable_inheritable());
  read("permitted", capabilities.mutable_permitted());
  read("ambient", capabilities.mutable_ambient());
}

void ReadRlimit(const JsonObject& json, grpc::POSIXRlimit& rlimit) {
  rlimit.set_type(json.String("type", Need::kRequired));
  rlimit.set_hard(json.Unsigned("hard", Need::kRequired));
  rlimit.set_soft(json.Unsigned("soft", Need::kRequired));
}

void ReadScheduler(const JsonObject& json, grpc::LinuxScheduler& scheduler) {
  scheduler.set_policy(json.String("policy", Need::kRequired));
  scheduler.set_nice(static_cast<int32_t>(json.Signed("nice", Need::kOptional, kInt32Min, kInt32Max)));
  scheduler.set_priority(static_cast<int32_t>(json.Signed("priority", Need::kOptional, kInt32Min, kInt32Max)));
  json.EachString("flags", [&](std::string flag) { scheduler.add_flags(std::move(flag)); });
  scheduler.set_runtime(json.Unsigned("runtime"));
  scheduler.set_deadline(json.Unsigned("deadline"));
  scheduler.set_period(json.Unsigned("period"));
}

// The profiles that engines name where nobody has asked for one: of Docker, Podman, containerd and CRI-O. Who has not
// named a profile does not miss it.
bool IsProfileOfAnEngine(const std::string& profile) {
  return profile == "unconfined" || profile == "docker-default" || profile == "cri-containerd.apparmor.d" ||
         profile.starts_with("containers-default-") || profile.starts_with("crio-default");
}

}  // namespace

void ReadProcess(const JsonObject& json, grpc::Process& process) {
  process.set_terminal(json.Bool("terminal"));
  json.Child("consoleSize", [&](const JsonObject& size) {
    process.mutable_consolesize()->set_height(size.Unsigned32("height", Need::kRequired));
    process.mutable_consolesize()->set_width(size.Unsigned32("width", Need::kRequired));
  });
  json.Child("user", [&](const JsonObject& user) { ReadUser(user, *process.mutable_user()); });
  json.EachString("args", [&](std::string arg) { process.add_args(std::move(arg)); });
  if (process.args_size() == 0) json.Fail("args", "required, and missing or empty: there is no command to run");
  json.EachString("env", [&](std::string variable) { process.add_env(std::move(variable)); });
  process.set_cwd(json.String("cwd", Need::kRequired));
  json.Child("capabilities",
             [&](const JsonObject& capabilities) { ReadCapabilities(capabilities, *process.mutable_capabilities()); });
  json.Each("rlimits", [&](const JsonObject& rlimit) { ReadRlimit(rlimit, *process.add_rlimits()); });
  process.set_nonewprivileges(json.Bool("noNewPrivileges"));
  process.set_oomscoreadj(json.Signed("oomScoreAdj"));
  process.set_apparmorprofile(json.String("apparmorProfile"));
  if (!IsProfileOfAnEngine(process.apparmorprofile())) {
    json.WarnIf("apparmorProfile", "ignored: a profile of the host means nothing in the guest");
  }
  process.set_selinuxlabel(json.String("selinuxLabel"));
  json.Child("ioPriority", [&](const JsonObject& priority) {
    process.mutable_iopriority()->set_class_(priority.String("class", Need::kRequired));
    process.mutable_iopriority()->set_priority(
        static_cast<int32_t>(priority.Signed("priority", Need::kOptional, kInt32Min, kInt32Max)));
  });
  json.Child("scheduler", [&](const JsonObject& scheduler) { ReadScheduler(scheduler, *process.mutable_scheduler()); });
  json.Refuse("execCPUAffinity", "not supported");
}

}  // namespace kata::oci
