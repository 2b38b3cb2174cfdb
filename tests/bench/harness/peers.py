"""What a user would pick instead of outboxd, measured against the same sink. Each is measured once; what feeds it is not counted."""

import contextlib
import dataclasses
import json
import pathlib
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import peer_setup
from costs import Costs
from programs import BenchError, Program, Sink, remove_tree
from rows import number

TEMPLATES = pathlib.Path(__file__).resolve().parent.parent / "peers"
CUSTOMERS = 10_000
LINE_BYTES = 350
START_SECONDS = 15
DELIVER_SECONDS = 30  # what has come in until then is the measurement

HEADS = ["peer", "version", "events/s", "CPU s/1000", "peak MB", "fsync before ack", "order per customer", "lost when killed"]


@dataclasses.dataclass
class Peer:
    name: str
    measure: Callable  # of a run and a count; returns version, rate, cpu_per_1000, peak_bytes
    synced: str        # these three are known of it, not measured
    ordered: str
    lost: str


def measure(run):
    """A dictionary for each peer. One that cannot be had or fails says so and does not end the run."""
    found = []
    for peer in PEERS:
        row = {"peer": peer.name, "synced": peer.synced, "ordered": peer.ordered, "lost": peer.lost}
        try:
            row |= peer.measure(run, run.size(50_000, 10_000))
        except (BenchError, OSError) as error:
            row["failed"] = str(error).strip().splitlines()[-1]
        run.report("   " + "  ".join(cells(row)))
        found.append(row)
    return found


def cells(row):
    if "failed" in row:
        return [row["peer"], "-", "-", "-", "-", "-", "-", row["failed"]]
    return [
        row["peer"],
        row["version"],
        number(row["rate"]),
        f"{row['cpu_per_1000']:.4f}",
        f"{row['peak_bytes'] / 1e6:.1f}",
        row["synced"],
        row["ordered"],
        row["lost"],
    ]


def _deliver(sink, programs, count, feed):
    """Feeds, waits for the deliveries, and returns what they cost the programs."""
    cpu = sum(program.cpu_seconds() for program in programs)
    feed()
    deadline = time.monotonic() + DELIVER_SECONDS
    while (stats := sink.stats())["delivered"] < count and time.monotonic() < deadline:
        for program in programs:
            if program.process.poll() is not None:
                raise BenchError(f"{program.name()} has ended{program.log_tail()}")
        time.sleep(0.02)
    delivered = stats["delivered"]
    if delivered < 2:
        raise BenchError(f"only {delivered} of {count} events were delivered in {DELIVER_SECONDS} s")
    return {
        "delivered": delivered,
        "rate": (delivered - 1) / (stats["last_ns"] - stats["first_ns"]) * 1e9,
        "cpu_per_1000": (sum(program.cpu_seconds() for program in programs) - cpu) / delivered * 1000,
        "peak_bytes": sum(program.peak_bytes() for program in programs),
    }


def _start(name, command, directory):
    return Program(command, log=directory / f"{name}.log", env=peer_setup.environment())


def _fill_in(template, directory, **values):
    """The configuration made of a template, in the peer's directory."""
    text = (TEMPLATES / template).read_text()
    for name, value in {"directory": directory, **values}.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    file = directory / template
    file.write_text(text)
    return file


def _await_socket(program, path):
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if program.process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"{program.name()} did not start{program.log_tail()}")
        time.sleep(0.01)


def _await_ready(program):
    """Waits for the line that our scripts begin with."""
    readable, _, _ = select.select([program.process.stdout], [], [], START_SECONDS)
    if not readable or program.process.stdout.readline() != b"ready\n":
        raise BenchError(f"{program.name()} did not start{program.log_tail()}")


# syslog-ng


def _lines(count):
    """Events as bench_feeder's, in the form of the v2 entity call."""
    lines = []
    for order in range(count):
        attributes = {"order": f"{order:010}", "total": 123.45, "currency": "EUR", "items": 3, "new_customer": False, "note": ""}
        person = {"id": f"c{order * 2654435761 % CUSTOMERS:010}"}
        entity = {"type": "person", "identifiers": person, "action": "event", "name": "order_placed", "attributes": attributes}
        line = json.dumps(entity, separators=(",", ":"))
        closing = '"}}'
        lines.append(line.removesuffix(closing) + "n" * (LINE_BYTES - len(line)) + closing + "\n")
    return "".join(lines).encode()


def _syslog_ng_command(directory, config):
    own_files = ["--persist-file", directory / "persist", "--control", directory / "control", "--pidfile", directory / "pid"]
    return [*peer_setup.syslog_ng(), "--foreground", "--stderr", "--no-caps", "--cfgfile", config, *own_files]


def _syslog_ng(workers):
    def measure_it(run, count):
        command = peer_setup.syslog_ng()
        directory = run.bench.new_directory()
        producer = directory / "s.sock"
        lines = _lines(count)

        def feed():
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
                connection.settimeout(DELIVER_SECONDS)
                connection.connect(str(producer))
                connection.sendall(lines)

        with Sink(run.bench) as sink:
            config = _fill_in("syslog-ng.conf", directory, url=sink.url, tls="", workers=workers)
            with _start("syslog-ng", _syslog_ng_command(directory, config), directory) as daemon:
                _await_socket(daemon, producer)
                result = _deliver(sink, [daemon], count, feed)
        remove_tree(directory)
        return {"version": peer_setup.version(command), **result}

    return measure_it


