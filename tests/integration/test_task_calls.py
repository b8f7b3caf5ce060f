# SPDX-License-Identifier: Apache-2.0
"""Single calls of the Task service, answered as containerd-shim-runc-v2 answers them (KATA_RUNTIME=runc)."""
import json
import os
import pathlib
import shutil
import subprocess

import harness
import leaks
import ttrpc

SHIM = (
    pathlib.Path(harness.RUNTIME).parent / "containerd-shim-kata-v2"
    if harness.IS_KATA
    else shutil.which("containerd-shim-runc-v2")
)
TASK = "containerd.task.v2.Task"
PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process"
FAILED_PRECONDITION = 9
CREATED = 1
GO_ZERO_TIME = -62135596800
PID_MAX_LIMIT = 4194304  # of the kernel


class TaskCallsTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.messages, self.task = ttrpc.load_messages(self.world.tmp, "ttrpc", "shim")

    def begin(self, *command):
        """A container that has been created."""
        self.c = self.container(*command)
        if harness.IS_KATA:
            self.c.namespace("network")
        self.c.write()
        # As containerd does, which reads it.
        os.mkfifo(self.c.bundle / "log")
        log = os.open(self.c.bundle / "log", os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, log)
        done = self.shim("start")
        self.addCleanup(self.shim, "delete")
        self.client = ttrpc.Client(done.stdout.decode().strip().removeprefix("unix://"), self.messages)
        self.addCleanup(self.client.close)
        self.addCleanup(self.end)
        self.pid = self.call("Create", self.task.CreateTaskRequest, bundle=str(self.c.bundle)).pid

    def shim(self, action):
        flags = ["-namespace", "test", "-address", "/nowhere", "-publish-binary", "/bin/true", "-id", self.c.id]
        return subprocess.run(
            [SHIM, *flags, action], cwd=self.c.bundle, stdin=subprocess.DEVNULL, capture_output=True, check=True,
            timeout=harness.TIMEOUT, env={**os.environ, "TTRPC_ADDRESS": ""},
        )  # fmt: skip

    def end(self):
        for method, fields in (("Kill", {"signal": 9}), ("Wait", {}), ("Delete", {}), ("Shutdown", {"now": True})):
            try:
                self.call(method, **fields)
            except (ttrpc.Failure, EOFError, OSError):
                pass  # the test has done it

    def call(self, method, message=None, **fields):
        request = (message or getattr(self.task, f"{method}Request"))(id=self.c.id, **fields)
        reply = getattr(self.task, f"{method}TaskResponse", getattr(self.task, f"{method}Response", None))
        # An empty reply can be read as any message.
        return self.client.call(TASK, method, request, reply or self.messages.Response)

    def exec(self, name, *command):
        request = self.task.ExecProcessRequest(id=self.c.id, exec_id=name)
        request.spec.type_url = PROCESS
        request.spec.value = json.dumps({"args": command, "cwd": "/", "user": {"uid": 0, "gid": 0}}).encode()
        self.client.call(TASK, "Exec", request, self.messages.Response)

    def resize(self, **fields):
        self.call("ResizePty", width=80, height=24, **fields)

    def test_an_exec_that_never_ran(self):
        self.begin("sleep", "1000")
        self.call("Start")
        self.exec("added", "/bin/true")
        state = self.call("State", exec_id="added")
        self.assertEqual((state.pid, state.status), (0, CREATED))
        with self.assertRaises(ttrpc.Failure) as failure:
            self.call("Kill", exec_id="added", signal=9)
        self.assertEqual(failure.exception.code, FAILED_PRECONDITION)
        self.exec("failed", "/no/such/command")
        with self.assertRaisesRegex(ttrpc.Failure, "no such file"):
            self.call("Start", exec_id="failed")
        for name in ("added", "failed"):
            with self.subTest(name):
                gone = self.call("Delete", exec_id=name)
                self.assertEqual((gone.pid, gone.exit_status, gone.exited_at.seconds), (0, 0, GO_ZERO_TIME))
                with self.assertRaisesRegex(ttrpc.Failure, name):
                    self.call("State", exec_id=name)

    def test_the_size_of_no_terminal(self):
        self.begin("sleep", "1000")
        self.resize()
        self.call("Start")
        self.resize()
        self.exec("e", "/bin/true")
        self.resize(exec_id="e")
        self.call("Start", exec_id="e")
        self.call("Wait", exec_id="e")
        with self.assertRaisesRegex(ttrpc.Failure, "cannot resize a stopped"):
            self.resize(exec_id="e")
        self.call("Kill", signal=9)
        self.call("Wait")
        self.resize()

    def test_processes(self):
        """The container's own has the pid of State; those of a guest cannot be taken for processes of the host."""
        self.begin("sh", "-c", "sleep 1000 & sleep 1000; true")
        self.call("Start")

        def pids():
            return [process.pid for process in self.call("Pids").processes]

        harness.wait_for(lambda: len(pids()) == 3, "all are there")
        self.exec("e", "/bin/sleep", "1000")
        self.call("Start", exec_id="e")
        found = pids()
        self.assertEqual(len(set(found)), 4)
        self.assertEqual(found[0] if harness.IS_KATA else min(found), self.call("State").pid)
        if harness.IS_KATA:
            self.assertGreater(min(found[1:]), PID_MAX_LIMIT)

    def test_the_pid_is_gone_at_the_end(self):
        for moment in ("by itself", "killed", "deleted before its start"):
            with self.subTest(moment):
                self.begin(*(("true",) if moment == "by itself" else ("sleep", "1000")))
                self.assertTrue(harness.alive(self.pid))
                if moment == "deleted before its start":
                    self.assertEqual(self.call("Delete").pid, self.pid)
                else:
                    self.call("Start")
                    if moment == "killed":
                        self.call("Kill", signal=9)
                    self.assertEqual(self.call("Wait").exit_status, 0 if moment == "by itself" else 137)
                self.assertIsNone(leaks.process(self.pid))
                self.end()


if __name__ == "__main__":
    harness.main()
