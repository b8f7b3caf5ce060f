# SPDX-License-Identifier: Apache-2.0
"""Many pods at once through containerd's CRI plugin: a host that is slow is no host whose machines are dead."""
import os
import pathlib
import tempfile

import harness
import leaks
from cri import CriCase

PODS = 20
# Seconds for all of them; it only ends what hangs. Each has seconds of work to do, on all processors of the host.
LONG = 20 * harness.TIMEOUT


class ManyPodsTest(CriCase):
    log_level = "info"

    @classmethod
    def setUpClass(cls):
        """containerd hands its environment to the shims."""
        directory = tempfile.TemporaryDirectory(prefix=leaks.TAG, dir="/var/tmp")
        cls.addClassCleanup(directory.cleanup)
        config = pathlib.Path(directory.name, "configuration.toml")
        config.write_text(pathlib.Path(harness.CONFIG).read_text() if harness.CONFIG else "")
        (config.parent / "config.d").mkdir()
        (config.parent / "config.d/50-small.toml").write_text("[hypervisor.qemu]\ndefault_memory = 256\n")
        before = os.environ.get("KATA_CONF_FILE")
        os.environ["KATA_CONF_FILE"] = str(config)
        try:
            super().setUpClass()
        finally:
            del os.environ["KATA_CONF_FILE"]
            if before is not None:
                os.environ["KATA_CONF_FILE"] = before

    def all_at_once(self, method, fields):
        calls = [self.begin_call(method, LONG, **each) for each in fields]
        return [call.result() for call in calls]

    def test_pods_at_once(self):
        """All become ready, then all are removed, and nothing is left."""
        configs = [self.pod_config(f"{self.name()}-{number}") for number in range(PODS)]
        for config in configs:
            self.place(config)
            pathlib.Path(config.log_directory).mkdir()
        started = self.all_at_once("RunPodSandbox", [{"config": c, "runtime_handler": "kata"} for c in configs])
        pods = [{"pod_sandbox_id": pod.pod_sandbox_id} for pod in started]
        self.pods = [pod["pod_sandbox_id"] for pod in pods]
        states = [answer.status.state for answer in self.all_at_once("PodSandboxStatus", pods)]
        self.assertEqual(states, [self.api.SANDBOX_READY] * PODS)
        machines = sum("qemu-system" in command for command in leaks.descendants().values())
        self.assertEqual(machines, PODS)
        self.all_at_once("StopPodSandbox", pods)
        self.all_at_once("RemovePodSandbox", pods)
        self.pods = []
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
