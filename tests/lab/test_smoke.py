# SPDX-License-Identifier: Apache-2.0
"""What must work on any host with kvm: `check`, one container, one pod, and nothing is left."""
import harness
from cri import CriCase
from harness import Case


class SmokeTest(Case):
    def test_check_finds_a_machine_with_kvm(self):
        result = self.assert_run(self.world.runtime("check"))
        self.assertRegex(result.out, r"(?m)^ok +acceleration: kvm: ")
        self.assertRegex(result.out, r"(?m)^ok +cgroups: version 2$")
        self.assertIn("This machine can run guests.", result.out)

    def test_a_container(self):
        self.assert_run(self.sh("echo out; echo err >&2; exit 7").run(), 7, "out\n", "^err$")
        self.assert_nothing_left()


class SmokePodTest(CriCase):
    def test_a_pod(self):
        container = self.start_container(self.run_pod())
        self.assert_run(self.exec_sync(container, "echo here", timeout=int(harness.TIMEOUT)), 0, "here\n")


if __name__ == "__main__":
    harness.main()
