// SPDX-License-Identifier: Apache-2.0
// Reads the sections of a spec, each from its JSON object. Errors go to the JsonObject's Diagnosis.
#pragma once

#include "oci/json_reader.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

void ReadProcess(const JsonObject& json, grpc::Process& process);
void ReadIdMapping(const JsonObject& json, grpc::LinuxIDMapping& mapping);
void ReadLinux(const JsonObject& json, grpc::Linux& linux_section);
void ReadResources(const JsonObject& json, grpc::LinuxResources& resources);
void ReadSeccomp(const JsonObject& json, grpc::LinuxSeccomp& seccomp);

}  // namespace kata::oci
