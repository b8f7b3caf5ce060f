// SPDX-License-Identifier: Apache-2.0
#include "runtime/events_json.h"

#include <gtest/gtest.h>

namespace kata::runtime {
namespace {

TEST(EventsJson, OutOfMemory) { EXPECT_EQ(OomEvent("c1"), R"({"type":"oom","id":"c1"})"); }

TEST(EventsJson, NothingCounted) {
  const std::string memory = R"({"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},)"
                             R"("kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}})";
  EXPECT_EQ(StatsEvent("c1", {}),
            R"({"type":"stats","id":"c1","data":{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},)"
            R"("cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,)"
            R"("memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,)"
            R"("sched_relax_domain_level":0},"memory":)" +
                memory + R"(,"pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":[]}})");
}

TEST(EventsJson, WhatTheGuestSays) {
  grpc::StatsContainerResponse stats;
  grpc::CgroupStats& cgroup = *stats.mutable_cgroup_stats();
  cgroup.mutable_cpu_stats()->mutable_cpu_usage()->set_total_usage(7);
  cgroup.mutable_memory_stats()->mutable_usage()->set_limit(UINT64_MAX);
  (*cgroup.mutable_memory_stats()->mutable_stats())["anon\x1b[31m"] = 9;
  cgroup.mutable_pids_stats()->set_current(3);
  auto* io = cgroup.mutable_blkio_stats()->add_io_service_bytes_recursive();
  io->set_major(8);
  io->set_op("Read\xff");
  (*cgroup.mutable_hugetlb_stats())["2MB"].set_max_usage(1);
  stats.add_network_stats()->set_name("eth0\n\x01");
  const std::string event = StatsEvent("c1", stats);
  for (const char* part :
       {R"("usage":{"total":7,"kernel":0,"user":0})", R"("usage":{"limit":18446744073709551615,"failcnt":0})",
        R"("raw":{"anon\\x1b[31m":9})", R"("pids":{"current":3})",
        R"("blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read\\xff"}]})",
        R"("hugetlb":{"2MB":{"max":1,"failcnt":0}})", R"("Name":"eth0\n\\x01","RxBytes":0)"}) {
    EXPECT_NE(event.find(part), std::string::npos) << part << " in " << event;
  }
}

}  // namespace
}  // namespace kata::runtime
