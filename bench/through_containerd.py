#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures containers and pods through a containerd of its own, with Kata's shim beside runc's: through_containerd.py [--rounds N]

All figures are medians of one run on one machine; compare them with each other and not with another machine's. Printed as the
tables of docs/SPECIFICATION.md. The runtime is build/bin's, or that beside KATA_RUNTIME."""

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys
import time

from figures import memory_of, milliseconds, needs_met, step, table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/integration"))
import cri  # noqa: E402
import harness  # noqa: E402
import leaks  # noqa: E402
from containerd import BUSYBOX, IPERF, iperf_archive  # noqa: E402

NAMES = ("kata", "runc")
MANY = 8
OUTPUT_MIB = 256


class Bench(cri.CriCase):
    """The tests' containerd and CRI client, and their look for what is left."""

    log_level = "info"

    def checked(self, result):
        if result.status != 0:
            raise RuntimeError(result)
        return result

    def popen_run(self, runtime, name, *command):
        """ctr run --rm in the foreground, its stdout a pipe of ours."""
        arguments = ("run", "--rm", "--runtime", f"io.containerd.{runtime}.v2", BUSYBOX, name, *command)
        return self.containerd.popen(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0)

    def ctr_run(self, runtime):
        """Seconds from ctr's call to the first output and to its end, when all is removed."""
        start = time.perf_counter()
        with self.popen_run(runtime, self.name(), "echo", "hello") as process:
            output = process.stdout.read(1)
            first = time.perf_counter() - start
            process.stdout.read()
        if not output or process.returncode != 0:
            raise RuntimeError(f"ctr run failed with {runtime}")
        return first, time.perf_counter() - start

    def sleeping_task(self, runtime):
        """A container in the background: its name, and the ctr that ends when it is removed."""
        name = self.name()
        process = self.popen_run(runtime, name, "sh", "-c", "echo; exec sleep 10000")
        process.stdout.read(1)
        return name, process

    def kill(self, name, process):
        """Seconds from ctr's call to the container's removal."""
        start = time.perf_counter()
        self.checked(self.ctr("task", "kill", "-s", "KILL", name))
        process.stdout.read()
        process.wait()
        return time.perf_counter() - start

    def execs(self, runtime, rounds):
        name, process = self.sleeping_task(runtime)
        seconds = []
        for number in range(rounds):
            start = time.perf_counter()
            self.checked(self.ctr("task", "exec", "--exec-id", f"e{number}", name, "true"))
            seconds.append(time.perf_counter() - start)
        self.kill(name, process)
        return seconds

    def kills(self, runtime, rounds):
        return [self.kill(*self.sleeping_task(runtime)) for _ in range(rounds)]

    def memory(self, runtime):
        """PSS of an idle container's processes on the host."""
        name, process = self.sleeping_task(runtime)
        shims = [pid for pid, command in leaks.descendants().items() if "containerd-shim-" in command and f" -id {name} " in command]
        rows = memory_of(shims)
        self.kill(name, process)
        return rows

    def output(self, runtime):
        """MB/s from a container's first byte on stdout to its last, through ctr's FIFO and pipe."""
        script = f"dd if=/dev/zero bs=1M count={OUTPUT_MIB} 2>/dev/null"
        with self.popen_run(runtime, self.name(), "sh", "-c", script) as process:
            count = len(process.stdout.read(1))
            start = time.perf_counter()
            while data := process.stdout.read(1 << 20):
                count += len(data)
            elapsed = time.perf_counter() - start
        if count != OUTPUT_MIB << 20:
            raise RuntimeError(f"{count} bytes of output with {runtime}")
        return count / elapsed / 1e6

    def pod(self, runtime):
        """Seconds from RunPodSandbox to its container's first output in the log, and to its removal."""
        start = time.perf_counter()
        pod = self.run_pod(handler=runtime)
        container = self.create_container(pod, "main", "echo", "hello")
        self.call("StartContainer", container_id=container)
        log = pathlib.Path(pod[1].log_directory, "main.log")
        while not log.exists() or log.stat().st_size == 0:
            time.sleep(0.001)
        first = time.perf_counter() - start
        self.end_pod(pod[0])
        return first, time.perf_counter() - start

    def network(self, runtime):
        """Two pods on the bridge: what ping and iperf3 say."""

        def with_iperf(container):
            container.image.image = IPERF

        server, client = self.run_pod("server", handler=runtime), self.run_pod("client", handler=runtime)
        listening = self.start_container(server, "main", "iperf3", "-s", change=with_iperf)
        container = self.start_container(client, change=with_iperf)
        address = self.pod_addresses(server)[0]
        harness.wait_for(lambda: ":5201" in self.exec_sync(listening, "netstat -ltn").out, "iperf3 listens")
        ping = self.checked(self.exec_sync(container, f"ping -c 50 -i 0.05 -q {address}")).out
        rows = {
            "ping, packets lost": ping.split(" packets received, ")[1].split()[0],
            "ping, average, ms": float(ping.rsplit("= ", 1)[1].split("/")[1]),
        }
        for what, flags in (("to the server", ""), ("from the server", "-R")):
            report = json.loads(self.checked(self.exec_sync(container, f"iperf3 -J -t 4 {flags} -c {address}")).out)
            rows[f"iperf3, TCP {what}, Mbit/s"] = report["end"]["sum_received"]["bits_per_second"] / 1e6
        self.end_pod(client[0])
        self.end_pod(server[0])
        return rows


