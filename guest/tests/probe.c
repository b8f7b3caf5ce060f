// SPDX-License-Identifier: Apache-2.0
//
// A guest's init that looks at the kernel from inside, says what is there and what is not, and
// powers off. boot_test.sh compiles it, boots it and reads what it says.
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static void check(int good, const char *format, ...) {
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    printf("%s: %s\n", good ? "ok" : "FAIL", text);
}

static const char *slurp(const char *path) {
    static char text[65536];
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[size > 0 ? size : 0] = 0;
    return text;
}

static int has_word(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += length)
        if ((at == text || strchr(" \t\n", at[-1])) && strchr(" \t\n", at[length])) return 1;
    return 0;
}

static void check_words(const char *path, const char *words) {
    char copy[512], *rest = copy;
    const char *text = slurp(path);
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, " "));) check(has_word(text, word), "%s: %s", path, word);
}

static void check_mount(const char *type, const char *at, const char *options) {
    mkdir(at, 0755);
    int failed = mount(type, at, type, 0, options);
    check(!failed, "mount %s: %s", type, failed ? strerror(errno) : "mounted");
}

static void check_socket(int family, int type, int protocol, const char *name) {
    int fd = socket(family, type, protocol);
    check(fd >= 0, "socket %s", name);
    if (fd >= 0) close(fd);
}

