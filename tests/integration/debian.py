# SPDX-License-Identifier: Apache-2.0
"""Packages of other suites of Debian, unpacked beside the system: apt with a configuration of its own."""
import fcntl
import pathlib
import shutil
import subprocess
import tempfile

CACHE = pathlib.Path.home() / ".cache/kata-containers/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror():
    """That of this machine's own suite, as in tests/rootfs/debootstrap.sh."""
    codename = subprocess.run(
        ["sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME"], capture_output=True, text=True, check=True
    ).stdout.strip()
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    sites = [line.split()[0] for line in targets.splitlines() if line.split()[1:] == [codename]]
    return (sites or ["http://deb.debian.org/debian"])[0]


def _fetch(suite, package, directory):
    """The .deb, in this directory."""
    (directory / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    for name in ("lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": directory / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": directory / "lists",
        "Dir::Cache": directory / "cache",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    for command in (["update"], ["download", package]):
        done = subprocess.run(
            ["apt-get", "-q", *flags, *command], cwd=directory, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise AssertionError(
                f"the test needs the package {package} of Debian's {suite}, and it cannot be fetched from {mirror()} "
                f"(to do without the archive, unpack it with `dpkg -x` into {CACHE / suite / package}):\n{done.stderr}"
            )
    return next(directory.glob("*.deb"))


def package(suite, name):
    """The directory in which it is unpacked; fetched once, and kept."""
    place = CACHE / suite / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            directory = pathlib.Path(tempfile.mkdtemp(dir=place.parent))
            try:
                deb = _fetch(suite, name, directory)
                subprocess.run(["dpkg", "-x", deb, directory / "root"], check=True)
                (directory / "root").rename(place)
            finally:
                shutil.rmtree(directory)
    return place
