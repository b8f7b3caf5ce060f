#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs in the lab's machine, for run.sh: inside.py RESULTS TEST...

One line for each test as it ends. RESULTS gets results.jsonl (the machine, then each test) and the output of each file
of tests. After each file the machine is compared with what it was at the start. Exits with 1 unless all is well.
inside.py --file RESULTS TEST is one file of tests, in a process of its own."""
import importlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
PLACES = [TOP / "tests/lab", TOP / "tests/integration"]
sys.path[:0] = map(str, PLACES)

import leaks  # noqa: E402

FILE_SECONDS = int(os.environ.get("LAB_FILE_TIMEOUT", 3600))
PACKAGES = """systemd qemu-system-x86 virtiofsd containerd docker.io podman netavark conmon runc crun nftables""".split()
# What comes and goes in any such machine, whoever uses it.
RESTLESS = re.compile(r"systemd|\(sd-|sshd|udev|agetty|dbus|^\(|session-\d+\.scope|user@0\.service|user-runtime-dir@0|run-netns.mount|/run/netns |netavark-dhcp-proxy"
                      # Podman's and Docker's own.
                      r"|^machine\.slice |/(machine\.slice|libpod_parent|libpod_parent/conmon|docker)$|table inet netavark|/intermediate-mountpoint-[\d.]+$")
# Directories that the first sandbox or container of an engine makes, and that stay.
LASTING = {f"/run/{name}" for name in "kata kata-containers runc crun containerd containers libpod netns netavark cni".split()} | {"/dev/shm/libpod_lock"}
# Those in which containerd has the containers of its namespaces; runc leaves them, too.
NAMESPACES = {f"/sys/fs/cgroup/{name}" for name in ("default", "k8s.io")}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def machine():
    """What the results are of."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE))
    packages = {}
    for name in PACKAGES:
        if version := run("dpkg-query", "-W", "-f", "${source:Upstream-Version}", name):
            packages[name] = version
    return {
        "host": f"{release['NAME']} {release.get('VERSION_ID', release.get('VERSION_CODENAME', ''))}",
        "kernel": os.uname().release,
        "cgroups": run("stat", "-f", "-c", "%T", "/sys/fs/cgroup").strip(),
        "processors": os.cpu_count(),
        "kata": run(TOP / "build/bin/kata-runtime", "--version").splitlines()[0],
        "check": run(TOP / "build/bin/kata-runtime", "check").splitlines(),
        "packages": packages,
    }


