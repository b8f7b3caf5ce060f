# SPDX-License-Identifier: Apache-2.0
"""Many containers, one after the other and side by side."""
import harness
from harness import Case


class StressTest(Case):
    def test_50_starts_and_deletes_in_a_row(self):
        c = self.sh("echo number $NUMBER; exit $NUMBER")
        for number in range(50):
            c.process["env"] = ["PATH=/bin", f"NUMBER={number}"]
            self.assert_run(c.run(), number, f"number {number}\n")
            if number % 10 == 9:
                self.assert_nothing_left(c)
        self.assert_nothing_left()

    def test_8_side_by_side(self):
        containers = [self.sh(f"echo {number} >/ready; cat /ready; exec sleep 1000") for number in range(8)]
        creating = []
        for c in containers:
            c.write()
            log = open(c.bundle / "log", "wb")
            self.addCleanup(log.close)
            creating.append(self.world.popen("create", "--bundle", c.bundle, c.id, stdout=log, stderr=log))
        for c, child in zip(containers, creating):
            self.assertEqual(child.wait(harness.TIMEOUT), 0, (c.bundle / "log").read_text())
        for c in containers:
            self.assert_run(c.start())
        for number, c in enumerate(containers):
            harness.wait_for(lambda: (c.bundle / "log").read_text() == f"{number}\n", "its output")
            self.assertEqual(c.status(), "running")
        self.assertEqual(len(self.world.runtime("list", "--quiet").out.split()), 8)
        execs = [self.world.popen("exec", c.id, "/bin/sh", "-c", f"exit {number}") for number, c in enumerate(containers)]
        self.assertEqual([child.wait(harness.TIMEOUT) for child in execs], list(range(8)))
        deleting = [self.world.popen("delete", "--force", c.id) for c in containers]
        self.assertEqual([child.wait(harness.TIMEOUT) for child in deleting], [0] * 8)
        self.assert_nothing_left()

    @harness.kata_only
    def test_failing_starts_in_a_row(self):
        """A loop of crashes must not eat the host."""
        self.world.configure('[hypervisor.qemu]\npath = "/bin/false"\n')
        c = self.container("/bin/true")
        for _ in range(30):
            self.assertEqual(c.run().status, 1)
        self.assert_nothing_left()

    def test_a_container_that_starts_again_under_the_same_id(self):
        c = self.sh("exit 3")
        for _ in range(3):
            self.assert_run(c.create())
            self.assert_run(c.start())
            c.wait_for("stopped")
            self.assert_run(c.delete())
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
