"""The scenarios: each is a function of a Run and yields rows."""

import contextlib
import time

from programs import BenchError, Outboxd, Sink, remove_tree
from rows import Goal, Row, at_least, at_most, median_by_rate

# Other programs' figures were measured when the bare libcurl loop made this many requests a second; a goal taken from them is scaled by
# what it makes in this run, so that a slower or busier machine does not move the verdict.
REFERENCE_POSTS = 62_500
FLUENT_BIT = {"single": 55_100, "batched": 244_000, "cpu_single": 0.0206, "cpu_batched": 0.0039}
BEST_AT_20_MS = 2_900  # the official Node library with 64 in flight

MEGABYTE = 1_000_000


class Run:
    """What the scenarios share: sizes, bare figures measured once, what the version can do."""

    def __init__(self, bench, quick, repeat, report, profiler=lambda daemon: contextlib.nullcontext()):
        self.bench = bench
        self.quick = quick
        self.repeat = repeat
        self.report = report
        self.profiler = profiler  # a context for what is measured of a daemon
        self.peers = False  # also measure what a user would pick instead
        self._posts = {}
        self._batches = None

    def size(self, full, quick):
        return quick if self.quick else full

    def bare_posts(self, items=0, in_flight=64, delay_ms=0):
        key = (items, in_flight, delay_ms)
        if key not in self._posts:
            count = 1_000_000 if items else self.size(100_000, 50_000)
            with Sink(self.bench, delay_ms=delay_ms) as sink:
                runs = [self.bench.bare_post(sink.url, count, items, in_flight) for _ in range(self.repeat)]
            self._posts[key] = median_by_rate(runs)
        return self._posts[key]

    def scale(self):
        """How fast this machine is now, against the one the other programs were measured on."""
        return self.bare_posts()["rate"] / REFERENCE_POSTS

    def has_batches(self):
        if self._batches is None:
            directory = self.bench.new_directory()
            try:
                with Outboxd(self.bench, directory, "http://127.0.0.1:9", batch=True):
                    self._batches = True
            except BenchError as error:
                if "batch" not in str(error):
                    raise
                self._batches = False
            remove_tree(directory)
        return self._batches


def _measure(run, daemon, count, work):
    """Runs `work`, which returns at least a rate, and adds what it cost the daemon."""
    daemon.forget_peak()
    threads, cpu = daemon.thread_seconds(), daemon.cpu_seconds()
    with run.profiler(daemon):
        result = work()
    result["cpu_per_1000"] = (daemon.cpu_seconds() - cpu) / count * 1000
    result["threads_us"] = {name: (spent - threads.get(name, 0)) / count * 1e6 for name, spent in daemon.thread_seconds().items()}
    result["peak_bytes"] = daemon.peak_bytes()
    return result


def _row(scenario, name, runs, bare_rate=None):
    run = median_by_rate(runs)
    return Row(scenario, name, run["rate"], run["cpu_per_1000"], run["peak_bytes"], run.get("ack_us"), bare_rate,
               extra={"rates": [round(each["rate"]) for each in runs], "threads_us": run["threads_us"]})


# (a), (b): accept alone


def _feed(run, daemon, count, connections, window, credentials):
    socket_path = daemon.track if credentials else daemon.producer
    return run.bench.feed(socket_path, count, connections=connections, window=window, credentials=credentials)


def accept_once(run, count, connections, window, credentials=""):
    directory = run.bench.new_directory()
    with Outboxd(run.bench, directory, "http://127.0.0.1:9") as daemon:
        daemon.pause()
        result = _measure(run, daemon, count, lambda: _feed(run, daemon, count, connections, window, credentials))
        if daemon.waiting() != count:
            raise BenchError(f"{daemon.waiting()} jobs wait after {count} were accepted")
    remove_tree(directory)
    return result


def _accept(run, scenario, name, count, connections, window):
    bare, ours = [], []
    for _ in range(run.repeat):  # in turns, so that both see the same machine
        bare.append(run.bench.bare_accept(count, connections, window))
        ours.append(accept_once(run, count, connections, window))
    row = _row(scenario, name, ours, median_by_rate(bare)["rate"])
    row.goals = [at_least(row.ratio, 0.9, "0.90 of the bare loop"), at_most(row.peak_bytes, 24 * MEGABYTE, "24 MB")]
    row.extra["bare_cpu_per_1000"] = median_by_rate(bare)["cpu_per_1000"]
    return row


def accept_pipelined(run):
    count = run.size(300_000, 100_000)
    yield _accept(run, "a", "accept, 1 pipelining connection", count, 1, 8192)
    yield _accept(run, "a", "accept, 16 pipelining connections", count, 16, 8192)


def accept_in_turns(run):
    yield _accept(run, "b", "accept, 64 clients one at a time", run.size(100_000, 30_000), 64, 64)