# Redis and BullMQ


def _bullmq(run, count):
    """Jobs are added while the worker works. The process that adds them is not counted, like bench_feeder."""
    redis, node = peer_setup.redis(), peer_setup.node()
    directory = run.bench.new_directory()
    queue = directory / "r.sock"

    def feed():
        with _start("producer", [*node, TEMPLATES / "bullmq_producer.js", queue, count], directory) as producer:
            try:
                failed = producer.process.wait(DELIVER_SECONDS) != 0
            except subprocess.TimeoutExpired:
                failed = True
            if failed:
                raise BenchError(f"the jobs could not be added{producer.log_tail()}")

    with Sink(run.bench) as sink, _start("redis", [*redis, _fill_in("redis.conf", directory)], directory) as server:
        _await_socket(server, queue)
        with _start("worker", [*node, TEMPLATES / "bullmq_worker.js", queue, sink.port], directory) as worker:
            _await_ready(worker)
            result = _deliver(sink, [server, worker], count, feed)
    remove_tree(directory)
    return {"version": f"{peer_setup.version(redis)}, {peer_setup.NPM_VERSIONS['bullmq']}", **result}


# The official library


def _library(run, count):
    node = peer_setup.node()
    directory = run.bench.new_directory()
    with Sink(run.bench) as sink, _start("customerio", [*node, TEMPLATES / "customerio.js", sink.port, count], directory) as program:
        _await_ready(program)
        result = _deliver(sink, [program], count, lambda: program.process.send_signal(signal.SIGUSR2))
    remove_tree(directory)
    return {"version": peer_setup.NPM_VERSIONS["customerio-node"], **result}


# At everyday rates, beside scenario (m): each returns what an event costs, as costs.Costs has it.


def _at_rate(rate, items, send):
    """Sends each item when it is due; ends after twice the time that all should take. Returns how many were sent, and at what rate."""
    start = time.monotonic()
    seconds = len(items) / rate
    sent = 0
    for item in items:
        time.sleep(max(0.0, start + sent / rate - time.monotonic()))
        send(item)
        sent += 1
        if time.monotonic() - start > 2 * seconds:
            break
    return sent, sent / max(time.monotonic() - start, sent / rate)


def _everyday_syslog_ng(run, rate, count, answer_ms):
    """One worker a request under way: they sleep for the answer."""
    lines = _lines(count).splitlines(keepends=True)
    directory = run.bench.new_directory()
    producer = directory / "s.sock"
    with Sink(run.bench, tls=True, delay_ms=answer_ms) as sink:
        config = _fill_in("syslog-ng.conf", directory, url=sink.url, tls=f'tls(ca-file("{sink.ca_file}"))', workers=64)
        with _start("syslog-ng", _syslog_ng_command(directory, config), directory) as daemon, contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            _await_socket(daemon, producer)
            connection.settimeout(DELIVER_SECONDS)
            connection.connect(str(producer))
            _at_rate(rate, lines[:rate], connection.sendall)  # its connections are made
            sink.await_delivered(min(rate, count))
            sink.reset()
            before = Costs(run.bench, daemon)
            sent, reached = _at_rate(rate, lines, connection.sendall)
            sink.await_delivered(sent)
            result = Costs(run.bench, daemon).since(before, sent)
            result |= {"rate": reached, "peak_bytes": daemon.peak_bytes()}
    remove_tree(directory)
    return result


def _everyday_redis(run, rate, count, answer_ms):
    """Each event is pushed and, by who would deliver it, popped again; both wait for the sync. Nothing is delivered."""
    directory = run.bench.new_directory()
    queue = directory / "r.sock"
    with _start("redis", [*peer_setup.redis(), _fill_in("redis.conf", directory)], directory) as server, contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        _await_socket(server, queue)
        connection.settimeout(DELIVER_SECONDS)
        connection.connect(str(queue))

        def ask(*words):
            connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
            if connection.recv(65536)[:1] not in (b":", b"$"):
                raise BenchError("Redis refused a command")

        def push_and_pop(line):
            ask(b"LPUSH", b"queue", line)
            ask(b"RPOP", b"queue")

        before = Costs(run.bench, server)
        sent, reached = _at_rate(rate, _lines(count).splitlines(), push_and_pop)
        result = Costs(run.bench, server).since(before, sent)
        result |= {"rate": reached, "peak_bytes": server.peak_bytes()}
    remove_tree(directory)
    return result


EVERYDAY_MEASURE = "syslog-ng, no ack, no fsync"  # whose cost of processor time is the measure for ours
EVERYDAY = {EVERYDAY_MEASURE: _everyday_syslog_ng, "Redis, push and pop, no delivery": _everyday_redis}

SYSLOG_NG_LOSES = "what it has not read yet, unknown to the sender; at power loss what was not synced"
PEERS = [
    Peer("syslog-ng, 1 worker", _syslog_ng(1), "no ack, no fsync", "yes", SYSLOG_NG_LOSES),
    Peer("syslog-ng, 64 workers", _syslog_ng(64), "no ack, no fsync", "no", SYSLOG_NG_LOSES),
    Peer("Redis + BullMQ, 64 jobs", _bullmq, "yes", "no", "nothing; jobs under way are sent again, and fail when that happens twice"),
    Peer("customerio-node, 64 requests", _library, "keeps nothing", "no", "all that is not answered yet"),
]
