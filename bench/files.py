#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures work with files of a volume under kata-runtime beside runc on the same file system: files.py [--rounds N]

All figures are medians of one run on one machine, taken in turns; compare them with each other and not with another
machine's. The time is that of the work in the container, without the start of its command; what the machine lacks the
program for is named and left out. --daemon PATH adds a column with that program as virtio_fs_daemon, --only GROUP takes
only some of the rows."""

import argparse
import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile

from figures import memory_of, needs_met, step, table

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))
import harness  # noqa: E402

WORK = ROOT / "build/bench/file-work"
SOURCES = pathlib.Path("/usr/include")
POSTGRES = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))), pathlib.Path("/no/postgresql"))
SMALL, LARGE = 4096, 1 << 20
NOT_MEASURED = {
    "fio": "its patterns are those of file-work above, with the same blocks and jobs",
    "npm install": "needs a registry; a tree of small files is that of untar and git",
    "apt-get install": "needs an archive of packages",
}

SQLITE = """rm -f $1*
{ echo "PRAGMA journal_mode=WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT);"
  i=0
  while [ $i -lt 300 ]; do
    echo "INSERT INTO t (text) VALUES ('row $i'); UPDATE t SET text = 'changed' WHERE id = $((i / 2));"
    i=$((i + 1))
  done
  echo "SELECT count(*) FROM t;"; } | sqlite3 $1 | tail -n 1 | grep -qx 300
"""

# As a user of its own: PostgreSQL refuses root.
PG = f"""run() {{ setpriv --reuid 1000 --regid 1000 --clear-groups {POSTGRES}/"$@" >/dev/null; }}
case $1 in
  init) mkdir $2; chown 1000:1000 $2; run initdb -D $2 -U bench -A trust --no-sync ;;
  start)
    run pg_ctl -D $2 -l $2/log -o "-k $2 -c listen_addresses=" -w start
    run pgbench -h $2 -U bench -q -i postgres 2>/dev/null ;;
  bench) run pgbench -h $2 -U bench -c 2 -t 100 postgres 2>/dev/null ;;
  stop) run pg_ctl -D $2 -m fast stop ;;
esac
"""


class Row:
    """One workload. Its words are those of file-work, with D for the container's own directory in the volume."""

    def __init__(self, name, work, cold=False, before=(), needs=None):
        self.name, self.work, self.cold, self.before, self.needs = name, work, cold, before, needs


def cold_and_warm(name, work, **options):
    return [Row(f"{name}, cold", work, cold=True, **options), Row(f"{name}, warm", work, **options)]


def blocks():
    for size, label in ((LARGE, "1 MiB"), (SMALL, "4 KiB")):
        for jobs in (1, 4):
            each = (128 if size == LARGE else 32) // jobs
            what = f"{each * jobs} MiB by {label}, {jobs} {'jobs' if jobs > 1 else 'job'}"
            yield Row(f"write and fsync {what}", f"write D/data {each} {size} {jobs}")
            yield from cold_and_warm(f"read {what}", f"read D/data {each} {size} {jobs}")


def random():
    for jobs in (1, 4):
        what = f"{2000 // jobs * jobs} of 4 KiB, {jobs} {'jobs' if jobs > 1 else 'job'}"
        work = f"D/random {32 // jobs} {SMALL} {jobs} {2000 // jobs}"
        before = [f"write D/random {32 // jobs} {LARGE} {jobs}"]
        yield Row(f"random writes and fsync, {what}", f"random-write {work}", before=before)
        yield from cold_and_warm(f"random reads, {what}", f"random-read {work}")


