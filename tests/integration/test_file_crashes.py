# SPDX-License-Identifier: Apache-2.0
"""The file server, the VMM or the sandbox process ends in the middle of writing: what was synced is on the host, nothing
is torn in ways that a power cut does not know, and whoever waits is told the cause."""
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import threading

import harness
import programs
from places import Places

SOON = 60  # seconds
RECORD = 4096
WRITERS = {
    "records": ("/usr/bin/perl", "/programs/writer.pl", "/volume"),
    "delete": ("/bin/bash", "/programs/transactions.sh", "/volume/delete.db", "delete"),
    "wal": ("/bin/bash", "/programs/transactions.sh", "/volume/wal.db", "wal"),
}


class Writer:
    """A program in the container that prints the number of each thing that it has on the disk."""

    def __init__(self, container, name):
        self.name = name
        self.child = container.world.popen("exec", container.id, *WRITERS[name], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE)  # fmt: skip
        self.numbers = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.child.stdout:
            if line.endswith(b"\n"):
                self.numbers.append(int(line))

    def end(self):
        """The exec's status, once it and its output have ended."""
        status = harness.status_of(self.child.wait(SOON))
        self.reader.join(SOON)
        self.errors = self.child.stderr.read().decode(errors="replace")
        self.child.stdout.close()
        self.child.stderr.close()
        return status


class CrashCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.places = Places(self.world.tmp)
        self.addCleanup(self.places.close)
        self.addCleanup(self.world.close_containers)
        self.root = programs.mounted_rootfs(self.places)
        self.volume = self.world.tmp / "volume"
        self.volume.mkdir()

    def debian(self, *command):
        """A container of the root file system "programs"."""
        c = self.container(*command, image=None)
        c.spec["root"]["path"] = str(self.root)
        c.process["env"] = ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"]
        programs.give(c, *programs.CAPABILITIES)
        c.mount(programs.SCRIPTS, "/programs", "bind", "ro")
        c.mount(self.volume, "/volume", "bind")
        return c

    def helper(self, c, *names):
        for helper in c.record()["helpers"]:
            if pathlib.Path(f"/proc/{helper['pid']}/comm").read_text().strip().startswith(names):
                return helper["pid"]
        raise AssertionError(f"none of {names} in {c.record()}")

    def check_records(self, synced):
        log = (self.volume / "log").read_bytes()
        records = [log[at : at + RECORD] for at in range(0, len(log), RECORD)]
        for number, record in enumerate(records, 1):
            whole = b"%07d %s\n" % (number, b"x" * 4087)
            if number == len(records) and number > synced:
                self.assertTrue(whole.startswith(record), "the last one, that nobody has synced, is of what was written")
            else:
                self.assertEqual(record, whole, f"record {number}")
        self.assertGreaterEqual(len(records), synced)
        state = (self.volume / "state").read_bytes()
        self.assertRegex(state, rb"\A\d{7} x{4087}\n\Z", "one file or the other, and all of it")
        self.assertIn(int(state[:7]), range(synced, len(records) + 1))

    def check_database(self, path, committed):
        with sqlite3.connect(path) as database:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            rows, most = database.execute("SELECT count(*), max(number) FROM entry").fetchone()
        database.close()
        self.assertEqual(rows, most, "a transaction of which only a part is there")
        self.assertGreaterEqual(rows, committed)


@harness.kata_only
class KilledTest(CrashCase):
    def killed(self, victim, cause):
        """victim(container): the pid of what ends while all writers write. cause: what those who wait are told."""
        c = self.debian("/bin/bash", "-c", "mkfifo /run/end && read <>/run/end")
        foreground = c.popen_run("--keep", stderr=subprocess.PIPE)
        harness.wait_for((self.root / "run/end").exists, "it runs")
        writers = [Writer(c, name) for name in WRITERS]
        harness.wait_for(lambda: all(len(w.numbers) >= 10 for w in writers), "all have written", 3 * harness.TIMEOUT)
        os.kill(victim(c), signal.SIGKILL)
        _, err = foreground.communicate(timeout=SOON)
        self.assertEqual([w.end() for w in writers], [137] * len(writers), [w.errors for w in writers])
        self.assertEqual(harness.status_of(foreground.returncode), 137)
        self.assertRegex(err.decode(), cause)
        harness.wait_for(lambda: c.status() == "stopped", "it is stopped", SOON)
        self.assert_run(c.delete())
        synced = {w.name: len(w.numbers) for w in writers}
        self.world.log.append(f"synced: {synced}")
        self.check_records(synced["records"])
        # One of them as the next container finds it, the other one as somebody on the host does.
        self.check_again(synced["wal"])
        for name in ("delete", "wal"):
            self.check_database(self.volume / f"{name}.db", synced[name])

    def check_again(self, committed):
        script = 'sqlite3 /volume/wal.db "PRAGMA integrity_check; SELECT count(*) FROM entry; INSERT INTO entry VALUES (0, 0)"'
        c = self.debian("/bin/bash", "-c", script)
        answer, rows = self.assert_run(c.run()).out.split()
        self.assertEqual(answer, "ok")
        self.assertGreaterEqual(int(rows), committed)
        with sqlite3.connect(self.volume / "wal.db") as database:
            database.execute("DELETE FROM entry WHERE number = 0")
        database.close()

    def test_the_file_server(self):
        self.killed(lambda c: self.helper(c, "kata-fsd", "virtiofsd"), "kata-fsd|virtiofsd")

    def test_the_vmm(self):
        self.killed(lambda c: self.helper(c, "qemu"), "(?i)qemu.*(signal 9|SIGKILL|killed)")

    def test_the_sandbox_process(self):
        self.killed(lambda c: c.record()["sandbox"]["pid"], "sandbox process")


class FullTest(CrashCase):
    def test_a_database_on_a_full_disk(self):
        """It is told so at the transaction for which there is no room, and has all those before."""
        self.volume = self.places.tmpfs("full", "1m")
        for name in ("delete", "wal"):
            with self.subTest(name):
                c = self.debian(*WRITERS[name])
                result = c.run()
                self.assertNotEqual(result.status, 0)
                self.assertRegex(result.err, "disk is full|disk I/O error")
                committed = len(re.findall(r"^\d+$", result.out, re.MULTILINE))
                self.assertGreater(committed, 3)
                self.check_database(self.volume / f"{name}.db", committed)
                for path in self.volume.iterdir():
                    path.unlink()


if __name__ == "__main__":
    harness.main()
