# SPDX-License-Identifier: Apache-2.0
"""`events`: what runc prints, of the guest's container."""
import json

import harness

MIB = 1 << 20
# Takes 200 MiB, and is killed for it.
EAT = "head -c 200000000 /dev/zero | tail -c 200000000 | wc -c"


@harness.kata_only
class EventsTest(harness.SharedCase):
    @classmethod
    def prepare(cls, c):
        c.linux["resources"].update(memory={"limit": 64 * MIB, "swap": 64 * MIB}, pids={"limit": 20})

    def events(self, *arguments):
        """The running verb, which has begun to listen."""
        verb = self.shared_world.popen("--debug", "events", *arguments, stdout=-1, stderr=-1, text=True)
        for end in (verb.stdout.close, verb.stderr.close, verb.wait, verb.kill):
            self.addCleanup(end)
        while "asking the sandbox process: AwaitOom" not in (line := verb.stderr.readline()):
            self.assertTrue(line, "it has ended")
        return verb

    def test_stats(self):
        shown = self.shared_world.runtime("events", "--stats", self.shared.id)
        self.assert_run(shown, 0)
        event = json.loads(shown.out)
        self.assertEqual([event["type"], event["id"]], ["stats", self.shared.id])
        data = event["data"]
        self.assertEqual(data["memory"]["usage"]["limit"], 64 * MIB)
        self.assertGreater(data["memory"]["usage"]["usage"], 0)
        self.assertGreater(data["cpu"]["usage"]["total"], 0)
        self.assertEqual(data["pids"], {"current": 1, "limit": 20})
        self.assertIn("anon", data["memory"]["raw"])

    def test_one_after_another(self):
        verb = self.events("--interval", "50ms", self.shared.id)
        totals = [json.loads(verb.stdout.readline())["data"]["cpu"]["usage"]["total"] for _ in range(3)]
        self.assertEqual(totals, sorted(totals))

    def test_oom(self):
        """Told at once, not with the next statistics; what was before is not told."""
        verb = self.events("--interval", "24h", self.shared.id)
        killed = self.shared.exec_sh(EAT)
        self.assertNotIn("200000000", killed.out)
        self.assertEqual(verb.stdout.readline(), '{"type":"oom","id":"%s"}\n' % self.shared.id)
        later = self.events("--interval", "10ms", self.shared.id)
        self.assertEqual([json.loads(later.stdout.readline())["type"] for _ in range(2)], ["stats"] * 2)

    def test_until_the_end(self):
        c = self.started("/bin/sleep", "1000")
        self.assert_run(self.world.runtime("events", "--interval", "0", c.id), 1, err="greater than 0")
        self.assert_run(self.world.runtime("events", "--interval", "5", c.id), 1, err="5.* is no duration")
        verbs = [self.world.popen("events", "--interval", interval, c.id, stdout=-1, stderr=-1) for interval in ("24h", "10ms")]
        verbs[1].stdout.readline()
        c.kill()
        for verb in verbs:
            self.assertEqual((verb.communicate(timeout=harness.TIMEOUT)[1], verb.returncode), (b"", 0))
        self.assert_run(self.world.runtime("events", c.id), 1, err=f"container with id {c.id} is not running")
        self.assert_run(c.delete())
        self.assert_run(self.world.runtime("events", c.id), 1, err="does not exist")


if __name__ == "__main__":
    harness.main()
