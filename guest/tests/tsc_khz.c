// SPDX-License-Identifier: Apache-2.0
//
// Prints the frequency of this machine's time stamp counter in kHz. Without hardware virtualization
// it is the guest's too (tsc_early_khz=).
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

static double nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

int main(void) {
    double start = nanoseconds();
    unsigned long long ticks = __rdtsc();
    usleep(20000);
    ticks = __rdtsc() - ticks;
    printf("%.0f\n", ticks * 1e6 / (nanoseconds() - start));
}
