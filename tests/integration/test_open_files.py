# SPDX-License-Identifier: Apache-2.0
"""All processes of a VM share the descriptors of the file server: one that opens as many files as it can leaves the
others what they need to go on."""
import harness

FULL = "Too many open files in system"
SCRIPT = """
set -- /many/*
# To run a program is to open it, so this one is on a file system of the guest's.
cp -r /bin/busybox /lib /lib64 /tmpfs/ && mkfifo /tmpfs/errors
busybox="/tmpfs/lib64/ld-linux-x86-64.so.2 --library-path /tmpfs/lib/x86_64-linux-gnu /tmpfs/busybox"
b() { $busybox "$@"; }
$busybox tail -q -n 0 -f "$@" 2>/tmpfs/errors &
tail=$!
exec 3</tmpfs/errors; read -r line <&3; echo "${line##*: }"

b cat /data/file 2>&1
{ echo new >/data/new; } 2>&1
b stat -c %s /data/file
b chmod 600 /data/file && b stat -c %a /data/file
b mkdir /data/made && b mv /data/made /data/moved && b rmdir /data/moved && echo moved
# Each is open still, or was not opened.
b rm "$@" && echo removed
b stat -c %s /data/other/file

kill $tail; wait $tail 2>/dev/null
cat /data/file
echo new >/data/new && cat /data/new
ls /many | wc -l
"""


class OpenFilesTest(harness.Case):
    @harness.kata_only
    def test_a_process_that_opens_as_many_as_it_can(self):
        many, data = self.world.tmp / "many", self.world.tmp / "data"
        many.mkdir()
        (data / "other").mkdir(parents=True)
        for name in range(700):
            (many / str(name)).touch()
        (data / "file").write_text("text\n")
        (data / "other/file").write_text("other\n")
        c = self.sh(SCRIPT)
        c.mount(many, "/many", "bind")
        c.mount(data, "/data", "bind")
        c.mount("tmpfs", "/tmpfs", type="tmpfs")
        self.world.limit_open_files(600)
        self.assert_run(c.run(), 0, f"{FULL}\ncat: can't open '/data/file': {FULL}\n"
                                    f"/bin/sh: can't create /data/new: {FULL}\n"
                                    "5\n600\nmoved\nremoved\n6\ntext\nnew\n0\n")  # fmt: skip


if __name__ == "__main__":
    harness.main()
