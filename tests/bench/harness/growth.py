"""Scenario (g): how cost grows with the jobs that wait."""

import pathlib
import time

from programs import BenchError, Outboxd, Sink, remove_tree
from rows import Row, at_least, at_most, number, table

MEGABYTE = 1_000_000
BACKLOGS = [0, 100_000, 1_000_000, 10_000_000]
QUICK_BACKLOGS = [0, 100_000, 1_000_000]

HEADS = ["", "waiting", "ready s", "status ms", "list ms", "filtered ms", "accept/s", "p99 ms", "p99.9 ms", "deliver/s", "peak MB", "file MB", "goals"]


def growth(run):
    """Fills one outbox step by step; at each step the daemon is started anew and measured."""
    directory = run.bench.new_directory()
    steps = []
    fed = 0
    with Sink(run.bench) as sink:
        for backlog in QUICK_BACKLOGS if run.quick else BACKLOGS:
            fed = _fill(run, directory, sink, backlog, fed)
            step, fed = _measure_step(run, directory, sink, backlog, fed)
            steps.append(step)
            run.report(f"   with {backlog:,} waiting: ready {step['ready_seconds']:.2f} s, accept {step['accept_rate']:,.0f}/s, deliver {step['deliver_rate']:,.0f}/s")
    remove_tree(directory)
    for step in steps:
        yield _row_of(step, steps[0])


def _fill(run, directory, sink, backlog, fed):
    """Brings the outbox to `backlog` jobs, then stops the daemon."""
    with Outboxd(run.bench, directory, sink.url) as daemon:
        daemon.pause()
        missing = backlog - daemon.waiting()
        if missing > 0:
            run.bench.feed(daemon.producer, missing, first=fed, customers=max(10_000, backlog // 100))
            fed += missing
    return fed


def _measure_step(run, directory, sink, backlog, fed):
    count = run.size(100_000, 50_000)
    drop_cache(directory)
    with Outboxd(run.bench, directory, sink.url) as daemon:
        daemon.forget_peak()
        step = {"backlog": backlog, "ready_seconds": daemon.ready_seconds}
        step["status_ms"] = daemon.milliseconds("/v1/status")
        step["list_ms"] = daemon.milliseconds("/v1/jobs?limit=100")
        step["filtered_ms"] = daemon.milliseconds("/v1/jobs?limit=100&customer=nobody")
        step["file_bytes"] = daemon.file_bytes()
        cpu = daemon.cpu_seconds()
        accepted = run.bench.feed(daemon.producer, count, first=fed)
        step["accept_cpu_per_1000"] = (daemon.cpu_seconds() - cpu) / count * 1000
        step["accept_rate"] = accepted["rate"]
        step["ack_us"] = accepted["ack_us"]
        _deliver(daemon, sink, count, step)
        step["status_busy_ms"] = daemon.milliseconds("/v1/status")
        step["peak_bytes"] = daemon.peak_bytes()
        if daemon.waiting() < backlog:
            raise BenchError("more was delivered than measured")
    return step, fed + count


def _deliver(daemon, sink, count, step):
    """Lets `count` jobs be delivered, with the backlog behind them."""
    sink.reset()
    cpu = daemon.cpu_seconds()
    start = time.monotonic_ns()
    daemon.resume()
    while (stats := sink.stats())["delivered"] < count * 0.9:
        if time.monotonic_ns() - start > 300e9:
            raise BenchError(f"only {stats['delivered']} of {count} jobs were delivered in five minutes")
        time.sleep(0.01)
    daemon.pause()
    step["deliver_cpu_per_1000"] = (daemon.cpu_seconds() - cpu) / stats["delivered"] * 1000
    step["deliver_rate"] = stats["delivered"] / (stats["last_ns"] - start) * 1e9


def drop_cache(directory):
    """As after a reboot, where the kernel lets us: what is read at the start is read from the disk."""
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError:
        pass


def _row_of(step, empty):
    row = Row("g", f"{step['backlog']:,} jobs waiting", step["accept_rate"], step["accept_cpu_per_1000"], step["peak_bytes"], step["ack_us"], extra=step)
    row.goals = [
        at_most(step["ready_seconds"], 2, "ready in 2 s"),
        at_most(max(step["status_ms"], step["status_busy_ms"]), 50, "status in 50 ms"),
        at_most(step["peak_bytes"], 64 * MEGABYTE, "64 MB"),
        at_most(step["ack_us"]["p999"], 50_000, "p99.9 of 50 ms"),
    ]
    if step is not empty:
        for key, name in (("accept_rate", "accept"), ("deliver_rate", "deliver")):
            share = step[key] / empty[key]
            row.goals.append(at_least(share, 0.7, f"{name} at 0.70 of the empty outbox (is {share:.2f})"))
    return row


def growth_table(rows):
    lines = []
    for row in rows:
        step = row.extra
        failed = [goal.text for goal in row.goals if not goal.met]
        lines.append([
            "g", f"{step['backlog']:,}", f"{step['ready_seconds']:.2f}", number(step["status_ms"]), number(step["list_ms"]), number(step["filtered_ms"]),
            number(step["accept_rate"]), number(step["ack_us"]["p99"] / 1000), number(step["ack_us"]["p999"] / 1000), number(step["deliver_rate"]),
            f"{step['peak_bytes'] / 1e6:.1f}", f"{step['file_bytes'] / 1e6:,.0f}", "NOT MET: " + "; ".join(failed) if failed else "met",
        ])
    return table(HEADS, lines)
