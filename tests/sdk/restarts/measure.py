#!/usr/bin/env python3
"""Counts the calls of Customer.io's libraries that fail while outboxd is restarted under them.

    measure.py --programs FOLDER --libraries FOLDER [--library NAME]... [--parallel N] [--pause-ms MS] [--restarts N] [--tls]

It is outboxd's service manager meanwhile: it holds the three sockets and the descriptor store, ends outboxd by SIGTERM and starts it again at once.
A driver (one of the programs beside this file) calls identify and track in turn, one after another on each of N threads, pausing MS after each call,
until it is told to stop. Then what arrived at the simulated Track API is compared with what the driver was answered. The events have no id of their
own, so that one which a library repeats, and which was taken the first time, is seen twice.

FOLDER of the programs has outboxd, outboxctl and track_sim; FOLDER of the libraries has their sources, which are nowhere in this project:

    node/node_modules/customerio-node, node/node_modules/customerio-node-4   as package.json names them
    customerio-python, customerio-ruby, go-customerio, php-customerio        their repositories' trees

Debian packages: nodejs npm, python3-requests, ruby ruby-addressable, golang-go, php-cli php-curl php-guzzlehttp-guzzle.
"""

import argparse
import collections
import contextlib
import fcntl
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SITE_ID, API_KEY = "site", "key"
LONG_S = 60
CALLS_BETWEEN = 15  # between two restarts at least so many calls of all threads together, and two for each thread
FIRST_COPY = 200  # descriptors that a process inherits are above those of its own
STORE_MAX = 4200  # as FileDescriptorStoreMax= of the unit


class ServiceManager(threading.Thread):
    """As systemd with the project's units: sd_listen_fds(3), sd_notify(3)."""

    def __init__(self, folder, program, port):
        super().__init__(daemon=True)
        self.folder, self.program, self.process = folder, program, None
        self.sockets = [("producer", self.listening(str(folder / "p.sock"))), ("admin", self.listening(str(folder / "a.sock"))),
                        ("track", self.listening(("127.0.0.1", port)))]
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.store, self.lock, self.ready = [], threading.Lock(), threading.Event()
        self.log = open(folder / "log", "ab")
        self.start()

    @staticmethod
    def listening(address):
        listening = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, socket.SOCK_STREAM)
        if not isinstance(address, str):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(4096)
        return listening

    def run(self):
        while True:
            message, descriptors, _, _ = socket.recv_fds(self.notify, 4096, 8)
            state = dict(line.split("=", 1) for line in message.decode().splitlines() if "=" in line)
            with self.lock:
                if state.get("FDSTORE") == "1" and len(self.store) + len(descriptors) <= STORE_MAX:
                    self.store += [(state["FDNAME"], descriptor) for descriptor in descriptors]
                    descriptors = []
                if state.get("FDSTOREREMOVE") == "1":
                    descriptors += [descriptor for name, descriptor in self.store if name == state["FDNAME"]]
                    self.store = [one for one in self.store if one[0] != state["FDNAME"]]
            for descriptor in descriptors:  # a barrier's too
                os.close(descriptor)
            if state.get("READY") == "1":
                self.ready.set()

    def launch(self):
        self.ready.clear()
        with self.lock:
            passed = [(name, one.fileno()) for name, one in self.sockets] + self.store
            copies = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, FIRST_COPY) for _, descriptor in passed]
        # A shell moves them to where they have to be, and knows the process id beforehand.
        moves = "".join(f"exec {place}<&{copy} {copy}<&-; " for place, copy in enumerate(copies, 3))
        environment = dict(os.environ, LISTEN_FDS=str(len(passed)), LISTEN_FDNAMES=":".join(name for name, _ in passed),
                           NOTIFY_SOCKET=str(self.folder / "notify"))
        self.process = subprocess.Popen(["bash", "-c", f'{moves}export LISTEN_PID=$$; exec "$@"', "bash", self.program,
                                         "--config", str(self.folder / "outboxd.yaml")],
                                        pass_fds=copies, env=environment, stderr=self.log)
        for copy in copies:
            os.close(copy)
        if not self.ready.wait(LONG_S):
            sys.exit("outboxd does not get ready; its log:\n" + (self.folder / "log").read_text())

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        if (code := self.process.wait(LONG_S)) != 0:
            sys.exit(f"outboxd ends with {code}; its log:\n" + (self.folder / "log").read_text())


