# SPDX-License-Identifier: Apache-2.0
"""Somebody sets the host's clock by years while containers run."""
import subprocess
import time

import harness
from harness import Case

YEAR = 365 * 24 * 3600
# Between the moment in which the guest tells its time and the one in which the test compares.
ABOUT = 120


class ClockTest(Case):
    def setUp(self):
        super().setUp()
        right, since = time.time(), time.monotonic()
        self.addCleanup(lambda: self.set_clock(right + time.monotonic() - since))

    def set_clock(self, seconds):
        subprocess.run(["date", "-s", f"@{seconds:.0f}"], check=True, stdout=subprocess.DEVNULL)

    def test_by_years_to_both_sides(self):
        c = self.sh("trap 'exit 5' TERM; while :; do sleep 0.1; done")
        c.linux["resources"] = {"memory": {"limit": 256 << 20}}
        self.start(c)
        for years in (5, -9):
            with self.subTest(years):
                self.set_clock(time.time() + years * YEAR)
                harness.wait_for(
                    lambda: abs(int(self.assert_run(c.exec_sh("date +%s")).out) - time.time()) < ABOUT, "the guest follows"
                )
                self.assertEqual(c.state()["status"], "running")
                self.assertIn("sleep", self.assert_run(self.world.runtime("ps", c.id)).out)
                self.assert_run(self.world.runtime("update", "--memory", "300M", c.id))
                self.assert_run(self.world.runtime("pause", c.id))
                self.assert_run(self.world.runtime("resume", c.id))
                other = self.sh("date +%s; exit 3")
                result = other.run()
                self.assertEqual(result.status, 3, result)
                self.assertLess(abs(int(result.out) - time.time()), ABOUT)
        # Created before all of that.
        self.assert_run(c.kill("TERM"))
        c.wait_for("stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
