// SPDX-License-Identifier: Apache-2.0
//
// The init of a guest that kernels.py measures: says how much virtual time has passed since the machine was switched
// on, and how much memory is free, and ends.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

int main(void) {
    unsigned long long ticks = __rdtsc();
    char line[256] = "";
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("init: %llu ticks\n", ticks);
    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    FILE *memory = fopen("/proc/meminfo", "r");
    while (memory && fgets(line, sizeof line, memory) && strncmp(line, "MemFree:", 8) != 0)
        ;
    printf("init: %ld free\n", memory ? strtol(line + 8, NULL, 10) : 0);
    reboot(RB_AUTOBOOT);
    return 1;
}
