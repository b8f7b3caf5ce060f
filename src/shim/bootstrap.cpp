// SPDX-License-Identifier: Apache-2.0
#include "shim/bootstrap.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "protocol/bootstrap.pb.h"
#include "shim/socket_address.h"

namespace kata::shim {
namespace {

constexpr int kNewestVersion = 3;
constexpr size_t kMaxDirectory = 40;  // together with "/" and the name's 64 characters it must fit into sun_path

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Bootstrap ReadBootstrap(const Arguments& arguments, std::string_view standard_input) {
  Bootstrap bootstrap;
  bootstrap.ttrpc_address = Environment("TTRPC_ADDRESS");
  bootstrap.socket_directory = kSocketDirectory;
  if (const std::string text = Environment("MAX_SHIM_VERSION"); !text.empty()) {
    bootstrap.structured = true;
    bootstrap.version = std::clamp(std::atoi(text.c_str()), 2, kNewestVersion);
  }
  // Older containerds give the options of the runtime, an Any. What begins with the shim's id and namespace is
  // BootstrapParams. Nothing else is parsed as that: protobuf complains about bytes in the place of text on standard
  // error, which containerd takes for a part of the answer.
  const auto parse = [standard_input](google::protobuf::MessageLite& message) {
    return message.ParseFromArray(standard_input.data(), static_cast<int>(standard_input.size()));
  };
  wkt::Any options;
  const bool parsed = parse(options);
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  const bool meant = parsed && options.type_url() == arguments.id && options.value() == arguments.namespace_name;
  if (!meant || !parse(params)) {
    if (parsed) bootstrap.options = ReadRuntimeOptions(options);
    return bootstrap;
  }
  for (const auto& extension : params.extensions()) {
    bootstrap.options = Merge(std::move(bootstrap.options), ReadRuntimeOptions(extension.value()));
  }
  bootstrap.structured = true;
  bootstrap.version = kNewestVersion;
  if (!params.containerd_ttrpc_address().empty()) bootstrap.ttrpc_address = params.containerd_ttrpc_address();
  if (!params.socket_dir().empty() && params.socket_dir().size() <= kMaxDirectory) {
    bootstrap.socket_directory = params.socket_dir();
  }
  return bootstrap;
}

std::string StartAnswer(const Bootstrap& bootstrap, const std::string& socket_path) {
  std::string address = "unix://" + socket_path;
  if (!bootstrap.structured) return address;
  return nlohmann::json{{"version", bootstrap.version}, {"address", address}, {"protocol", "ttrpc"}}.dump();
}

}  // namespace kata::shim
