# SPDX-License-Identifier: Apache-2.0
"""What containerd 2 and newer speak to a shim: bootstrap parameters, the Sandbox service, version 3 of Task."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import faults
import harness
import leaks
import ttrpc

SHIM = pathlib.Path(harness.RUNTIME).parent / "containerd-shim-kata-v2"
SANDBOX = "containerd.runtime.sandbox.v1.Sandbox"
TASK = "containerd.task.v3.Task"
NOT_FOUND, ALREADY_EXISTS, UNIMPLEMENTED = 5, 6, 12


class SandboxTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.messages, self.api, self.task, self.bootstrap = ttrpc.load_messages(
            self.world.tmp, "ttrpc", "sandbox", "shim", "bootstrap"
        )
        self.pod = self.container("/bin/true")
        self.pod.namespace("network")
        self.pod.write()

    def shim(self, *arguments, input=b"", environment=None):
        flags = ["-namespace", "test", "-address", "/nowhere", "-id", self.pod.id]
        done = subprocess.run(
            [SHIM, *flags, *arguments], cwd=self.pod.bundle, input=input, capture_output=True, check=True,
            timeout=harness.TIMEOUT, env={**os.environ, "TTRPC_ADDRESS": "", **(environment or {})},
        )  # fmt: skip
        return done.stdout

    def start(self, socket_dir="", environment=None):
        """The client of a shim that has been started as containerd 2.3 does it."""
        parameters = self.bootstrap.BootstrapParams(
            instance_id=self.pod.id, namespace="test", containerd_grpc_address="/nowhere", socket_dir=socket_dir
        )
        answer = json.loads(self.shim("start", input=parameters.SerializeToString(), environment=environment))
        self.assertEqual((answer["version"], answer["protocol"]), (3, "ttrpc"))
        self.addCleanup(self.shim, "delete")
        client = ttrpc.Client(answer["address"].removeprefix("unix://"), self.messages)
        self.addCleanup(client.close)
        return client

    def sandbox_call(self, client, method, name=None, **fields):
        name = name or f"{method}Request"
        request = getattr(self.api, name)(sandbox_id=fields.pop("sandbox_id", self.pod.id), **fields)
        return client.call(SANDBOX, method, request, getattr(self.api, name.replace("Request", "Response")))

    def test_answers_to_older_daemons(self):
        self.assertRegex(self.shim("start").decode(), "^unix:///run/containerd/s/[0-9a-f]{64}$")
        again = json.loads(self.shim("start", environment={"MAX_SHIM_VERSION": "2"}))
        self.assertEqual((again["version"], again["protocol"]), (2, "ttrpc"))
        self.assertEqual((self.pod.bundle / "address").read_text(), again["address"])
        pid = int((self.pod.bundle / "shim.pid").read_text())
        self.assertIn("containerd-shim-kata-v2", leaks.process(pid)[2])
        self.shim("delete")
        self.assert_nothing_left()

    def test_what_the_runtime_is(self):
        (info,) = ttrpc.load_messages(self.world.tmp, "runtime_info")
        done = subprocess.run([SHIM, "-info"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
        told = info.RuntimeInfo.FromString(done.stdout)
        version = subprocess.run([harness.RUNTIME, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertIn(told.version.version, version)
        features = subprocess.run([harness.RUNTIME, "features"], capture_output=True, check=True).stdout
        self.assertEqual(json.loads(told.features.value), json.loads(features))

    def test_another_directory_for_the_sockets(self):
        directory = tempfile.mkdtemp(prefix=leaks.TAG, dir="/run")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        for moment in ("before there is a sandbox", "hung before there is one", "in order", "killed"):
            with self.subTest(moment):
                client = self.start(directory)
                self.assertEqual(len(os.listdir(directory)), 1)
                pid = int((self.pod.bundle / "shim.pid").read_text())
                if moment == "hung before there is one":
                    os.kill(pid, signal.SIGSTOP)
                if moment in ("in order", "killed"):
                    self.sandbox_call(client, "CreateSandbox", bundle_path=str(self.pod.bundle))
                    self.sandbox_call(client, "StartSandbox")
                    refused = subprocess.run([harness.RUNTIME, "delete", "--force", self.pod.id], capture_output=True)
                    self.assertEqual(refused.returncode, 1, refused)
                    self.assertIn(b"a sandbox of containerd's", refused.stderr)
                if moment == "killed":
                    os.kill(pid, signal.SIGKILL)
                self.shim("delete")
                self.assertFalse(harness.alive(pid))
                self.assertEqual(os.listdir(directory), [])
        os.rmdir(directory)
        self.assert_nothing_left()

    def test_life_of_a_sandbox(self):
        client = self.start()
        with self.assertRaises(ttrpc.Failure) as failure:
            self.sandbox_call(client, "StartSandbox")
        self.assertEqual(failure.exception.code, NOT_FOUND)
        self.sandbox_call(client, "CreateSandbox", bundle_path=str(self.pod.bundle))
        with self.assertRaises(ttrpc.Failure) as failure:
            self.sandbox_call(client, "CreateSandbox", bundle_path=str(self.pod.bundle))
        self.assertEqual(failure.exception.code, ALREADY_EXISTS)
        started = self.sandbox_call(client, "StartSandbox")
        self.assertIn("qemu-system", leaks.process(started.pid)[2])
        self.sandbox_call(client, "PingSandbox", "PingRequest")
        self.assertEqual(self.sandbox_call(client, "Platform").platform.os, "linux")
        status = self.sandbox_call(client, "SandboxStatus", verbose=True)
        self.assertEqual((status.state, status.pid), ("SANDBOX_READY", started.pid))
        self.assertEqual(json.loads(status.info["state"])["id"], self.pod.id)
        self.assertEqual(self.sandbox_call(client, "SandboxMetrics").metrics.id, self.pod.id)

        # On record before there is a container, so that what is left of a shim that was killed can be found.
        record = pathlib.Path("/run/kata", self.pod.id, "state.json")
        harness.wait_for(lambda: json.loads(record.read_text())["status"] == "running", "the machine is on record")
        helpers = [leaks.process(helper["pid"])[2] for helper in json.loads(record.read_text())["helpers"]]
        self.assertEqual(len(helpers), 2, helpers)

        self.run_containers(client)
        self.sandbox_call(client, "PingSandbox", "PingRequest")

        self.sandbox_call(client, "StopSandbox", timeout_secs=30)
        self.assertEqual(self.sandbox_call(client, "WaitSandbox").exit_status, 0)
        self.assertIsNone(leaks.process(started.pid))
        self.assertEqual(self.sandbox_call(client, "SandboxStatus").state, "SANDBOX_NOTREADY")
        self.sandbox_call(client, "ShutdownSandbox")
        self.assertEqual(client.socket.recv(1), b"", "the shim has ended")

    def lies_to(self, kind, start=None):
        """Every call ends, and in the end nothing is left."""
        image = faults.lying_agent(self.world.tmp, kind, start)
        self.world.configure(f'[hypervisor.qemu]\ninitrd = "{image}"\n[agent.kata]\nreconnect_timeout_ms = 4000\n')
        client = self.start(environment={"KATA_CONF_FILE": str(self.world.config)})
        failed = []
        for method, name, fields in (
            ("CreateSandbox", None, {"bundle_path": str(self.pod.bundle)}),
            ("StartSandbox", None, {}),
            ("PingSandbox", "PingRequest", {}),
            ("Platform", None, {}),
            ("SandboxStatus", None, {"verbose": True}),
            ("SandboxMetrics", None, {}),
            ("StopSandbox", None, {"timeout_secs": 5}),
            ("WaitSandbox", None, {}),
        ):
            try:
                self.sandbox_call(client, method, name, **fields)
            except ttrpc.Failure as failure:
                failed.append(method)
                self.assertLess(len(str(failure)), 20000)
                self.assertNotRegex(str(failure), r"[\x00-\x08\x0b-\x1f\x7f]")
        self.assertIn("PingSandbox", failed)
        self.sandbox_call(client, "ShutdownSandbox")
        self.assertEqual(client.socket.recv(1), b"", "the shim has ended")

    def test_a_guest_that_says_nothing(self):
        self.lies_to("is silent")

    def test_a_guest_that_answers_what_nobody_asked(self):
        self.lies_to("talks nonsense", b"\0\0\0\0\0\0\0\x63\2\0")
    def test_a_pod_without_a_spec(self):
        """As containerd's `sandboxer = "shim"` makes it: an empty bundle, and the CRI's configuration as options."""
        (self.pod.bundle / "config.json").unlink()
        client = self.start()
        (messages,) = ttrpc.load_messages(self.world.tmp, "pod_config")
        request = self.api.CreateSandboxRequest(sandbox_id=self.pod.id, bundle_path=str(self.pod.bundle))
        request.options.type_url = "runtime.v1.PodSandboxConfig"
        request.options.value = messages.PodSandboxConfig(hostname="of-the-pod").SerializeToString()
        client.call(SANDBOX, "CreateSandbox", request, self.api.CreateSandboxResponse)
        self.sandbox_call(client, "StartSandbox")
        # A containerd that has been restarted looks in this way whether the sandbox is there.
        connect = self.task.ConnectRequest(id=self.pod.id)
        shim = int((self.pod.bundle / "shim.pid").read_text())
        self.assertEqual(client.call(TASK, "Connect", connect, self.task.ConnectResponse).shim_pid, shim)
        self.run_containers(client)
        self.sandbox_call(client, "ShutdownSandbox")
        self.assertEqual(client.socket.recv(1), b"", "the shim has ended")
        self.assert_nothing_left()

    def run_containers(self, client):
        """One after the other; the sandbox outlives them."""

        def call(method, container, reply=None, **fields):
            request = getattr(self.task, f"{method}Request")(id=container.id, **fields)
            return client.call(TASK, method, request, reply or getattr(self.task, f"{method}Response"))

        for status in (3, 4):
            container = self.sh(f"echo ran; exit {status}")
            container.spec["annotations"] = {
                "io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.sandbox-id": self.pod.id,
            }
            container.write()
            out = container.bundle / "out"
            request = self.task.CreateTaskRequest(
                id=container.id, bundle=str(container.bundle), stdout=f"file://{out}", stderr=f"file://{out}"
            )
            client.call(TASK, "Create", request, self.task.CreateTaskResponse)
            with self.assertRaises(ttrpc.Failure) as failure:
                call("CheckpointTask", container, self.messages.Response)
            self.assertEqual(failure.exception.code, UNIMPLEMENTED)
            call("Start", container)
            self.assertEqual(call("Wait", container).exit_status, status)
            self.assertEqual(out.read_text(), "ran\n")
            self.assertEqual(call("Delete", container).exit_status, status)

    def test_what_is_no_sandbox(self):
        client = self.start()
        for method in ("StartSandbox", "SandboxStatus", "StopSandbox"):
            with self.assertRaises(ttrpc.Failure) as failure:
                self.sandbox_call(client, method, sandbox_id="other")
            self.assertEqual(failure.exception.code, NOT_FOUND)
        with self.assertRaisesRegex(ttrpc.Failure, "no.such.bundle"):
            self.sandbox_call(client, "CreateSandbox", bundle_path="/no/such/bundle")


if __name__ == "__main__":
    harness.main()
