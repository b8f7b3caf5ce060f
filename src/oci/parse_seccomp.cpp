// SPDX-License-Identifier: Apache-2.0
// Reads "linux.seccomp" of a config.json.
#include "oci/sections.h"

namespace kata::oci {
namespace {

void ReadSyscall(const JsonObject& json, grpc::LinuxSyscall& rule) {
  json.EachString("names", [&](std::string name) { rule.add_names(std::move(name)); });
  if (rule.names_size() == 0) json.Fail("names", "required, and missing or empty");
  rule.set_action(json.String("action", Need::kRequired));
  if (json.Has("errnoRet")) rule.set_errnoret(json.Unsigned32("errnoRet"));
  json.Each("args", [&](const JsonObject& entry) {
    grpc::LinuxSeccompArg& arg = *rule.add_args();
    arg.set_index(entry.Unsigned("index", Need::kRequired, 5));  // a system call has six arguments
    arg.set_value(entry.Unsigned("value", Need::kRequired));
    arg.set_valuetwo(entry.Unsigned("valueTwo"));
    arg.set_op(entry.String("op", Need::kRequired));
  });
}

}  // namespace

void ReadSeccomp(const JsonObject& json, grpc::LinuxSeccomp& seccomp) {
  seccomp.set_defaultaction(json.String("defaultAction", Need::kRequired));
  if (json.Has("defaultErrnoRet")) seccomp.set_defaulterrnoret(json.Unsigned32("defaultErrnoRet"));
  json.EachString("architectures", [&](std::string name) { seccomp.add_architectures(std::move(name)); });
  json.EachString("flags", [&](std::string flag) { seccomp.add_flags(std::move(flag)); });
  json.Each("syscalls", [&](const JsonObject& rule) { ReadSyscall(rule, *seccomp.add_syscalls()); });
  // listenerPath and listenerMetadata are not read: they have a meaning only with SCMP_ACT_NOTIFY, which
  // ValidateSeccomp refuses.
}

}  // namespace kata::oci
