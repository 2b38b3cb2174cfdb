"""Gets the programs that outboxd is compared with. Whatever is missing goes into a folder of the user's cache; the host stays as it is."""

import json
import os
import pathlib
import subprocess

from programs import BenchError

CACHE = pathlib.Path.home() / ".cache" / "outboxd-bench"
DEBIAN = CACHE / "debian"
NPM = CACHE / "npm"
NPM_VERSIONS = {"bullmq": "6.7.0", "ioredis": "5.11.1", "customerio-node": "5.2.0"}

SYSLOG_NG = "usr/sbin/syslog-ng"
SYSLOG_NG_HTTP = "usr/lib/syslog-ng/*/libhttp.so"
REDIS = "usr/bin/redis-server"


def syslog_ng():
    """The start of its command line."""
    _need_debian(["syslog-ng-core", "syslog-ng-mod-http"], [SYSLOG_NG, SYSLOG_NG_HTTP])
    modules = [str(path) for root in (DEBIAN, pathlib.Path("/")) for path in root.glob("usr/lib/syslog-ng/[0-9]*")]
    return [_find(SYSLOG_NG), "--module-path", ":".join(modules)]


def redis():
    """The start of its command line."""
    _need_debian(["redis-server"], [REDIS])
    return [_find(REDIS)]


def node():
    """The start of a command line that finds the libraries."""
    wanted = [f"{name}@{version}" for name, version in NPM_VERSIONS.items() if _npm_version(name) != version]
    if wanted:
        NPM.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--prefix", NPM, "--ignore-scripts", "--no-audit", "--no-fund", *wanted], 60)
    return ["node"]


def environment():
    """Lets programs find what was unpacked beside them."""
    libraries = [DEBIAN / "usr/lib/syslog-ng", *DEBIAN.glob("usr/lib/*-linux-gnu")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries)), "NODE_PATH": str(NPM / "node_modules")}


def version(command):
    """The first word with a dot and a digit in front that the program prints about itself."""
    text = _run([*command, "--version"], 10)
    words = (word.removeprefix("v=").strip("()v") for word in text.split())
    return next((word for word in words if word[:1].isdigit() and "." in word), "")


def _find(pattern):
    return next((path for root in (DEBIAN, pathlib.Path("/")) for path in root.glob(pattern)), None)


def _need_debian(packages, files):
    if all(_find(file) for file in files):
        return
    try:
        _unpack(packages)
    except BenchError:
        if os.geteuid() != 0:
            raise
        _run(["apt-get", "update"], 60)  # what the lists name may be gone
        _unpack(packages)
    missing = [file for file in files if not _find(file)]
    if missing:
        raise BenchError(f"not installed: {', '.join(packages)} came without {missing[0]}")


def _unpack(packages):
    """Not installed: that would start services, and syslog-ng would take over the host's log. What they need and the host has not comes too."""
    archives = CACHE / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    apt = ["apt-get", "install", "--download-only", "--yes", "--no-install-recommends", "-o", f"Dir::Cache::archives={archives}"]
    _run([*apt, "-o", "Debug::NoLocking=1", *packages], 60)
    for archive in archives.glob("*.deb"):
        _run(["dpkg-deb", "--extract", archive, DEBIAN], 30)
        archive.unlink()


def _npm_version(name):
    try:
        return json.loads((NPM / "node_modules" / name / "package.json").read_text())["version"]
    except FileNotFoundError:
        return None


def _run(command, timeout):
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, env=environment())
    except FileNotFoundError as error:
        raise BenchError(f"not installed: there is no {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"not installed: {command[0]} was not done after {timeout} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise BenchError(f"not installed: {command[0]}: {said}")
    return done.stdout