# (j): the Track-compatible endpoint, beside the producer socket


def accept_requests(run):
    count, connections = run.size(100_000, 30_000), 64
    by_line, by_request = [], []
    for _ in range(run.repeat):  # in turns, so that both see the same machine
        by_line.append(accept_once(run, count, connections, connections))
        by_request.append(accept_once(run, count, connections, connections, credentials="bench:bench"))
    row = _row("j", "accept, 64 keep-alive clients of the endpoint", by_request, median_by_rate(by_line)["rate"])
    row.goals = [at_least(row.ratio, 0.8, "0.80 of the producer socket")]
    yield row


# (c) to (e): accept and deliver


def deliver_once(run, count, delay_ms=0, **options):
    directory = run.bench.new_directory()
    with Sink(run.bench, delay_ms=delay_ms) as sink, Outboxd(run.bench, directory, sink.url, **options) as daemon:

        def work():
            fed = run.bench.feed(daemon.producer, count)
            stats = sink.await_delivered(count)
            daemon.await_waiting(0)
            fed["rate"] = count / (stats["last_ns"] - fed["start_ns"]) * 1e9
            fed["doubled"] = sink.stats()["delivered"] - count
            return fed

        result = _measure(run, daemon, count, work)
        if result["doubled"]:
            raise BenchError(f"{result['doubled']} events were delivered twice without any failure")
    remove_tree(directory)
    return result


def _single_goals(run, row):
    scale = run.scale()
    return [
        at_least(row.rate, FLUENT_BIT["single"] * scale, f"{FLUENT_BIT['single'] * scale:,.0f}/s (Fluent Bit, scaled)"),
        at_most(row.cpu_per_1000, FLUENT_BIT["cpu_single"] / scale, f"{FLUENT_BIT['cpu_single'] / scale:.4f} CPU s/1000 (Fluent Bit, scaled)"),
        at_most(row.peak_bytes, 24 * MEGABYTE, "24 MB"),
    ]


def _batched_goals(run, row):
    scale = run.scale()
    return [
        at_least(row.rate, FLUENT_BIT["batched"] * scale, f"{FLUENT_BIT['batched'] * scale:,.0f}/s (Fluent Bit, scaled)"),
        at_most(row.cpu_per_1000, FLUENT_BIT["cpu_batched"] / scale, f"{FLUENT_BIT['cpu_batched'] / scale:.4f} CPU s/1000 (Fluent Bit, scaled)"),
        at_most(row.peak_bytes, 24 * MEGABYTE, "24 MB"),
    ]


def deliver_singly(run):
    count = run.size(100_000, 50_000)
    bare = run.bare_posts()
    row = _row("c", "accept + deliver, one a request", [deliver_once(run, count) for _ in range(run.repeat)], bare["rate"])
    row.goals = _single_goals(run, row)
    row.extra["bare_cpu_per_1000"] = bare["cpu_per_1000"]
    yield row


def deliver_slowly(run):
    """256 in flight (the default) can make 12,800 requests a second at 20 ms; who needs more allows more."""
    count = run.size(100_000, 30_000)
    for in_flight in (256, 1024):
        bare = run.bare_posts(in_flight=in_flight, delay_ms=20)
        runs = [deliver_once(run, count, max_in_flight=in_flight, delay_ms=20) for _ in range(run.repeat)]
        row = _row("d", f"the same, each answer after 20 ms, {in_flight} in flight", runs, bare["rate"])
        row.goals = [at_least(row.rate, 4 * BEST_AT_20_MS, f"{4 * BEST_AT_20_MS:,}/s (4 times the best other)"), at_most(row.peak_bytes, 24 * MEGABYTE, "24 MB")]
        yield row


def deliver_batched(run):
    name = "accept + deliver, v2 batches"
    if not run.has_batches():
        yield Row("e", name, note="not supported by this version")
        return
    count = run.size(500_000, 200_000)
    bare = run.bare_posts(items=1000, in_flight=8)
    row = _row("e", name, [deliver_once(run, count, batch=True) for _ in range(run.repeat)], bare["rate"])
    row.goals = _batched_goals(run, row)
    yield row


# (f): a backlog is drained


def _drain_once(run, count, batch):
    directory = run.bench.new_directory()
    with Sink(run.bench) as sink, Outboxd(run.bench, directory, sink.url, batch=batch) as daemon:
        daemon.pause()
        run.bench.feed(daemon.producer, count)

        def work():
            start = time.monotonic_ns()
            daemon.resume()
            stats = sink.await_delivered(count)
            daemon.await_waiting(0)
            return {"rate": count / (stats["last_ns"] - start) * 1e9}

        full_bytes = daemon.outbox_bytes()
        result = _measure(run, daemon, count, work)
        result["full_bytes"], result["drained_bytes"] = full_bytes, _settled_file_bytes(daemon)
    remove_tree(directory)
    return result


