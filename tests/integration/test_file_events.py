# SPDX-License-Identifier: Apache-2.0
"""What the host does to the files of a volume is seen by those who watch them in the container (inotify), and what the
container does itself is seen once. The same with runc. tests/files/watcher.cpp is the program that watches."""
import os
import pathlib
import shutil
import subprocess
import threading

import harness
from harness import SharedCase

PROGRAM = harness.REPOSITORY / "build/tests/files-watcher"


class Watching:
    """The program in the container, and its lines."""

    def __init__(self, case, *arguments):
        self.case = case
        self.child = case.shared_world.popen(
            "exec", case.shared.id, "/watcher", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        case.addCleanup(self.child.stdout.close)
        case.addCleanup(self.child.wait)
        case.addCleanup(self.child.stdin.close)
        limit = threading.Timer(3 * harness.TIMEOUT, self.child.kill)  # it only ends what hangs
        case.addCleanup(limit.cancel)
        limit.start()
        ready = self.line().split()
        case.assertEqual(ready[:1], ["ready"])
        self.pid = ready[1]

    def line(self):
        line = self.child.stdout.readline().decode()
        self.case.assertTrue(line.endswith("\n"), "it has ended")
        return line[:-1]

    def until(self, last):
        """The lines up to and with this one."""
        lines = [self.line()]
        while lines[-1] != last:
            lines.append(self.line())
        return lines


class EventsTest(SharedCase):
    @classmethod
    def prepare(cls, container):
        cls.host = cls.shared_world.tmp / "volume"
        cls.host.mkdir()
        container.mount(cls.host, "/volume", "bind")
        container.mount(cls.host, "/again", "bind")
        cls.memory = cls.shared_world.tmp / "memory"
        cls.memory.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "kata-test", cls.memory], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", cls.memory], check=True)
        container.mount(cls.memory, "/memory", "bind", "ro")
        program = cls.shared_world.tmp / "watcher"
        shutil.copy(PROGRAM, program)
        container.mount(program, "/watcher", "bind", "ro")

    def setUp(self):
        super().setUp()
        self.directory = self.host / self._testMethodName
        self.directory.mkdir()
        self.path = f"/volume/{self._testMethodName}"

    def inside(self, script):
        return self.assert_run(self.shared.exec_sh(script))

    def test_what_the_host_does(self):
        seen = Watching(self, self.path)
        file = self.directory / "file"
        file.write_text("text")
        self.assertEqual(
            seen.until(f"{self.path}: close-write file"), [f"{self.path}: {event} file" for event in ("create", "modify", "close-write")]
        )
        file.chmod(0o600)
        self.assertEqual(seen.until(f"{self.path}: attrib file"), [f"{self.path}: attrib file"])
        file.rename(self.directory / "renamed")
        self.assertEqual(
            seen.until(f"{self.path}: moved-to renamed #1"),
            [f"{self.path}: moved-from file #1", f"{self.path}: moved-to renamed #1"],
        )
        (self.directory / "inner").mkdir()
        self.assertEqual(seen.until(f"{self.path}: create+directory inner"), [f"{self.path}: create+directory inner"])
        (self.directory / "renamed").rename(self.host / "elsewhere")
        self.assertEqual(seen.until(f"{self.path}: moved-from renamed #2"), [f"{self.path}: moved-from renamed #2"])
        (self.host / "elsewhere").rename(self.directory / "inner/back")
        (self.directory / "inner/back").unlink()
        (self.directory / "inner").rmdir()
        self.assertEqual(seen.until(f"{self.path}: delete+directory inner"), [f"{self.path}: delete+directory inner"])
        self.directory.rmdir()
        self.assertEqual(seen.until(f"{self.path}: ignored"), [f"{self.path}: delete-self", f"{self.path}: ignored"])

    def test_a_file(self):
        file = self.directory / "file"
        file.write_text("old")
        seen = Watching(self, f"{self.path}/file")
        with file.open("a") as opened:
            opened.write("er")
        self.assertEqual(
            seen.until(f"{self.path}/file: close-write"), [f"{self.path}/file: modify", f"{self.path}/file: close-write"]
        )
        (self.directory / "new").write_text("new")
        (self.directory / "new").rename(file)
        self.assertEqual(
            seen.until(f"{self.path}/file: ignored"),
            [f"{self.path}/file: {event}" for event in ("attrib", "delete-self", "ignored")],
        )
        self.assertEqual(self.inside(f"cat {self.path}/file").out, "new")

    @staticmethod
    def publish(directory, text):
        """As a kubelet does new content."""
        data = directory / f"..{text}"
        data.mkdir()
        (data / "key").write_text(text)
        (directory / "..data_tmp").symlink_to(data.name)
        (directory / "..data_tmp").rename(directory / "..data")

    def published(self, directory, path):
        """Who hears of it finds the new content, although it has looked at the old one just before."""
        self.publish(directory, "1")
        (directory / "key").symlink_to("..data/key")
        seen = Watching(self, "--read", f"{path}/key", path)
        self.assertEqual(seen.line(), "1")
        for version in "2345678":
            self.publish(directory, version)
            move = int(version) - 1
            self.assertEqual(
                seen.until(f"{path}: moved-to ..data #{move}"),
                [
                    f"{path}: create+directory ..{version}",
                    f"{path}: create ..data_tmp",
                    f"{path}: moved-from ..data_tmp #{move}",
                    f"{path}: moved-to ..data #{move}",
                ],
            )
            self.assertEqual(seen.line(), version)

    def test_a_config_map(self):
        self.published(self.directory, self.path)

    def test_a_secret(self):
        """In memory, and the container may only read it."""
        self.published(self.memory, "/memory")

    def test_a_file_that_is_replaced(self):
        """As an editor saves it: the name is the new file's at once."""
        file = self.directory / "file"
        file.write_text("0")
        seen = Watching(self, "--read", f"{self.path}/file", self.path)
        self.assertEqual(seen.line(), "0")
        for number in range(1, 10):
            (self.directory / "new").write_text(str(number))
            seen.until(f"{self.path}: close-write new")
            self.assertEqual(seen.line(), str(number - 1))
            (self.directory / "new").rename(file)
            seen.until(f"{self.path}: moved-to file #{number}")
            self.assertEqual(seen.line(), str(number))

    def test_content_that_is_changed(self):
        """In place, and as often as a clock of the host's file system does not see."""
        file = self.directory / "file"
        file.write_text("0")
        seen = Watching(self, "--read", f"{self.path}/file", f"{self.path}/file")
        self.assertEqual(seen.line(), "0")
        for number in range(1, 10):
            with file.open("r+") as opened:
                opened.write(str(number))
            seen.until(f"{self.path}/file: close-write")
            self.assertEqual(seen.line(), str(number))

    def test_what_the_container_does(self):
        """Each event once, by whatever mount it is done."""
        seen = Watching(self, self.path)
        again = f"/again/{self._testMethodName}"
        self.inside(f"echo text >{self.path}/one; echo more >>{again}/one; chmod 600 {again}/one; mv {self.path}/one {self.path}/two;"
                    f"mkdir {again}/inner; rmdir {again}/inner; rm {again}/two")  # fmt: skip
        (self.directory / "last").touch()
        events = """create one, modify one, close-write one, modify one, close-write one, attrib one, moved-from one #1,
            moved-to two #1, create+directory inner, delete+directory inner, delete two, create last""".split(",")
        self.assertEqual(
            seen.until(f"{self.path}: create last"), [f"{self.path}: {event.strip()}" for event in events]
        )

    def test_by_both_mounts(self):
        seen = Watching(self, self.path, f"/again/{self._testMethodName}")
        (self.directory / "file").touch()
        seen.until(f"/again/{self._testMethodName}: close-write file")

    def test_nobody_listens(self):
        """Too many events: that some are lost is told, and those that come later are heard."""
        seen = Watching(self, self.path)
        self.inside(f"kill -STOP {seen.pid}")
        queue = pathlib.Path("/proc/sys/fs/inotify/max_queued_events").read_text()
        for number in range(2 * int(queue)):
            os.mknod(self.directory / f"n{number}")
        self.inside(f"kill -CONT {seen.pid}")
        seen.until("all: overflow")
        (self.directory / "last").touch()
        seen.until(f"{self.path}: create last")

    def test_many_watchers(self):
        """Those that have ended leave nothing: the next one hears."""
        for number in range(20):
            seen = Watching(self, self.path)
            (self.directory / f"file{number}").touch()
            seen.until(f"{self.path}: create file{number}")
            seen.child.stdin.close()
            self.assertEqual(seen.child.wait(harness.TIMEOUT), 0)


if __name__ == "__main__":
    harness.main()
