# SPDX-License-Identifier: Apache-2.0
"""What file systems do in a container, fact by fact, is what they do with runc on the same host.

tests/files/ is the program that prints the facts; tests/files/differences-SERVER.toml lists those that differ with a file
server, and why. A difference that is not listed fails, and so does one that is listed and no longer there.

KATA_FILES_FACTS=DIRECTORY keeps all facts there for diff: runc.txt, and SERVER-CACHE.txt for each virtio_fs_cache."""
import contextlib
import itertools
import os
import pathlib
import shutil
import subprocess
import threading
import tomllib

import harness
from harness import Case
from places import MAKERS

PROGRAM = pathlib.Path(os.environ.get("KATA_FILES_SUITE", harness.REPOSITORY / "build/tests/files-suite"))
MIB = 1 << 20
# Those that have to do with files. CAP_SYS_RESOURCE is lost on some hosts.
CAPABILITIES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_RAW
    IPC_LOCK SYS_CHROOT SYS_PTRACE SYS_ADMIN MKNOD LEASE SETFCAP""".split()

# Place: the arguments of the program, and the mounts (directory of the host, destination, options).
PLACES = {
    "rootfs": ("whole /suite", []),
    "volume": ("whole /volume", [("volume", "/volume", [])]),
    "tmpfs": ("whole /tmpfs", [("tmpfs", "/tmpfs", [])]),
    "overlay": ("whole /overlay", [("overlay", "/overlay", [])]),
    "xfs": ("whole /xfs", [("xfs", "/xfs", [])]),
    "btrfs": ("whole /btrfs", [("btrfs", "/btrfs", [])]),
    "twice": ("twice /first /second", [("twice", "/first", []), ("twice", "/second", [])]),
    "twice, one of them deeper": ("twice /outer/sub /inner", [("nested", "/outer", []), ("nested/sub", "/inner", [])]),
    "twice, one of them read-only": (
        "twice /both-rw /both-ro", [("both", "/both-rw", []), ("both", "/both-ro", ["ro"])]
    ),
    "twice, one of them in the rootfs": ("twice /shared /of-rootfs", [("rootfs/shared", "/of-rootfs", [])]),
    "read-only": ("readonly /read-only", [("read-only", "/read-only", ["ro"])]),
    "idmapped": ("idmapped /idmapped", [("idmapped", "/idmapped", [])]),
    "mapped": ("mapped /mapped", [("mapped", "/mapped", [])]),
    "full": ("full /full", [("full", "/full", [])]),
    "changed by the host": ("host /changed", [("changed", "/changed", [])]),
}  # fmt: skip

# virtio_fs_cache: the places at which it is tried. What a cache changes is the same on all file systems of the host.
SOME_PLACES = ["volume", "twice", "changed by the host"]
CACHES = {"auto": [*PLACES], "never": SOME_PLACES, "always": SOME_PLACES}


def run(*command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


class ReferenceWorld(harness.World):
    """The same with runc, whatever the runtime under test is."""

    def argv(self, *arguments):
        return ["runc", "--root", str(self.root), *map(str, arguments)]


class Host:
    """The directories of one run on the host: those of the disk on an ext4 of their own, so that what the tests' own
    directory is on does not count, and nothing outlives them that could not be removed, such as an immutable file."""

    def __init__(self, directory):
        self.directory = directory
        self.mounts = contextlib.ExitStack()

    def make(self):
        directory = self.directory
        self.image(directory, ["mkfs.ext4", "-q", "-F", "-O", "^has_journal"], 1024 * MIB)
        for name in """rootfs/tmp rootfs/suite rootfs/shared volume idmapped mapped twice nested/sub both read-only/dir tmpfs full
                       overlay lower upper work""".split():
            (directory / name).mkdir(parents=True)
        shutil.copy(PROGRAM, directory / "rootfs/files-suite")
        (directory / "read-only/file").write_text("read only")
        (directory / "read-only/dir/inner").write_text("inner")
        (directory / "read-only/link").symlink_to("file")
        os.mkfifo(directory / "read-only/fifo", 0o666)
        self.changes = ByTheHost(directory / "changed")
        self.mount("-t", "tmpfs", "-o", "size=64m,mode=0755", "kata-test", directory / "tmpfs")
        self.mount("-t", "tmpfs", "-o", "size=1m,nr_inodes=64,mode=0755", "kata-test", directory / "full")
        layers = ",".join(f"{kind}dir={directory / kind}" for kind in ("lower", "upper", "work"))
        self.mount("-t", "overlay", "-o", layers, "kata-test", directory / "overlay")
        for kind in ("xfs", "btrfs"):
            self.image(directory / kind, *MAKERS[kind])

    def image(self, directory, command, size):
        """Mounts a new one. All are beside the directory of the run: a loop device may have one for a moment longer."""
        parts = directory.relative_to(self.directory.parent).parts
        image = self.directory.parent / ("-".join(parts) + ".img")
        with open(image, "wb") as file:
            file.truncate(size)
        run(*command, image)
        directory.mkdir()
        self.mount("-o", "loop", image, directory)

    def mount(self, *arguments):
        run("mount", *arguments)
        self.mounts.callback(run, "umount", arguments[-1])


class ByTheHost:
    """The rounds of changes that tests/files/by_the_host.cpp asks for."""

    ROUNDS = 6  # its kRounds, and one more that is heard by inotify

    def __init__(self, directory):
        self.directory, self.round = directory, 0
        (directory / "config").mkdir(parents=True)
        self.publish("")
        (directory / "content").write_text("")
        (directory / "mode").touch()
        for number in range(1, self.ROUNDS + 1):
            (directory / f"removed-{number * 'n'}").touch()

    def publish(self, text):
        """As a kubelet does a config map's new content: a directory of its own, and a symlink that is replaced."""
        config = self.directory / "config"
        data = config / f"data-{self.round}"
        data.mkdir()
        (data / "key").write_text(text)
        (config / "new").symlink_to(data.name)
        (config / "new").rename(config / "current")

    def one_round(self):
        self.round += 1
        number = self.round * "n"
        (self.directory / "content").write_text(number)
        self.publish(number)
        (self.directory / f"made-{number}").touch()
        (self.directory / f"removed-{number}").unlink()
        (self.directory / "mode").chmod(0o600 + self.round)


