// SPDX-License-Identifier: Apache-2.0
// The sections of a spec, each read from its JSON object.
#pragma once

#include "oci/json_reader.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

void ReadProcess(const JsonObject& json, grpc::Process& process);
void ReadLinux(const JsonObject& json, grpc::Linux& linux_section);
void ReadResources(const JsonObject& json, grpc::LinuxResources& resources);
void ReadSeccomp(const JsonObject& json, grpc::LinuxSeccomp& seccomp);

}  // namespace kata::oci
