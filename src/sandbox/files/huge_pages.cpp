// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/huge_pages.h"

#include <algorithm>
#include <charconv>
#include <string_view>
namespace kata::sandbox {
namespace {

constexpr std::string_view kPageSize = "pagesize=";

bool HasSize(const grpc::Storage& storage) {
  return std::any_of(storage.options().begin(), storage.options().end(),
                     [](const std::string& option) { return option.starts_with("size="); });
}

// Converts "2MB", as in linux.resources, to bytes; 0: malformed.
uint64_t BytesOf(std::string_view text) {
  uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  constexpr std::string_view kUnits = "KMG";
  const bool has_unit = parsed.ec == std::errc() && parsed.ptr != text.data() + text.size();
  const size_t unit = has_unit ? kUnits.find(*parsed.ptr) : std::string_view::npos;
  return unit == std::string_view::npos ? 0 : number << (10 * (unit + 1));
}

// The storage's page size in bytes; 0: it has none.
uint64_t PageSizeOf(const grpc::Storage& storage) {
  uint64_t size = 0;
  for (const std::string& option : storage.options()) {
    if (!option.starts_with(kPageSize)) continue;
    std::from_chars(option.data() + kPageSize.size(), option.data() + option.size(), size);
  }
  return size;
}

}  // namespace

Result<> SizeHugePages(grpc::CreateContainerRequest& request) {
  for (grpc::Storage& storage : *request.mutable_storages()) {
    if (storage.fstype() != "hugetlbfs" || HasSize(storage)) continue;
    const uint64_t page = PageSizeOf(storage);
    uint64_t limit = 0;
    for (const auto& one : request.oci().linux().resources().hugepagelimits()) {
      if (BytesOf(one.pagesize()) == page) limit = one.limit();
    }
    if (page == 0 || limit == 0) {
      return Fail(Code::kInvalidArgument,
                  "volume {}: linux.resources.hugepageLimits has none for pages of {} KiB, and the guest has to know "
                  "how many it is to set aside",
                  storage.mount_point(), page >> 10U);
    }
    storage.add_options(fmt::format("size={}", limit));
  }
  return {};
}

}  // namespace kata::sandbox