class FilesTest(Case):
    reference = {}  # the facts with runc, which all tests need

    def facts(self, world, name, places=PLACES):
        """(place, fact) -> result, in one container."""
        host = Host(self.world.tmp / name)
        self.addCleanup(host.mounts.close)
        host.make()
        self.addCleanup(world.close_containers)
        c = world.container("/files-suite", "--pause", image=None)
        c.spec["root"]["path"] = str(host.directory / "rootfs")
        c.process["capabilities"] = {
            kind: [f"CAP_{name}" for name in CAPABILITIES] for kind in ("bounding", "effective", "permitted")
        }
        for place in places:
            for source, destination, options in PLACES[place][1]:
                c.mount(host.directory / source, destination, "bind", *options)
        self.start(c)
        found = {}
        for place in places:
            for line in self.lines(c, PLACES[place][0], host):
                fact, _, answer = line.partition(": ")
                self.assertNotIn((place, fact), found, "two facts of one name")
                found[place, fact] = answer
            # None on both sides would be no difference.
            self.assertTrue(any(at == place for at, _ in found), f"{place}: no facts")
        self.assert_run(c.delete("--force"))
        if keep := os.environ.get("KATA_FILES_FACTS"):
            lines = (f"{place}: {fact}: {answer}\n" for (place, fact), answer in found.items())
            pathlib.Path(keep, f"{name}.txt").write_text("".join(lines))
        return found

    def lines(self, container, arguments, host):
        """What the program prints."""
        with (self.world.tmp / "errors").open("w+b") as errors:
            child = container.world.popen(
                "exec", container.id, "/files-suite", *arguments.split(),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            limit = threading.Timer(3 * harness.TIMEOUT, child.kill)  # it only ends what hangs
            self.addCleanup(limit.cancel)
            limit.start()
            last = b"nothing"
            with child:
                for line in child.stdout:
                    last = line
                    if line != b"ready\n":
                        yield line.decode().rstrip("\n")
                        continue
                    host.changes.one_round()
                    child.stdin.write(b"\n")
                    child.stdin.flush()
            limit.cancel()
            errors.seek(0)
            self.assertEqual((child.returncode, errors.read()), (0, b""), f"{arguments}, which ended with {last}")

    def compare(self, server, cache="auto"):
        if not FilesTest.reference:
            world = ReferenceWorld()
            self.addCleanup(world.close)
            FilesTest.reference = self.facts(world, "runc")
        ours = self.facts(self.world, f"{server}-{cache}", CACHES[cache])
        theirs = {key: answer for key, answer in FilesTest.reference.items() if key[0] in CACHES[cache]}
        listed = listed_differences(server, cache) if harness.IS_KATA else {}
        if lines := faults(theirs, ours, listed):
            title = f"{len(lines)} of {len(theirs)} facts are not as listed for {server}, cache {cache}:"
            self.fail("\n".join([title, *lines]))

    def with_cache(self, cache):
        self.world.configure(f'[hypervisor.qemu]\nvirtio_fs_cache = "{cache}"\n')
        self.compare("kata-fsd", cache)

    def test_kata_fsd(self):
        self.compare("kata-fsd")

    @harness.kata_only
    def test_kata_fsd_never(self):
        self.with_cache("never")

    @harness.kata_only
    def test_kata_fsd_always(self):
        self.with_cache("always")

    @harness.kata_only
    def test_virtiofsd(self):
        self.world.configure('[hypervisor.qemu]\nvirtio_fs_daemon = "/usr/lib/qemu/virtiofsd"\n')
        self.compare("virtiofsd")


class Listed:
    """What a list says of one fact at one place."""

    def __init__(self, result, sometimes):
        self.result, self.sometimes = result, sometimes


def listed_differences(server, cache):
    """(place, fact) -> Listed."""
    path = harness.REPOSITORY / f"tests/files/differences-{server}.toml"
    text = tomllib.loads(path.read_text())
    listed = {}
    for entry in text["difference"]:
        caches = entry.get("caches", CACHES)
        if entry["reason"] not in text["reasons"] or {*entry["places"]} - {*PLACES} or {*caches} - {*CACHES}:
            raise AssertionError(f"{path.name}: {entry['reason']}: no such reason, place or cache")
        if cache not in caches:
            continue
        for place, (fact, result) in itertools.product(entry["places"], entry["facts"].items()):
            if (place, fact) in listed:
                raise AssertionError(f"{path.name}: {place}, {fact}: twice")
            if place in CACHES[cache]:
                listed[place, fact] = Listed(result, entry.get("sometimes", False))
    if unused := text["reasons"].keys() - {entry["reason"] for entry in text["difference"]}:
        raise AssertionError(f"{path.name}: reasons of nothing: {unused}")
    return listed


def faults(theirs, ours, listed):
    """What is not as the list says, one line each."""
    lines = []
    for key in dict.fromkeys([*theirs, *ours, *listed]):
        their, our, entry = theirs.get(key, "nothing"), ours.get(key, "nothing"), listed.get(key)
        if their == our:
            if not entry or entry.sometimes:
                continue
            problem = f"listed with {entry.result!r}, but is the same"
        elif not entry:
            problem = "not listed"
        elif entry.result != our:
            problem = f"listed with {entry.result!r}"
        else:
            continue
        lines.append(f"{': '.join(key)}: runc {their!r}, ours {our!r}: {problem}")
    return lines


if __name__ == "__main__":
    harness.main()