def _settled_file_bytes(daemon):
    """The outbox's size once it has not changed for a second."""
    sizes = []
    while len(sizes) < 40 and (len(sizes) < 5 or len(set(sizes[-5:])) > 1):
        time.sleep(0.2)
        sizes.append(daemon.outbox_bytes())
    return sizes[-1]


def _drained(run, name, runs, bare):
    row = _row("f", name, runs, bare["rate"])
    worst = max(runs, key=lambda each: each["drained_bytes"])
    row.extra |= {"full_bytes": worst["full_bytes"], "drained_bytes": worst["drained_bytes"]}
    row.goals = [
        at_most(row.peak_bytes, 24 * MEGABYTE, "24 MB"),
        Goal(f"file shrinks (from {worst['full_bytes'] / 1e6:.0f} to {worst['drained_bytes'] / 1e6:.0f} MB)", worst["drained_bytes"] < worst["full_bytes"]),
    ]
    return row


def drain(run):
    count = run.size(200_000, 50_000)
    yield _drained(run, "drain a backlog, one a request", [_drain_once(run, count, False) for _ in range(run.repeat)], run.bare_posts())
    name = "drain a backlog, v2 batches"
    if not run.has_batches():
        yield Row("f", name, note="not supported by this version")
        return
    yield _drained(run, name, [_drain_once(run, 4 * count, True) for _ in range(run.repeat)], run.bare_posts(items=1000, in_flight=8))


# (h): others beside a lane that stands still


def beside_stuck_lane(run):
    yield _beside_stuck(run, "behind it", customers=1, prefix="stuck")
    yield _beside_stuck(run, "that claim its events", customers=1_000_000, prefix="claim", claims="stuck0000000000")


def _beside_stuck(run, kind, **followers):
    stuck, count = run.size(1_000_000, 100_000), run.size(300_000, 50_000)
    directory = run.bench.new_directory()
    # Each failure of the head closes the connection's gate as well, with the default backoff: a second or so, at first often, then ever rarer.
    with Sink(run.bench) as sink, Outboxd(run.bench, directory, sink.url) as daemon:
        usual = _rate_of_others(run, sink, daemon, count, 0)
        sink.set(status=503, customer="stuck")
        run.bench.feed(daemon.producer, 1, customers=1, prefix="stuck")
        run.bench.feed(daemon.producer, stuck, **followers)
        beside = _rate_of_others(run, sink, daemon, count, stuck + 1)
        failed = sink.stats()["failed"]
    remove_tree(directory)
    row = Row("h", f"{count:,} others beside a failing head and {stuck:,} {kind}", beside["rate"], beside["cpu_per_1000"], beside["peak_bytes"],
              beside["ack_us"], run.bare_posts()["rate"], extra={"threads_us": beside["threads_us"], "rate_without": usual["rate"], "failures": failed})
    share = beside["rate"] / usual["rate"]
    row.goals = [at_least(share, 0.7, f"0.70 of the rate without the stuck lane (is {share:.2f} of {usual['rate']:,.0f}/s)")]
    return row


def _rate_of_others(run, sink, daemon, count, left):
    def work():
        sink.reset()
        fed = run.bench.feed(daemon.producer, count)
        stats = sink.await_delivered(count)
        fed["rate"] = count / (stats["last_ns"] - fed["start_ns"]) * 1e9
        return fed

    result = _measure(run, daemon, count, work)
    daemon.await_waiting(left)
    return result


# (i): redrive


def redrive(run):
    count = run.size(100_000, 30_000)
    directory = run.bench.new_directory()
    with Sink(run.bench, status=400) as sink, Outboxd(run.bench, directory, sink.url) as daemon:
        run.bench.feed(daemon.producer, count)
        daemon.await_waiting(0)
        dead = daemon.get("/v1/status")["outbox"]["dead"]
        if dead != count:
            raise BenchError(f"{dead} dead letters instead of {count}")
        sink.set(status=200)
        calls = {}

        def work():
            start = time.monotonic_ns()
            answer = daemon.post("/v1/dead/redrive", {"filter": {}, "all": True})
            calls["seconds"] = (time.monotonic_ns() - start) / 1e9
            if answer["redriven"] != count:
                raise BenchError(f"redriven: {answer}")
            stats = sink.await_delivered(count)
            daemon.await_waiting(0)
            return {"rate": count / (stats["last_ns"] - start) * 1e9}

        result = _measure(run, daemon, count, work)
    remove_tree(directory)
    row = _row("i", f"redrive {count:,} dead letters, until delivered", [result], run.bare_posts()["rate"])
    row.extra["redrive_seconds"] = calls["seconds"]
    row.note = f"the redrive itself took {calls['seconds']:.2f} s"
    yield row
