# SPDX-License-Identifier: Apache-2.0
"""Root file systems for the tests: made once, kept outside the build directory, copied for each bundle."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess

TESTS = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "kata-containers/rootfs"


def _made(name, builder, *inputs):
    """The directory CACHE/name-HASH, made by builder(directory) when there is none for these inputs."""
    key = hashlib.sha256(b"\0".join(inputs)).hexdigest()[:16]
    directory = CACHE / f"{name}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            new = CACHE / f".{name}.new"
            shutil.rmtree(new, ignore_errors=True)
            builder(new)
            new.rename(directory)
    return directory


def _busybox():
    """A dynamic one: this machine's may be static."""
    script = TESTS / "rootfs/dynamic-busybox.sh"
    return pathlib.Path(subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def _script(name, *arguments):
    script = TESTS / "rootfs" / f"{name}.sh"
    return _made(
        name,
        lambda directory: subprocess.run([script, directory, *arguments], check=True, stdout=subprocess.DEVNULL),
        script.read_bytes(),
        _busybox().read_bytes() if name == "busybox" else (TESTS / "rootfs/mirror.sh").read_bytes(),
    )


def template(name):
    """"busybox", "debootstrap" or "programs"; nobody may write to it."""
    return _script(name)


def copy(name, destination):
    subprocess.run(["cp", "-a", "--reflink=auto", template(name), destination], check=True)
