// SPDX-License-Identifier: Apache-2.0
//
// A guest's init that says how much memory, how many processors and which NVDIMM it has, whenever
// that changes. hotplug_test.py boots it and adds to the machine.
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    mkdir("/dev", 0755), mkdir("/sys", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    for (char before[128] = "", now[128];; usleep(50000)) {
        // Memory comes online by itself; a processor when someone says so.
        FILE *online = fopen("/sys/devices/system/cpu/cpu1/online", "r+");
        if (online) fputs("1", online), fclose(online);
        struct sysinfo info;
        sysinfo(&info);
        snprintf(now, sizeof now, "memory %lu MiB, processors %d, pmem %s", info.totalram >> 20, get_nprocs(),
                 access("/dev/pmem0", F_OK) == 0 ? "yes" : "no");
        if (strcmp(before, now) != 0) printf("guest: %s\n", strcpy(before, now));
    }
}
