"""The programs of a benchmark run: starting, measuring and ending them."""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import statistics
import subprocess
import time


class BenchError(Exception):
    """The run cannot go on, or a figure would be wrong."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("outboxd", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Program:
    """A child process; its CPU time and peak memory are read from the kernel while it lives."""

    def __init__(self, command, log=None, **options):
        self.command = [str(word) for word in command]
        self.log = log
        with contextlib.ExitStack() as files:
            err = files.enter_context(open(log, "wb")) if log else None
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, **options)
        self.pid = self.process.pid

    def cpu_seconds(self):
        return time.clock_gettime_ns((~self.pid << 3) | 2) / 1e9  # the clock of another process, as clock_getcpuclockid() makes it

    def thread_seconds(self):
        """CPU time by thread name; threads of one name but for a number at its end are added up."""
        spent = {}
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip().rstrip("0123456789").rstrip("-")
                spent[name] = spent.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e9
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended
        return spent

    def thread_switches(self):
        """Context switches by thread name, as pairs: by waiting for something, which is a wake-up each, and by losing the processor to others."""
        counts = {}
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                fields = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            name = fields["Name"].rstrip("0123456789").rstrip("-")
            waits, losses = counts.get(name, (0, 0))
            counts[name] = (waits + int(fields["voluntary_ctxt_switches"]), losses + int(fields["nonvoluntary_ctxt_switches"]))
        return counts

    def written_bytes(self):
        """What it handed over by write calls, and what the kernel counts as written because of it: whole folios, whose size is the file system's affair."""
        try:
            counts = dict(line.split(": ") for line in pathlib.Path(f"/proc/{self.pid}/io").read_text().splitlines())
            return int(counts["wchar"]), int(counts["write_bytes"])
        except (OSError, KeyError) as error:
            raise BenchError("the kernel does not count what is written (/proc/PID/io)") from error

    def _memory(self, name):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise BenchError(f"{self.name()} has ended{self.log_tail()}")

    def peak_bytes(self):
        return self._memory("VmHWM")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def result(self, timeout):
        """Waits for the end and returns the JSON that the program printed."""
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            self.stop()
            raise BenchError(f"{self.name()}: not done after {timeout} s") from error
        if self.process.returncode != 0:
            raise BenchError(f"{self.name()} failed{self.log_tail()}")
        return json.loads(out)

    def name(self):
        return pathlib.Path(self.command[0]).name

    def log_tail(self):
        text = pathlib.Path(self.log).read_text(errors="replace").strip() if self.log else ""
        return ": " + text[-1000:] if text else ""

    def stop(self, patience=60):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Sink(Program):
    """The Track API that only counts."""

    def __init__(self, bench, tls=False, **behaviour):
        identity = bench.identity() if tls else None
        options = ["--tls-certificate", identity.certificate, "--tls-key", identity.key] if tls else []
        super().__init__([bench.program("tests/bench/bench_sink"), *options])
        self.port = int(self.process.stdout.readline())
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.ca_file = identity.certificate if tls else None
        if tls:
            context = ssl.create_default_context(cafile=self.ca_file)
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)
        else:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if behaviour:
            self.set(**behaviour)

    def _ask(self, method, path):
        self.connection.request(method, path)
        return json.loads(self.connection.getresponse().read())

    def set(self, **behaviour):
        self._ask("POST", "/_set?" + "&".join(f"{name}={value}" for name, value in behaviour.items()))

    def reset(self):
        self._ask("POST", "/_reset")

    def stats(self):
        return self._ask("GET", "/_stats")

    def await_delivered(self, count, stall=60):
        """Waits until `count` events have come in. A minute without any is an error."""
        best, since = -1, time.monotonic()
        while True:
            stats = self.stats()
            if stats["delivered"] >= count:
                return stats
            if stats["delivered"] > best:
                best, since = stats["delivered"], time.monotonic()
            elif time.monotonic() - since > stall:
                raise BenchError(f"only {best} of {count} events were delivered, then none for {stall} s")
            time.sleep(0.02)


