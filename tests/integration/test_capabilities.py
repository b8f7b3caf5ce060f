# SPDX-License-Identifier: Apache-2.0
"""The five sets of capabilities, as the kernel of the container shows them."""
import harness
from harness import Case

NUMBERS = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_SETUID": 7, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21,
           "CAP_MKNOD": 27, "CAP_AUDIT_WRITE": 29}  # fmt: skip
SHOW = "grep ^Cap /proc/self/status"


def bits(names):
    return sum(1 << NUMBERS[name] for name in names)


class CapabilitiesTest(Case):
    def sets(self, result):
        return {line.split()[0]: int(line.split()[1], 16) for line in self.assert_run(result).out.splitlines()}

    def test_all_five_sets(self):
        c = self.container("/bin/grep", "^Cap", "/proc/self/status")
        c.process["capabilities"] = {
            "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW", "CAP_SYS_ADMIN"],
            "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
            "effective": ["CAP_CHOWN", "CAP_KILL"],
            "inheritable": ["CAP_KILL"],
            "ambient": ["CAP_KILL"],
        }
        c.process["user"] = {"uid": 1000, "gid": 1000}
        # execve(2) of a user without file capabilities: what is ambient is what remains.
        self.assertEqual(self.sets(c.run()), {
            "CapBnd:": bits(["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW", "CAP_SYS_ADMIN"]),
            "CapPrm:": bits(["CAP_KILL"]),
            "CapEff:": bits(["CAP_KILL"]),
            "CapInh:": bits(["CAP_KILL"]),
            "CapAmb:": bits(["CAP_KILL"]),
        })  # fmt: skip

    def test_root_gets_its_bounding_set_and_no_more(self):
        c = self.container("/bin/grep", "^Cap", "/proc/self/status")
        names = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
        c.process["capabilities"] = {kind: names for kind in ("bounding", "permitted", "effective")}
        self.assertEqual(self.sets(c.run()), {
            "CapBnd:": bits(names), "CapPrm:": bits(names), "CapEff:": bits(names), "CapInh:": 0, "CapAmb:": 0,
        })  # fmt: skip

    def test_none_at_all(self):
        c = self.sh(f"{SHOW}; chown 1 /tmp 2>/dev/null || echo denied; hostname x 2>/dev/null || echo denied")
        c.process["capabilities"] = {}
        result = self.assert_run(c.run())
        self.assertEqual(result.out.count("0000000000000000"), 5, result)
        self.assertEqual(result.out.count("denied"), 2, result)

    @harness.kata_only
    def test_one_that_the_host_lacks(self):
        """The guest has them all, whatever this host was left with."""
        c = self.container("/bin/grep", "CapEff", "/proc/self/status")
        c.process["capabilities"] = {kind: ["CAP_SYS_RESOURCE"] for kind in ("bounding", "permitted", "effective")}
        self.assert_run(c.run(), 0, "CapEff:\t%016x\n" % (1 << 24))

    def test_unknown_names_are_no_obstacle(self):
        """Engines that are newer than the kernel ask for what it does not know; runc warns, and so is it here."""
        c = self.container("/bin/grep", "CapBnd", "/proc/self/status")
        c.process["capabilities"] = {"bounding": ["CAP_KILL", "CAP_OF_TOMORROW"]}
        result = self.assert_run(c.run(), 0, "CapBnd:\t%016x\n" % (1 << 5))
        self.assertIn("CAP_OF_TOMORROW", result.err)


if __name__ == "__main__":
    harness.main()