class Driver:
    def __init__(self, commands, environment):
        self.calls, self.library, self.lock = [], "", threading.Lock()
        self.processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ, **environment))
                          for command in commands]
        self.readers = [threading.Thread(target=self.read, args=(process,)) for process in self.processes]
        for reader in self.readers:
            reader.start()

    def read(self, process):
        for text in process.stdout:
            line = json.loads(text)
            with self.lock:
                if "library" in line:
                    self.library = line["library"]
                else:
                    self.calls.append(line)

    def count(self):
        with self.lock:
            return len(self.calls)

    def await_calls(self, more):
        wanted, deadline = self.count() + more, time.monotonic() + LONG_S
        while self.count() < wanted:
            if time.monotonic() > deadline or any(process.poll() for process in self.processes):
                sys.exit("the driver makes no calls")
            time.sleep(0.005)

    def join(self):
        for process, reader in zip(self.processes, self.readers):
            if process.wait(LONG_S) != 0:
                sys.exit(f"the driver ends with {process.returncode}")
            reader.join()

    def kill(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()


def commands_of(library, options, work, arguments, authority):
    """Command lines of the driver, and what they need in their environment."""
    sources = pathlib.Path(options.libraries).resolve()
    trust = [authority] if authority else []
    base, rest = arguments[:3], [*arguments[4:], *trust]
    one = [*arguments, *trust]
    if library in ("node4", "node5"):
        package = sources / "node/node_modules" / {"node4": "customerio-node-4", "node5": "customerio-node"}[library]
        (work / "node_modules").mkdir()
        (work / "node_modules/customerio-node").symlink_to(package)
        (work / "node.mjs").write_bytes((HERE / "node.mjs").read_bytes())
        return [["node", str(work / "node.mjs"), *one]], {"NODE_EXTRA_CA_CERTS": authority} if authority else {}
    if library == "python":  # which speaks HTTPS only
        return [["/usr/bin/python3", str(HERE / "python.py"), *one]], {"PYTHONPATH": str(sources / "customerio-python")}
    if library == "ruby":
        return [["ruby", "-I", str(sources / "customerio-ruby/lib"), str(HERE / "ruby.rb"), *one]], {}
    if library == "go":
        name = "github.com/customerio/go-customerio/v3"
        (work / "go.mod").write_text(f"module calls\n\ngo 1.19\n\nrequire {name} v3.0.0\n\nreplace {name} => {sources / 'go-customerio'}\n")
        (work / "go_calls.go").write_bytes((HERE / "go_calls.go").read_bytes())
        subprocess.run(["go", "build", "-o", "go_calls", "."], cwd=work, check=True,
                       env=dict(os.environ, GOFLAGS="-mod=mod", GOPROXY="off"))
        return [[str(work / "go_calls"), *one]], {}
    return ([["php", str(HERE / "php.php"), *base, str(worker), *rest] for worker in range(options.parallel)],
            {"PHP_CUSTOMERIO": str(sources / "php-customerio")})


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_config(folder, sim_port, port, tls):
    (folder / "outboxd.yaml").write_text(f"""
outbox: {{path: {folder}/outbox.db}}
listen:
  producer: {{path: {folder}/p.sock}}
  admin: {{path: {folder}/a.sock}}
  track: [{{tcp: "127.0.0.1:{port}"{", tls: true" if tls else ""}}}]
connections:
  default: {{base_url: "http://127.0.0.1:{sim_port}", site_id: {SITE_ID}, api_key: {API_KEY}, rate_limit: 0}}
""")


def effects_at(sim_port):
    with urllib.request.urlopen(f"http://127.0.0.1:{sim_port}/_sim/effects") as answer:
        return [json.loads(line) for line in answer.read().decode().splitlines() if line]


def arrivals(sim_port, wanted):
    """How often each call arrived, once all that were answered have."""
    deadline = time.monotonic() + LONG_S
    while True:
        arrived = collections.Counter((effect["customer"], effect["n"], effect["type"]) for effect in effects_at(sim_port))
        if all(arrived[key] for key in wanted) or time.monotonic() > deadline:
            return arrived
        time.sleep(0.2)


def start_sim(programs, folder, cleanup):
    sim = subprocess.Popen([programs / "track_sim", "--site-id", SITE_ID, "--api-key", API_KEY, "--port-file", folder / "sim_port"],
                           stdout=subprocess.DEVNULL)
    cleanup.callback(sim.kill)
    while not (folder / "sim_port").exists():
        time.sleep(0.01)
    return int((folder / "sim_port").read_text())


def measure(library, options, folder, cleanup):
    programs = pathlib.Path(options.programs).resolve()
    sim_port, port = start_sim(programs, folder, cleanup), free_port()
    write_config(folder, sim_port, port, options.tls)
    authority = None
    if options.tls:
        subprocess.run([programs / "outboxctl", "--config", folder / "outboxd.yaml", "tls-init"], check=True, stdout=subprocess.DEVNULL)
        authority = str(folder / "tls/ca.pem")
    manager = ServiceManager(folder, str(programs / "outboxd"), port)
    manager.launch()
    cleanup.callback(lambda: manager.process.kill())
    (folder / "driver").mkdir()
    base = ("https" if options.tls else "http") + f"://127.0.0.1:{port}"
    arguments = [base, SITE_ID, API_KEY, str(options.parallel), str(options.pause_ms), str(folder / "stop")]
    driver = Driver(*commands_of(library, options, folder / "driver", arguments, authority))
    cleanup.callback(driver.kill)
    calls_between = max(CALLS_BETWEEN, 2 * options.parallel)
    for _ in range(options.restarts):
        driver.await_calls(calls_between)
        time.sleep(random.uniform(0, 0.3))  # at any moment of a call
        manager.terminate()
        manager.launch()
    driver.await_calls(calls_between)
    (folder / "stop").touch()
    driver.join()
    answered = [(call["customer"], call["n"], call["type"]) for call in driver.calls if call["ok"]]
    arrived = arrivals(sim_port, answered)
    manager.terminate()
    return report(library, options, driver, answered, arrived)


def report(library, options, driver, answered, arrived):
    failed = [call for call in driver.calls if not call["ok"]]
    return {
        "library": library, "version": driver.library, "tls": options.tls, "parallel": options.parallel, "pause_ms": options.pause_ms,
        "restarts": options.restarts, "calls": len(driver.calls), "failed": len(failed),
        "failed_and_arrived": sum(arrived[call["customer"], call["n"], call["type"]] > 0 for call in failed),
        "answered_and_lost": sum(arrived[key] == 0 for key in answered),
        "answered_and_doubled": sum(arrived[key] > 1 for key in answered),
        "errors": dict(collections.Counter(call["error"][:120] for call in failed)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--libraries", required=True)
    libraries = ["node4", "node5", "python", "ruby", "go", "php"]
    parser.add_argument("--library", action="append", choices=libraries)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--pause-ms", type=int, default=0)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    for library in options.library or libraries:
        with contextlib.ExitStack() as cleanup:
            folder = pathlib.Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
            print(json.dumps(measure(library, options, folder, cleanup)), flush=True)


if __name__ == "__main__":
    main()
