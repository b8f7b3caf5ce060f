# SPDX-License-Identifier: Apache-2.0
"""Whatever breaks: an end in seconds, a clear error, a true status, and a delete that leaves nothing."""
import json
import os
import pathlib
import signal
import subprocess

import faults
import harness
from harness import Case

SOON = 60  # seconds: "ends in seconds", on a machine that is busy


class FaultCase(Case):
    def helper(self, c, name):
        for helper in c.record()["helpers"]:
            if pathlib.Path(f"/proc/{helper['pid']}/comm").read_text().startswith(name):
                return helper["pid"]
        raise AssertionError(f"no {name} in {c.record()}")

    def victims(self, c):
        record = c.record()
        return {"sandbox process": record["sandbox"]["pid"], "stand-in": record["standin"]["pid"],
                "VMM": self.helper(c, "qemu"), "file server": self.helper(c, "kata-fsd")}  # fmt: skip

    def assert_dead(self, pids):
        for pid in pids:
            harness.wait_for(lambda: not harness.alive(pid), f"{pid} has ended: {harness.leaks.process(pid)}", SOON)


@harness.kata_only
class KilledTest(FaultCase):
    def killed(self, victim):
        """One part is killed under a container in the foreground, with an exec; returns what run said."""
        c = self.sh("touch /ready; sleep 1000")
        child = c.popen_run("--keep", stderr=subprocess.PIPE)
        harness.wait_for((c.rootfs / "ready").exists, "it runs")
        exec_child = self.world.popen("exec", c.id, "/bin/sh", "-c", "touch /exec; sleep 1000", stderr=subprocess.PIPE)
        harness.wait_for((c.rootfs / "exec").exists, "the exec runs")
        victims = self.victims(c)
        os.kill(victims[victim], signal.SIGKILL)
        _, err = child.communicate(timeout=SOON)
        _, exec_err = exec_child.communicate(timeout=SOON)
        self.world.log.append(f"run: {child.returncode} {err}\nexec: {exec_child.returncode} {exec_err}")
        self.assertEqual((harness.status_of(child.returncode), harness.status_of(exec_child.returncode)), (137, 137))
        harness.wait_for(lambda: c.status() == "stopped", "it is stopped", SOON)
        self.assert_dead(victims.values())
        self.assert_run(c.exec("/bin/true", timeout=SOON), 255, err="cannot exec in a stopped container")
        self.assert_run(c.delete())
        self.assert_nothing_left()
        return err.decode()

    def test_the_vmm(self):
        self.assertRegex(self.killed("VMM"), "(?i)signal 9|SIGKILL|killed")

    def test_the_sandbox_process(self):
        self.assertRegex(self.killed("sandbox process"), "sandbox")

    def test_the_file_server(self):
        self.assertRegex(self.killed("file server"), "kata-fsd was killed by signal 9")

    def test_the_stand_in(self):
        self.killed("stand-in")

    def test_all_at_once(self):
        c = self.started()
        victims = self.victims(c)
        for pid in victims.values():
            os.kill(pid, signal.SIGKILL)
        self.assert_dead(victims.values())
        self.assertEqual(c.state()["status"], "stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()


@harness.kata_only
class CommandLineKilledTest(FaultCase):
    def create_until(self, c, condition, what):
        c.write()
        child = self.world.popen("create", "--bundle", c.bundle, c.id, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for(lambda: condition() or child.poll() is not None, what)
        return child

    def test_create_is_killed_at_several_moments(self):
        for name in ("", "task.sock", "state.json"):
            c = self.container("/bin/sleep", "1000")
            child = self.create_until(c, (self.world.root / c.id / name).exists, name)
            child.kill()
            child.wait()
            result = self.world.runtime("delete", "--force", c.id, timeout=SOON)
            self.assertEqual(result.status, 0, result)
            self.assert_nothing_left(c)
            self.assertTrue((c.rootfs / "bin/busybox").exists())

    def stand_in(self, c):
        for directory in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (directory / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"kata-standin") and c.id.encode() in words:
                return int(directory.name)
        return None

    def test_the_stand_in_is_killed_during_create(self):
        c = self.container("/bin/sleep", "1000")
        c.write()
        child = self.world.popen("create", "--bundle", c.bundle, c.id, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        harness.wait_for(lambda: self.stand_in(c) is not None, "there is a stand-in")
        os.kill(self.stand_in(c), signal.SIGKILL)
        _, err = child.communicate(timeout=SOON)
        self.assertNotEqual(child.returncode, 0)
        self.assertIn(b"stand-in", err)
        self.assert_nothing_left(c)

    def test_create_is_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            c = self.container("/bin/sleep", "1000")
            child = self.create_until(c, (self.world.root / c.id / "state.json").exists, "it has begun")
            child.send_signal(number)
            self.assertNotEqual(child.wait(SOON), 0)
            self.assert_nothing_left(c)

    def test_run_is_interrupted(self):
        """While its machine boots: as if the signal had ended it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            c = self.sh("sleep 1000")
            c.write()
            child = c.popen_run(stderr=subprocess.PIPE)
            harness.wait_for((self.world.root / c.id / "state.json").exists, "it has begun")
            child.send_signal(number)
            _, err = child.communicate(timeout=SOON)
            self.assertEqual(child.returncode, 128 + number, err)
            self.assertIn(b"interrupted by signal %d" % number, err)
            self.assert_nothing_left(c)

    def test_run_is_killed(self):
        c = self.sh("touch /ready; sleep 1000")
        child = c.popen_run()
        harness.wait_for((c.rootfs / "ready").exists, "it runs")
        child.kill()
        child.wait()
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()


@harness.kata_only
class LostRecordTest(FaultCase):
    def test_delete_force_without_a_usable_record(self):
        for spoil in (lambda path: path.unlink(), lambda path: path.write_text("garbage"),
                      lambda path: (path.unlink(), path.mkdir())):  # fmt: skip
            c = self.started()
            victims = self.victims(c)
            spoil(self.world.root / c.id / "state.json")
            state = self.world.runtime("state", c.id)
            if state.status == 0:
                self.assertEqual(json.loads(state.out)["status"], "running")
            else:
                self.assertNotIn("json.exception", state.err)
            self.assertNotEqual(c.delete().status, 0, "it runs")
            self.assert_run(c.delete("--force"))
            self.assertEqual([pid for pid in victims.values() if harness.alive(pid)], [])
            self.assert_nothing_left(c)

    def test_when_the_sandbox_process_does_not_answer_or_has_gone(self):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            c = self.started()
            victims = self.victims(c)
            os.kill(victims["sandbox process"], number)
            if number == signal.SIGKILL:
                self.assert_dead(victims.values())
            (self.world.root / c.id / "state.json").unlink()
            self.assert_run(self.world.runtime("delete", "--force", c.id, timeout=SOON))
            self.assert_nothing_left(c)


@harness.kata_only
class StuckTest(FaultCase):
    def test_delete_force_of_a_running_container_is_quick(self):
        """One that waits for the process to react to SIGTERM would take ten seconds."""
        c = self.start(self.sh("trap '' TERM; while :; do sleep 1; done"))
        result = self.world.runtime("delete", "--force", c.id, timeout=9)
        self.assert_run(result)
        self.assert_nothing_left()

    def test_exec_in_a_vm_that_does_not_answer(self):
        self.world.configure("[agent.kata]\nhealth_check_request_timeout_ms = 500\n")
        c = self.started()
        os.kill(self.victims(c)["VMM"], signal.SIGSTOP)
        result = c.exec("/bin/true", timeout=SOON)
        self.assert_run(result, 255, "", "virtual machine does not answer")
        self.assertNotIn("ended unexpectedly", result.err)
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()

    def test_sigkill_for_a_vm_that_does_not_answer(self):
        """Engines that end a container know of nothing stronger."""
        for victim in ("VMM", "file server"):
            with self.subTest(victim):
                c = self.start(self.sh("while :; do ls -R / >/dev/null; done"))
                os.kill(self.victims(c)[victim], signal.SIGSTOP)
                self.assert_run(self.world.runtime("kill", c.id, "KILL", timeout=SOON))
                harness.wait_for(lambda: c.status() == "stopped", "the container has ended")
                self.assert_run(c.delete())
                self.assert_nothing_left(c)

    def test_delete_force_when_a_part_does_not_answer(self):
        for victim in ("sandbox process", "VMM", "file server"):
            with self.subTest(victim):
                c = self.started()
                os.kill(self.victims(c)[victim], signal.SIGSTOP)
                self.assert_run(self.world.runtime("delete", "--force", c.id, timeout=SOON))
                self.assert_nothing_left(c)


@harness.kata_only
class StartTest(FaultCase):
    def fails(self, text, *messages):
        """create and run with this configuration say why, soon, and leave nothing."""
        self.world.configure(text)
        c = self.container("/bin/true")
        before = sorted(c.rootfs.rglob("*"))
        result = c.run(timeout=SOON)
        self.assertEqual(result.status, 1, result)
        self.assertEqual(result.out, "")
        for message in messages:
            self.assertRegex(result.err, message)
        self.assertLess(len(result.err), 20000)
        self.assertNotRegex(result.err, r"[\x00-\x08\x0b-\x1f\x7f]")  # nothing that a terminal obeys
        self.assertEqual(c.status(), "gone")
        self.assertEqual(sorted(c.rootfs.rglob("*")), before)
        self.assert_nothing_left(c)

    def test_files_of_the_guest_are_missing(self):
        self.fails('[hypervisor.qemu]\nkernel = "/no/such/kernel"\n', "kernel.*/no/such/kernel|/no/such/kernel.*kernel",
                   "[Nn]o such file or directory")  # fmt: skip
        self.fails('[hypervisor.qemu]\ninitrd = "/no/such/initrd"\n', "/no/such/initrd", "[Nn]o such file or directory")

    def test_a_kernel_that_is_none(self):
        garbage = self.world.tmp / "garbage"
        garbage.write_bytes(bytes(range(256)) * 4096)
        self.fails(f'[hypervisor.qemu]\nkernel = "{garbage}"\n', "qemu|QEMU|kernel")

    def test_an_init_that_ends_at_once(self):
        """The console's last lines are the only witness."""
        source = '#include <stdio.h>\nint main(void) { printf("init has nothing to do here\\n"); return 3; }\n'
        image = faults.initrd(self.world.tmp, source)
        self.fails(f'[hypervisor.qemu]\ninitrd = "{image}"\n', "init has nothing to do here|Attempted to kill init")

    def test_an_initrd_that_is_none(self):
        garbage = self.world.tmp / "garbage"
        garbage.write_bytes(b"\1\2\3\4" * 10000)
        self.fails(f'[hypervisor.qemu]\ninitrd = "{garbage}"\n', "(?i)panic|no working init|unable to mount root")

    def test_a_vmm_that_cannot_start(self):
        broken = faults.broken_program(self.world.tmp)
        self.fails(f'[hypervisor.qemu]\npath = "{broken}"\n', "this program is broken on purpose", "3")
        self.fails('[hypervisor.qemu]\npath = "/no/such/qemu"\n', "/no/such/qemu", "[Nn]o such file or directory")
        self.fails('[hypervisor.qemu]\npath = "/bin/false"\n', r"status 1 without a word \(path in \[hypervisor.qemu\] is /bin/false")
        self.fails('[hypervisor.qemu]\ncpu_features = "no_such_feature=on"\n', "no.such.feature")

    def test_a_start_that_has_failed_before_the_stand_in_is_there(self):
        """On a busy host the sandbox process may have ended by then: the reason is told all the same."""
        self.world.configure('[hypervisor.qemu]\npath = "/bin/false"\n')
        c = self.container("/bin/true")
        runtime = c.popen_run(stderr=subprocess.PIPE)

        def sandbox():
            return [pid for pid, command in harness.leaks.descendants().items() if pid != runtime.pid and c.id in command]

        # It may have come and gone between two looks: then this is an ordinary start that fails.
        found = harness.wait_for(lambda: sandbox() or (runtime.poll() is not None and [None]), "the sandbox process is there")
        if found[0]:
            os.kill(runtime.pid, signal.SIGSTOP)
            harness.wait_for(lambda: not harness.alive(found[0]), "it has failed")
            os.kill(runtime.pid, signal.SIGCONT)
        self.assertRegex(runtime.communicate(timeout=harness.TIMEOUT)[1].decode(), "status 1 without a word")
        self.assert_nothing_left(c)

    def test_a_file_server_that_cannot_start(self):
        broken = faults.broken_program(self.world.tmp)
        self.fails(f'[hypervisor.qemu]\nvirtio_fs_daemon = "{broken}"\n', "this program is broken on purpose")
        self.fails('[hypervisor.qemu]\nvirtio_fs_daemon = "/no/such/daemon"\n', "/no/such/daemon")
        self.fails('[hypervisor.qemu]\nvirtio_fs_daemon = "/bin/false"\n',
                   r"status 1 without a word \(virtio_fs_daemon in \[hypervisor.qemu\] is /bin/false")

    def test_a_part_that_hangs_is_named(self):
        sleeping = self.world.tmp / "sleeping"
        sleeping.write_text("#!/bin/sh\nexec sleep 1000\n")
        sleeping.chmod(0o755)
        self.world.tmp.chmod(0o755)
        self.fails(f'[hypervisor.qemu]\npath = "{sleeping}"\n', "QEMU does not answer: QEMU did not greet")
        self.fails(f'[hypervisor.qemu]\nvirtio_fs_daemon = "{sleeping}"\n', "the file server does not answer, and QEMU waits for it")

    def test_a_kernel_that_stands_still_after_its_panic(self):
        source = "int main(void) { return 3; }\n"
        image = faults.initrd(self.world.tmp, source)
        self.fails(f'[hypervisor.qemu]\ninitrd = "{image}"\nkernel_params = "panic=0"\n', "kernel panicked: Attempted to kill init")

    def test_an_agent_that_says_nothing(self):
        image = faults.lying_agent(self.world.tmp, "is silent")
        timeouts = "[agent.kata]\nreconnect_timeout_ms = 4000\n"
        self.fails(f'[hypervisor.qemu]\ninitrd = "{image}"\n{timeouts}', "agent", "the guest that is silent")

    def test_an_agent_that_answers_garbage(self):
        for name, start in (
            ("noise", b"\xa7\x31\xfe\x00"),
            ("a frame of 4 GB", b"\xff\xff\xff\xff\0\0\0\1\2\0"),
            ("an answer that is no message", b"\0\0\0\x10\0\0\0\1\2\0" + b"\xff" * 16),
            ("an answer to nobody", b"\0\0\0\0\0\0\0\x63\2\0"),
            ("an error for the terminal", b"\0\0\0\x0a\0\0\0\1\2\0" + b"\x0a\x08\x08\x05\x12\x04\x1b[2J"),
        ):
            with self.subTest(name):
                image = faults.lying_agent(self.world.tmp, "talks nonsense", start)
                timeouts = "[agent.kata]\nreconnect_timeout_ms = 4000\n"
                self.fails(f'[hypervisor.qemu]\ninitrd = "{image}"\n{timeouts}', "agent")

    def test_memory_that_the_host_does_not_have(self):
        self.fails("[hypervisor.qemu]\ndefault_memory = 4\n", ".")  # no kernel fits into it


class FullDiskTest(FaultCase):
    def small(self, name, size):
        directory = self.world.tmp / name
        directory.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "kata-test", directory], check=True)
        self.addCleanup(subprocess.run, ["umount", directory], check=True)
        self.addCleanup(self.world.close_containers)
        return directory

    @harness.kata_only
    def test_no_room_for_the_state(self):
        directory = self.small("root-on-tmpfs", "64k")
        self.world.root = directory / "root"
        self.world.root.mkdir()
        filler = directory / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        c = self.container("/bin/true")
        result = c.run(timeout=SOON)
        self.assert_run(result, 1, err="No space left on device")
        self.assertEqual(os.listdir(self.world.root), [])
        filler.unlink()
        self.assert_run(c.run(), 0)

    def test_no_room_for_the_container(self):
        directory = self.small("bundle-on-tmpfs", "8m")
        c = self.sh("dd if=/dev/zero of=/big bs=64k count=1000; echo status $?; rm /big; echo x >/small && cat /small")
        subprocess.run(["cp", "-a", c.rootfs, directory], check=True)
        c.spec["root"]["path"] = str(directory / "rootfs")
        self.assert_run(c.run(), 0, "status 1\nx\n", "No space left on device")


if __name__ == "__main__":
    harness.main()