class Outboxd(Program):
    """The daemon under test, in a directory of its own."""

    def __init__(self, bench, directory, sink_url, batch=False, max_in_flight=256, ca_file=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.producer = self.directory / "p.sock"
        self.admin = self.directory / "a.sock"
        self.track = self.directory / "t.sock"
        config = self.directory / "outboxd.yaml"
        config.write_text(make_config(self.directory, sink_url, bench.batch_setting(batch), max_in_flight, ca_file))
        self.started = time.monotonic()
        super().__init__([bench.daemon, "--config", config], log=self.directory / "log")
        self.ready_seconds = self._await_ready()

    def _await_ready(self):
        while True:
            try:
                if self.ask("GET", "/readyz", timeout=60)[0] == 200:
                    return time.monotonic() - self.started
            except OSError:
                pass
            if self.process.poll() is not None:
                raise BenchError(f"outboxd did not start{self.log_tail()}")
            if time.monotonic() - self.started > 120:
                raise BenchError(f"outboxd is not ready after two minutes{self.log_tail()}")
            time.sleep(0.002)

    def ask(self, method, path, body=None, timeout=600):
        """One request to the admin API: status and answer (JSON where it is)."""
        with contextlib.closing(UnixConnection(self.admin, timeout)) as connection:
            connection.request(method, path, body=json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
            return answer.status, json.loads(text) if is_json else text

    def get(self, path):
        status, answer = self.ask("GET", path)
        if status != 200:
            raise BenchError(f"GET {path}: {status} {answer}")
        return answer

    def post(self, path, body=None):
        status, answer = self.ask("POST", path, body if body is not None else {})
        if status != 200:
            raise BenchError(f"POST {path}: {status} {answer}")
        return answer

    def pause(self):
        self.post("/v1/connections/default/pause")

    def resume(self):
        self.post("/v1/connections/default/resume")

    def milliseconds(self, path, times=5):
        """The median time of a GET."""
        spent = []
        for _ in range(times):
            start = time.monotonic()
            self.get(path)
            spent.append((time.monotonic() - start) * 1000)
        return statistics.median(spent)

    def waiting(self):
        return self.get("/v1/status")["outbox"]["jobs"]

    def await_waiting(self, at_most, stall=60):
        best, since = None, time.monotonic()
        while (waiting := self.waiting()) > at_most:
            if best is None or waiting < best:
                best, since = waiting, time.monotonic()
            elif time.monotonic() - since > stall:
                raise BenchError(f"{waiting} jobs wait and none is settled")
            time.sleep(0.02)

    def outbox_bytes(self):
        return (self.directory / "outbox.db").stat().st_size

    def file_bytes(self):
        return sum(file.stat().st_size for file in self.directory.glob("outbox.db*"))


def make_config(directory, sink_url, batch, max_in_flight, ca_file=None):
    return (
        f"outbox: {{path: {directory}/outbox.db, max_jobs: 20000000, max_bytes: 60GiB}}\n"
        f"listen:\n  producer: {{path: {directory}/p.sock}}\n  admin: {{path: {directory}/a.sock}}\n  track: [{{unix: {directory}/t.sock}}]\n"
        "connections:\n  default:\n"
        f"    base_url: {sink_url}\n    site_id: bench\n    api_key: bench\n    rate_limit: 0\n    max_in_flight: {max_in_flight}\n"
        f"    batch: {batch}\n"
        + (f"    ca_file: {ca_file}\n" if ca_file else "")
        + "log: {level: warn}\n"
    )


@dataclasses.dataclass
class Identity:
    """Who the sink is over TLS: a certificate that is its own authority, and its key."""
    certificate: pathlib.Path
    key: pathlib.Path


class Bench:
    """Where the programs are and where files go."""

    def __init__(self, build_dir, work_dir, daemon_dir=None):
        """`daemon_dir`: the build whose daemon is measured, where that is another one."""
        self.build_dir = pathlib.Path(build_dir)
        self.daemon = pathlib.Path(daemon_dir or build_dir) / "daemon/outboxd"
        self.work_dir = pathlib.Path(work_dir)
        self._directories = 0
        self._identity = None
        self._disk = disk_of_its_own(work_dir)
        self._knows_batch_mode = None

    def program(self, name):
        return self.build_dir / name

    def new_directory(self):
        self._directories += 1
        directory = self.work_dir / str(self._directories)
        directory.mkdir()
        return directory

    def disk_bytes(self):
        """What has been written to the disk of the outboxes, by whomever; None where others write to it too."""
        if self._disk is None:
            return None
        subprocess.run(["sync", "-f", self.work_dir], check=True)
        return int(self._disk.read_text().split()[6]) * 512

    def identity(self):
        if self._identity is None:
            self._identity = Identity(self.work_dir / "sink.pem", self.work_dir / "sink.key")
            command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=sink"]
            command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self._identity.key, "-out", self._identity.certificate]
            made = subprocess.run(command, capture_output=True, text=True)
            if made.returncode != 0:
                raise BenchError(f"openssl: {made.stderr.strip()}")
        return self._identity

    def batch_setting(self, is_on):
        """The value of connections.*.batch, in the words that this version of the daemon knows."""
        if self._knows_batch_mode is None:
            file = self.work_dir / "mode.yaml"
            file.write_text(make_config(self.work_dir, "http://127.0.0.1:9", "{mode: off}", 256))
            self._knows_batch_mode = subprocess.run([self.daemon, "--config", file, "--check"], capture_output=True).returncode == 0
        if self._knows_batch_mode:
            return "{mode: on}" if is_on else "{mode: off}"
        return "{enabled: true}" if is_on else "{enabled: false}"

    def feeder(self, socket_path, count, connections=1, window=8192, first=0, customers=10_000, prefix="c", seconds=0, credentials="", claims="", rate=0):
        return Program(
            [self.program("tests/bench/bench_feeder"), "--socket", socket_path, "--count", count, "--connections", connections]
            + ["--window", window, "--first", first, "--customers", customers, "--prefix", prefix, "--seconds", seconds, "--rate", rate]
            + (["--credentials", credentials] if credentials else [])
            + (["--claims", claims] if claims else []),
            log=self.work_dir / "feeder.log",
        )

    def feed(self, socket_path, count, **options):
        with self.feeder(socket_path, count, **options) as feeder:
            fed = feeder.result(timeout=60 + count / (options.get("rate") or 1000))
        if fed["refused"]:
            raise BenchError(f"{fed['refused']} of {count} events were refused: {fed['first_refusal']}")
        return fed

    def bare_accept(self, count, connections, window, rate=0, sink=None):
        """`sink`: where each event is delivered too."""
        directory = self.new_directory()
        socket_path = directory / "s.sock"
        command = [self.program("tests/bench/bench_bare"), "accept", "--socket", socket_path, "--file", directory / "bare.db", "--count", count]
        if sink:
            command += ["--deliver-to", sink.url] + (["--ca-file", sink.ca_file] if sink.ca_file else [])
        disk = self.disk_bytes()
        with Program(command, log=self.work_dir / "bare.log") as bare:
            while not socket_path.exists():
                if bare.process.poll() is not None:
                    raise BenchError(f"the bare loop did not start{bare.log_tail()}")
                time.sleep(0.005)
            fed = self.feed(socket_path, count, connections=connections, window=window, rate=rate)
            result = bare.result(timeout=60)
        remove_tree(directory)
        figures = {"switches": result["switches"] / count, "handed_kib": result["handed_bytes"] / count / 1024, "counted_kib": result["written_bytes"] / count / 1024,
                   "disk_kib": (self.disk_bytes() - disk) / count / 1024 if disk is not None else None, "peak_bytes": result["peak_bytes"]}
        return {"rate": fed["rate"], "cpu_per_1000": result["cpu_seconds"] / count * 1000, "ack_us": fed["ack_us"], **figures}

    def bare_post(self, sink_url, count, items=0, in_flight=64):
        command = [self.program("tests/bench/bench_bare"), "post", "--url", sink_url, "--count", count, "--items", items, "--in-flight", in_flight]
        with Program(command, log=self.work_dir / "bare.log") as bare:
            result = bare.result(timeout=600)
        return {"rate": result["rate"], "cpu_per_1000": result["cpu_seconds"] / result["events"] * 1000, "peak_bytes": result["peak_bytes"]}


def disk_of_its_own(directory):
    """The kernel's counters of the disk that the directory is on; None where the host's files are on it too, or it has none."""
    number = os.stat(directory).st_dev
    counters = pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")
    return counters if number != os.stat("/").st_dev and counters.exists() else None


def remove_tree(directory):
    for path in sorted(pathlib.Path(directory).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    pathlib.Path(directory).rmdir()


def sync_milliseconds(directory, times=100):
    """The median time of writing 4 KiB and syncing them: the floor under every acknowledgement."""
    file = pathlib.Path(directory) / "sync"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    spent = []
    try:
        os.pwrite(descriptor, b"x" * 4096 * times, 0)
        os.fsync(descriptor)
        for i in range(times):
            start = time.monotonic()
            os.pwrite(descriptor, b"y" * 4096, i * 4096)
            os.fdatasync(descriptor)
            spent.append((time.monotonic() - start) * 1000)
    finally:
        os.close(descriptor)
        file.unlink()
    return statistics.median(spent)