def state():
    """Everything of the kinds that could be left over, of whoever left it: kind -> set."""
    own = {os.getpid()}
    everyone = {int(entry): leaks.process(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    units = run("systemctl", "list-units", "--all", "--plain", "--no-legend", "--type=service,scope,slice,mount")
    directories = {str(pathlib.Path(top)) for top, _, _ in os.walk("/sys/fs/cgroup")}
    found = {
        "processes": {f"{pid} {entry[2]}" for pid, entry in everyone.items() if entry and pid not in own and entry[0] != 2},
        "mounts": {" ".join(line.split()[3:]) for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()},
        "cgroups": {directory for directory in directories - NAMESPACES if not directory.endswith(".service")},
        "units of systemd": {" ".join(line.split()[:3]) for line in units.splitlines()},
        "interfaces": set(os.listdir("/sys/class/net")),
        "rules of nftables": set(run("nft", "list", "tables").splitlines()),
        "loop devices": set(run("losetup", "-n", "-O", "NAME,BACK-FILE").splitlines()),
    }
    for directory in ("/run", "/run/kata", "/run/netns", "/run/vc", "/dev/shm", "/tmp", "/var/tmp"):
        found[f"files of {directory}"] = {str(path) for path in pathlib.Path(directory).glob("*")} - LASTING
    return {kind: {item for item in items if not RESTLESS.search(item)} for kind, items in found.items()}


def left_over(before):
    """Lines; empty when nothing is. What has been told to end may take a moment."""
    deadline = time.monotonic() + 60
    while True:
        after = state()
        lines = [f"{kind}: {item}" for kind, items in after.items() for item in sorted(items - before[kind])]
        if not lines or time.monotonic() > deadline:
            return lines
        time.sleep(1)


class Recorder(unittest.TextTestResult):
    """Writes a line of results.jsonl for each test, and one that a person reads."""

    file = None  # results.jsonl
    shown = None  # where a person looks
    module = ""

    def startTest(self, test):
        self.began, self.known = time.monotonic(), self._bad()
        super().startTest(test)

    def _bad(self):
        return len(self.failures) + len(self.errors) + len(self.unexpectedSuccesses)

    def _write(self, name, result, seconds, why=""):
        entry = {"file": self.module, "test": name, "result": result, "seconds": round(seconds, 1), "why": why}
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()
        print(f"{result:8} {seconds:6.0f} s  {self.module}.{name}{'  ' + why if why else ''}", file=self.shown, flush=True)

    def stopTest(self, test):
        super().stopTest(test)
        name = ".".join(test.id().split(".")[-2:])
        bad = self._bad() > self.known
        skipped = any(test is one for one, _ in self.skipped)
        result = "FAILED" if bad else "skipped" if skipped else "passed"
        self._write(name, result, time.monotonic() - self.began, self._reason() if bad else "")

    def _reason(self):
        """The last line of the traceback that says something."""
        text = (self.failures + self.errors)[-1][1] if self.failures or self.errors else ""
        lines = [line for line in text.splitlines() if re.match(r"\w+(\.\w+)*(Error|Expired|Exception)\b", line)]
        return (lines or [""])[-1][:200]

    def addError(self, test, err):
        super().addError(test, err)
        # The preparation of a class or a module, which is no test and fails for all of its tests.
        if not isinstance(test, unittest.TestCase):
            self._write(str(test), "FAILED", 0, self._reason())


def run_file(results, test):
    """One file of tests in this process; its output has been redirected by the caller, who reads descriptor 3."""
    module, _, names = test.partition(".")
    Recorder.module = module.removeprefix("test_")
    Recorder.file = open(results / "results.jsonl", "a", encoding="utf-8")
    Recorder.shown = os.fdopen(3, "w")
    os.set_inheritable(3, False)
    loaded = importlib.import_module(module)
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromName(names, loaded) if names else loader.loadTestsFromModule(loaded)
    outcome = unittest.TextTestRunner(verbosity=2, resultclass=Recorder).run(suite)
    return 0 if outcome.wasSuccessful() and outcome.testsRun else 1


def end_all():
    """What a file of tests has left running: they are our descendants, since we are a subreaper."""
    deadline = time.monotonic() + 60  # one that cannot be killed is told as left over
    while (found := leaks.descendants()) and time.monotonic() < deadline:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)


def name_of(test):
    """"exec.FlagsTest", "test_exec.py" and "test_exec" all name test_exec."""
    module, _, names = test.removesuffix(".py").partition(".")
    module = "test_" + module.removeprefix("test_")
    if not any((place / f"{module}.py").is_file() for place in PLACES):
        sys.exit(f"no file of tests is called {module}.py")
    return f"{module}.{names}" if names else module


def record(results, entry):
    with open(results / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def told_of_a_failure(results, since):
    """Whether a file of tests has written a line that says FAILED, behind so many bytes."""
    with open(results / "results.jsonl", encoding="utf-8") as file:
        file.seek(since)
        return any(json.loads(line).get("result") == "FAILED" for line in file)


def main(results, tests):
    tests = [name_of(test) for test in tests]
    results.mkdir(parents=True, exist_ok=True)
    leaks.become_subreaper()
    os.dup2(1, 3)
    record(results, {"machine": machine()})
    before, good = state(), True
    for test in tests:
        began, told = time.monotonic(), (results / "results.jsonl").stat().st_size
        with open(results / f"{test}.log", "w", encoding="utf-8") as log:
            child = subprocess.Popen(
                [sys.executable, "-u", __file__, "--file", str(results), test], stdout=log, stderr=log, pass_fds=[3]
            )
            why = ""
            try:
                if status := child.wait(FILE_SECONDS):
                    good = False
                    if not told_of_a_failure(results, told):
                        why = f"ended with {status} before a test could say why: see {test}.log"
            except subprocess.TimeoutExpired:
                why = f"did not end in {FILE_SECONDS} s"
            end_all()
        lines = left_over(before)
        if lines:
            why = "left over: " + "; ".join(lines)
            before = state()  # told once
        seconds = time.monotonic() - began
        if why:
            good = False
            print(f"FAILED   {seconds:6.0f} s  {test}: {why}", flush=True)
        record(results, {"file": test.removeprefix("test_"), "whole": "FAILED" if why else "passed", "why": why,
                         "seconds": round(seconds)})  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1] == "--file":
        sys.exit(run_file(pathlib.Path(sys.argv[2]), sys.argv[3]))
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