// A program that is only loaded: the one that restricts devices in cgroup v2.
static void check_bpf(void) {
    struct bpf_insn program[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
                                 {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insn_cnt = 2;
    attributes.insns = (unsigned long)program;
    attributes.license = (unsigned long)"Apache-2.0";
    check(syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes) >= 0, "bpf: device program");
    check(*slurp("/proc/sys/net/core/bpf_jit_enable") == '1', "bpf: compiled, not interpreted");
}

static void check_seccomp(void) {
    unsigned action = SECCOMP_RET_USER_NOTIF;
    check(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0, "seccomp: filter, with notification");
}

static void check_namespaces(void) {
    const char *names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        check(access(path, F_OK) == 0, "%s", path);
    }
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    check_mount("devtmpfs", "/dev", NULL);
    check_mount("proc", "/proc", NULL);
    check_mount("sysfs", "/sys", NULL);
    check_mount("tmpfs", "/tmp", "mode=1777");
    check_mount("mqueue", "/dev/mqueue", NULL);
    check_mount("devpts", "/dev/pts", "newinstance");
    check_mount("hugetlbfs", "/tmp/huge", NULL);
    check_mount("bpf", "/tmp/bpf", NULL);
    check_mount("binfmt_misc", "/proc/sys/fs/binfmt_misc", NULL);
    check_mount("cgroup2", "/sys/fs/cgroup", NULL);
    check_words("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc");
    FILE *control = fopen("/sys/fs/cgroup/cgroup.subtree_control", "w");
    check(control && fputs("+cpu +memory +io +pids", control) >= 0 && fclose(control) == 0, "cgroup: controllers on");
    mkdir("/sys/fs/cgroup/test", 0755);
    const char *knobs[] = {"cpu.max", "cpu.weight", "memory.max", "memory.swap.max", "memory.pressure", "pids.max",
                           "io.max", "io.bfq.weight", "io.latency", "cgroup.freeze", "cgroup.kill"};
    for (unsigned i = 0; i < sizeof knobs / sizeof *knobs; i++) {
        char path[128];
        snprintf(path, sizeof path, "/sys/fs/cgroup/test/%s", knobs[i]);
        check(access(path, F_OK) == 0, "%s", path);
    }
    check_words("/proc/filesystems", "overlay virtiofs fuse 9p ext4 ext2 xfs erofs squashfs tmpfs");

    mkdir("/tmp/lower", 0755), mkdir("/tmp/upper", 0755), mkdir("/tmp/work", 0755);
    check_mount("overlay", "/tmp/over", "lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work");
    check(setxattr("/tmp/lower", "trusted.x", "1", 1, 0) == 0, "tmpfs: extended attributes");

    check_namespaces();
    check_seccomp();
    check_bpf();
    check_socket(AF_VSOCK, SOCK_STREAM, 0, "vsock");
    check_socket(AF_INET6, SOCK_STREAM, 0, "ipv6");
    check_socket(AF_PACKET, SOCK_RAW, 0, "packet");
    check_socket(AF_NETLINK, SOCK_RAW, 12, "netlink netfilter");
    check_socket(AF_INET, SOCK_RAW, 255, "raw");
    check(access("/proc/net/ip_tables_names", F_OK) == 0, "iptables");
    check(access("/proc/net/ip6_tables_names", F_OK) == 0, "ip6tables");
    check(access("/proc/sys/net/netfilter/nf_conntrack_max", F_OK) == 0, "conntrack");

    const char *nodes[] = {"/dev/vport1p1", "/dev/vda", "/dev/hvc0", "/dev/hwrng", "/dev/fuse", "/dev/net/tun", "/dev/loop-control",
                           "/dev/mapper/control", "/dev/ptmx", "/dev/full", "/sys/class/net/eth0", "/proc/config.gz"};
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        struct stat status;
        // The first number counts the virtio devices that were found before.
        int found = stat(nodes[i], &status) == 0;
        if (strstr(nodes[i], "vport")) found |= stat("/dev/vport0p1", &status) == 0 || stat("/dev/vport2p1", &status) == 0;
        check(found, "%s", nodes[i]);
    }

    // System calls: one that exists fails for its arguments, not with ENOSYS.
    const struct { long number; const char *name; } calls[] = {
        {SYS_io_uring_setup, "io_uring_setup"}, {SYS_io_setup, "io_setup"}, {SYS_fanotify_init, "fanotify_init"},
        {SYS_userfaultfd, "userfaultfd"}, {SYS_kcmp, "kcmp"}, {SYS_membarrier, "membarrier"}, {SYS_rseq, "rseq"},
        {SYS_add_key, "add_key"}, {SYS_msgget, "msgget"}, {SYS_mq_open, "mq_open"}, {SYS_sched_setattr, "sched_setattr"},
        {SYS_process_vm_readv, "process_vm_readv"}, {SYS_name_to_handle_at, "name_to_handle_at"},
        {SYS_perf_event_open, "perf_event_open"}, {SYS_openat2, "openat2"}, {SYS_mount_setattr, "mount_setattr"},
        {444 /* landlock_create_ruleset */, "landlock"}, {SYS_swapon, "swapon"}, {SYS_quotactl, "quotactl"}};
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        long result = syscall(calls[i].number, -1, 0, 0, 0, 0, 0);
        check(result >= 0 || errno != ENOSYS, "system call %s", calls[i].name);
        if (calls[i].number == SYS_userfaultfd && result >= 0) close((int)result);
    }
    // Create a cookie for this thread group; ENODEV is a processor without siblings.
    check(prctl(62 /* PR_SCHED_CORE */, 1, 0, 1, 0) == 0 || errno == ENODEV, "core scheduling");
    check(*slurp("/proc/sys/kernel/modules_disabled") == '1', "modules cannot be loaded (nomodule)");
    check(strstr(slurp("/proc/pressure/cpu"), "some") != NULL, "pressure stall information");
    check(strstr(slurp("/sys/kernel/mm/transparent_hugepage/enabled"), "madvise") != NULL, "huge pages");
    check(strncmp(slurp("/sys/devices/system/memory/auto_online_blocks"), "online", 6) == 0 ||
              access("/sys/devices/system/memory", F_OK) != 0, "memory: added blocks come online");

    static char log[65536];
    int size = klogctl(3 /* read all */, log, sizeof log - 1);
    check(size > 0 && !strstr(log, "WARNING:") && !strstr(log, "BUG:") && !strstr(log, "Call Trace"), "kernel log: no warning");
    printf("probe: done\n");
    sync();
    // Without ACPI there is no switch; then the machine is reset, which ends it under -no-reboot.
    reboot(access("/sys/firmware/acpi", F_OK) == 0 ? RB_POWER_OFF : RB_AUTOBOOT);
    return 1;
}