def groups(files):
    """Name -> rows, each of which may need those before it."""
    return {
        "many": [
            Row("create 10,000 files", "create D/many 10000 0"),
            *cold_and_warm("ls -l of 10,000", "list D/many"),
            Row("remove 10,000 files", "remove D/many"),
        ],
        "small": [
            Row("create 2,000 files of 4 KiB", "create D/small 2000 4096"),
            *cold_and_warm("ls -l of 2,000", "list D/small"),
            Row("remove 2,000 files", "remove D/small"),
        ],
        "blocks": list(blocks()),
        "random": list(random()),
        "sources": [
            Row(f"untar {files} files", "run tar -x -C D/tree -f /volume/sources.tar", before=["run mkdir D/tree"]),
            *cold_and_warm("find -size in them", "run find D/tree -size +1000k"),
            *cold_and_warm("grep -r in them", "run grep -rc e D/tree"),
            Row("remove them", "remove D/tree"),
        ],
        "git": [
            Row("git clone of this tree", "run git clone -q --no-local /volume/repository D/clone", needs="git"),
            *cold_and_warm("git status in it", "run git -C D/clone status", needs="git"),
            Row("git gc in it", "run git -C D/clone gc -q", needs="git"),
            Row("remove the clone", "remove D/clone", needs="git"),
        ],
        "sqlite": [Row("sqlite, WAL, 600 transactions", "run sh /volume/sqlite.sh D/base", needs="sqlite3")],
        "postgresql": [
            Row("PostgreSQL, initdb", "run sh /volume/pg.sh init D/pg", needs=POSTGRES / "initdb"),
            Row("PostgreSQL, pgbench, 2 times 100 transactions", "run sh /volume/pg.sh bench D/pg",
                before=["run sh /volume/pg.sh start D/pg"], needs=POSTGRES / "pgbench"),
            Row("PostgreSQL, remove", "remove D/pg", before=["run sh /volume/pg.sh stop D/pg"],
                needs=POSTGRES / "initdb"),
        ],
    }  # fmt: skip


class RuncWorld(harness.World):
    def argv(self, *arguments):
        return ["runc", "--root", str(self.root), *map(str, arguments)]


