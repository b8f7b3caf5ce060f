// SPDX-License-Identifier: Apache-2.0
#include "shim/socket_address.h"

#include <sha2.h>

#include <array>
#include <filesystem>

namespace kata::shim {

std::string SocketPath(const std::string& directory, const std::string& containerd_address,
                       const std::string& namespace_name, const std::string& id) {
  // Like Go's filepath.Join, without double slashes.
  const std::string name =
      (std::filesystem::path(containerd_address) / namespace_name / id).lexically_normal().string();
  std::array<char, SHA256_DIGEST_STRING_LENGTH> hex{};
  SHA256Data(reinterpret_cast<const uint8_t*>(name.data()), name.size(), hex.data());
  return directory + "/" + hex.data();
}

}  // namespace kata::shim
