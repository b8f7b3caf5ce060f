# SPDX-License-Identifier: Apache-2.0
"""Two containers of a pod with one volume: what works between processes of one host works between them."""

import harness
import rootfs
from cri import CriCase

ENTRIES = 40
WRITER = """for i in $(seq {entries}); do
  echo "BEGIN IMMEDIATE; INSERT INTO entry VALUES ('{who}', $i); UPDATE total SET number = number + 1; COMMIT;"
done | chroot /debian sqlite3 -bail -cmd '.timeout 600000' -cmd 'PRAGMA mmap_size=8388608' /mnt/{base} >/dev/null"""
SERVER = """use IO::Socket::UNIX;
my $server = IO::Socket::UNIX->new(Local => "/mnt/socket", Listen => 1) or die "listen: $!";
open(my $ready, ">", "/mnt/ready") or die "ready: $!";
my $client = $server->accept or die "accept: $!";
while (my $line = <$client>) { print $client "got $line"; }"""
CLIENT = """use IO::Socket::UNIX;
my $server = IO::Socket::UNIX->new(Peer => "/mnt/socket") or die "connect: $!";
for my $i (1..3) { print $server "$i\n"; $server->flush; print scalar <$server>; }"""


class TwoContainersTest(CriCase):
    def setUp(self):
        super().setUp()
        # On the host's disk, as a kubelet has an emptyDir that is not in memory.
        self.volume = self.world.tmp / "pods/uid/volumes/kubernetes.io~empty-dir/data"
        self.volume.mkdir(parents=True)
        self.volume.chmod(0o777)

    def two(self, handler):
        """Two containers, in each of which /debian has sqlite and perl, with the volume as its /mnt."""

        def change(container):
            container.mounts.add(container_path="/debian", host_path=str(rootfs.template("programs")), readonly=True)
            container.mounts.add(container_path="/debian/mnt", host_path=str(self.volume))

        pod = self.run_pod(handler, handler=handler)
        return [self.start_container(pod, name, change=change) for name in ("first", "second")]

    def each_handler(self):
        for handler in ("runc", "kata"):
            with self.subTest(handler):
                yield self.two(handler)
                self._end_pods()
                for path in self.volume.iterdir():
                    path.unlink()

    def begin(self, container, script):
        """The script runs while the test goes on; the result comes from what is returned."""
        limit = 5 * harness.TIMEOUT
        future = self.begin_call("ExecSync", limit, container_id=container, cmd=["sh", "-c", script], timeout=int(limit))

        def result():
            reply = future.result()
            return harness.Result(["exec", script], reply.exit_code, reply.stdout, reply.stderr.decode(errors="replace"))

        return result

    def sql(self, container, base, text):
        return self.assert_run(self.exec_sync(container, f"chroot /debian sqlite3 /mnt/{base} '{text}'")).out.strip()

    def test_a_database(self):
        for containers in self.each_handler():
            for mode in ("delete", "wal"):
                create = "CREATE TABLE entry (who, number); CREATE TABLE total (number); INSERT INTO total VALUES (0);"
                self.sql(containers[0], mode, f"PRAGMA journal_mode={mode}; {create}")
                ends = [self.begin(container, WRITER.format(entries=ENTRIES, who=who, base=mode))
                        for who, container in enumerate(containers)]  # fmt: skip
                for end in ends:
                    self.assert_run(end(), 0, "")
                for container in containers:
                    self.assertEqual(self.sql(container, mode, "PRAGMA integrity_check"), "ok")
                    self.assertEqual(self.sql(container, mode, "SELECT count(*), (SELECT number FROM total) FROM entry"),
                                     f"{2 * ENTRIES}|{2 * ENTRIES}")  # fmt: skip

    def test_locks(self):
        """flock(2) of the one container is the other's, too; fcntl(2)'s are those of the databases."""
        for first, second in self.each_handler():
            hold = "touch /mnt/lock; exec 9<>/mnt/lock; flock 9; mkfifo /mnt/held /mnt/end; echo >/mnt/held; read x </mnt/end"
            end = self.begin(first, f"chroot /debian bash -c '{hold}'")
            harness.wait_for((self.volume / "held").exists, "it has the lock")
            attempt = "chroot /debian flock --nonblock /mnt/lock true"
            self.assert_run(self.exec_sync(second, f"read x </debian/mnt/held; {attempt}"), 1)
            waiting = self.begin(second, "chroot /debian flock /mnt/lock echo mine")
            self.assert_run(self.exec_sync(second, "echo >/debian/mnt/end"))
            self.assert_run(end())
            self.assert_run(waiting(), 0, "mine\n")

    def test_a_unix_socket(self):
        for first, second in self.each_handler():
            (self.volume / "server.pl").write_text(SERVER)
            (self.volume / "client.pl").write_text(CLIENT)
            server = self.begin(first, "chroot /debian perl /mnt/server.pl")
            harness.wait_for((self.volume / "ready").exists, "it listens")
            self.assert_run(self.exec_sync(second, "chroot /debian perl /mnt/client.pl"), 0, "got 1\ngot 2\ngot 3\n")
            self.assert_run(server())

    def test_a_fifo(self):
        for first, second in self.each_handler():
            self.assert_run(self.exec_sync(first, "mkfifo /debian/mnt/fifo"))
            reader = self.begin(first, "wc -c </debian/mnt/fifo")
            self.assert_run(self.exec_sync(second, "head -c 1000000 /dev/zero >/debian/mnt/fifo"))
            self.assert_run(reader(), 0, "1000000\n")

    def test_what_one_writes_the_other_reads(self):
        for first, second in self.each_handler():
            for round in range(20):
                writer, reader = (first, second) if round % 2 else (second, first)
                self.assert_run(self.exec_sync(writer, f"echo {round} >>/debian/mnt/log; echo {round} >/debian/mnt/new; "
                                               "mv /debian/mnt/new /debian/mnt/now"))  # fmt: skip
                told = self.assert_run(self.exec_sync(reader, "cat /debian/mnt/now; wc -l </debian/mnt/log"))
                self.assertEqual(told.out.split(), [str(round), str(round + 1)])


if __name__ == "__main__":
    harness.main()