def lives(one, runtime, rounds):
    """Rows of a container's or pod's life, one and MANY at a time. one(runtime) gives the two times of a life."""
    alone = [one(runtime) for _ in range(rounds)]
    rows = {"first output": milliseconds([life[0] for life in alone]), "removed": milliseconds([life[1] for life in alone])}
    all_removed, together = [], []
    for _ in range(3):
        with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
            start = time.perf_counter()
            together += pool.map(one, [runtime] * MANY)
            all_removed.append(time.perf_counter() - start)
    rows[f"{MANY} at a time, first output of each"] = milliseconds([life[0] for life in together])
    rows[f"{MANY} at a time, all removed"] = milliseconds(all_removed)
    return rows


def measure(bench, runtime, rounds):
    bench.ctr_run(runtime)  # the first of all reads its files from the disk
    rows = {f"ctr run --rm echo: {what}": value for what, value in lives(bench.ctr_run, runtime, rounds).items()}
    rows["ctr task exec true"] = milliseconds(bench.execs(runtime, 3 * rounds))
    rows["kill to deleted"] = milliseconds(bench.kills(runtime, rounds))
    rows.update({f"CRI pod: {what}": value for what, value in lives(bench.pod, runtime, rounds).items()})
    return rows


def compare(title, columns):
    table(title, ["", *NAMES], [[what, *(columns[name][what] for name in NAMES)] for what in columns[NAMES[0]]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    needs_met("containerd", "ctr", "runc", "iperf3", "qemu-system-x86_64")
    with step("measuring through containerd", "see that no other test runs; tests/integration/test_cri.py shows more"):
        run(options)


def run(options):
    Bench.setUpClass()
    bench = Bench()
    try:
        bench.containerd.import_image(iperf_archive(), cri.NAMESPACE)
        bench.setUp()
        compare("Through containerd, median milliseconds", {name: measure(bench, name, options.rounds) for name in NAMES})
        rates = {name: {"stdout, MB/s": statistics.median(bench.output(name) for _ in range(3))} for name in NAMES}
        compare("Output of a container", rates)
        compare("Between two pods on one bridge", {name: bench.network(name) for name in NAMES})
        for name in NAMES:
            table(f"Memory of one sleeping container, {name}", ["process", "PSS, KiB"], bench.memory(name).items())
    finally:
        bench.doCleanups()
        Bench.doClassCleanups()


main()