class Column:
    """A runtime with one container, whose programs are the host's."""

    def __init__(self, name, world, volume, daemon=None):
        self.name, self.world = name, world
        if daemon:
            world.configure(f'[hypervisor.qemu]\nvirtio_fs_daemon = "{daemon}"\n')
        self.container = world.container("/file-work", "run", "sleep", "1000000", image=None)
        root = self.container.rootfs
        for name in ("usr", "volume", "tmp", "etc", "proc", "dev", "sys"):
            (root / name).mkdir()
        for name in ("bin", "lib", "lib64", "sbin"):
            (root / name).symlink_to(f"usr/{name}")
        (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nbench:x:1000:1000::/tmp:/bin/sh\n")
        (root / "etc/gitconfig").write_text("[safe]\n\tdirectory = *\n")
        (root / "tmp").chmod(0o1777)
        shutil.copy(WORK, root / "file-work")
        self.container.mount("/usr", "/usr", "bind", "ro")
        self.container.mount(volume, "/volume", "bind")
        self.container.process["env"] = ["PATH=/usr/bin:/usr/sbin", "HOME=/tmp", "LC_ALL=C"]
        self.container.linux["readonlyPaths"] = []  # drop_caches of the kernel that the container runs on
        for mount in self.container.spec["mounts"]:
            if mount["destination"] == "/proc":
                mount["options"] = []
        for kind in ("bounding", "effective", "permitted"):
            self.container.process["capabilities"][kind] += [
                f"CAP_{name}" for name in "SYS_ADMIN DAC_OVERRIDE CHOWN FOWNER FSETID SETUID SETGID".split()
            ]
        for result in (self.container.create(), self.container.start()):
            if result.status != 0:
                raise RuntimeError(result)
        self.own = f"/volume/{len(os.listdir(volume))}"
        self.call(f"run mkdir {self.own}")

    def call(self, work):
        """Seconds, by the clock in the container."""
        result = self.container.exec("/file-work", *work.replace("D/", f"{self.own}/").split(), timeout=3600)
        if result.status != 0:
            raise RuntimeError(result)
        return float(result.out.split()[-1])

    def measure(self, row):
        for work in row.before:
            self.call(work)
        if row.cold:
            self.call("drop")
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        return self.call(row.work)


def make_volume(volume):
    """Its number of source files; all that the rows read."""
    volume.mkdir()
    wanted = [path for path in sorted(SOURCES.rglob("*")) if path.is_file() and not path.is_symlink()][:1652]
    with tarfile.open(volume / "sources.tar", "w") as archive:
        for path in wanted:
            archive.add(path, path.relative_to(SOURCES.parent))
    (volume / "sqlite.sh").write_text(SQLITE)
    (volume / "pg.sh").write_text(PG)
    if shutil.which("git"):
        # One commit of what is here: a clone of the whole history is longer, and not the same next month.
        repository = volume / "repository"
        subprocess.run(["git", "-C", ROOT, "checkout-index", "--all", "--force", f"--prefix={repository}/"], check=True)
        git = ["git", "-C", repository, "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
        for command in (["init", "-q"], ["add", "--all", "--force"], ["commit", "-q", "-m", "All"]):
            subprocess.run([*git, *command], check=True)
    return len(wanted)


class Server:
    """What the file server takes at most, in all its processes. The guest's memory, which it maps, is not its own."""

    def __init__(self, column):
        self.name = column.name
        record = column.container.record()
        names = memory_of({process["pid"] for process in record["helpers"]})
        self.pids = [name.split("(")[-1].rstrip(")") for name in names if not name.startswith("qemu")]
        self.memory = self.descriptors = 0

    def look(self):
        lines = [line.split() for pid in self.pids for line in open(f"/proc/{pid}/smaps_rollup", encoding="ascii")]
        memory = sum(int(words[1]) for words in lines if words[0] in ("Pss_Anon:", "Pss_File:"))
        self.memory = max(self.memory, memory)
        self.descriptors = max(self.descriptors, sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="one group of rows: many, small, blocks, random, sources, git, "
                                                        "sqlite, postgresql")
    parser.add_argument("--daemon", action="append", default=[], help="one more of ours, with this virtio_fs_daemon")
    parser.add_argument("--directory", help="where the volume is made; default: the directory for temporary files")
    options = parser.parse_args()
    needs_met("runc", "qemu-system-x86_64", "setpriv", files=[WORK, pathlib.Path(harness.RUNTIME)])
    with contextlib.ExitStack() as stack:
        place = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.directory)))
        with step("making the volume", "see whether there is a gigabyte of room; --directory names another place"):
            files = make_volume(place / "volume")
        chosen, missing = [], dict(NOT_MEASURED)
        for group, rows in groups(files).items():
            for row in rows:
                if row.needs and not shutil.which(row.needs):
                    missing[row.name] = f"needs {row.needs}"
                elif not options.only or group in options.only:
                    chosen.append(row)
        columns = []
        kinds = [("runc", RuncWorld, None), ("ours", harness.World, None)]
        kinds += [(f"ours, {pathlib.Path(daemon).name}", harness.World, daemon) for daemon in options.daemon]
        with step("starting the containers", "see whether each runtime runs a container by itself"):
            for name, world, daemon in kinds:
                world = stack.enter_context(contextlib.closing(world()))
                columns.append(Column(name, world, place / "volume", daemon))
        servers = [Server(column) for column in columns[1:]]
        seconds = {(row.name, column.name): [] for row in chosen for column in columns}
        for number in range(options.rounds):
            for row in chosen:
                for column in columns:
                    with step(f"{row.name}, {column.name}", "--only measures one group of rows"):
                        seconds[row.name, column.name].append(column.measure(row))
                for server in servers:
                    server.look()
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
        show(chosen, columns, seconds)
        table("The file server, at most", ["", "PSS, KiB", "descriptors"],
              [[server.name, server.memory, server.descriptors] for server in servers])
    table("Not measured", ["", "why"], missing.items())


def show(chosen, columns, seconds):
    medians = {key: statistics.median(samples) for key, samples in seconds.items()}
    others = [column.name for column in columns[1:]]
    lines = []
    for row in chosen:
        base = medians[row.name, columns[0].name]
        mine = [medians[row.name, name] for name in others]
        ratios = (f"{value / base:.1f}" for value in mine)
        lines.append([row.name, *(f"{value:.3f}" for value in (base, *mine)), *ratios])
    header = ["seconds", columns[0].name, *others, *(f"{name} / {columns[0].name}" for name in others)]
    table(f"Files of a volume, medians of {len(next(iter(seconds.values())))}", header, lines)


if __name__ == "__main__":
    main()
