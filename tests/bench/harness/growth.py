"""Scenario (g): how cost grows with the jobs that wait."""

import os
import time

from programs import BenchError, Outboxd, Sink, remove_tree
from rows import Row, at_least, at_most, number, table

MEGABYTE = 1_000_000
BACKLOGS = [0, 100_000, 1_000_000, 10_000_000]
QUICK_BACKLOGS = [0, 100_000, 1_000_000]

HEADS = ["", "waiting", "ready s", "status ms", "list ms", "filtered ms", "accept/s", "deliver/s", "p99 ms", "p99.9 ms", "peak MB", "file MB", "goals"]


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
    count = run.size(300_000, 100_000)
    forget_cached(directory)
    with Outboxd(run.bench, directory, sink.url) as daemon:
        daemon.forget_peak()
        step = {"backlog": backlog, "ready_seconds": daemon.ready_seconds, "file_bytes": daemon.file_bytes()}
        step["status_ms"] = daemon.milliseconds("/v1/status")
        step["list_ms"] = daemon.milliseconds("/v1/jobs?limit=100")
        step["filtered_ms"] = daemon.milliseconds("/v1/jobs?limit=100&customer=nobody")
        cpu = daemon.cpu_seconds()
        accepted = run.bench.feed(daemon.producer, count, first=fed)
        step["accept_cpu_per_1000"] = (daemon.cpu_seconds() - cpu) / count * 1000
        step["accept_rate"] = accepted["rate"]
        step["ack_us"] = accepted["ack_us"]
        fed += count + _deliver(run, daemon, sink, fed + count, step)
        step["status_busy_ms"] = daemon.milliseconds("/v1/status")
        step["peak_bytes"] = daemon.peak_bytes()
        if daemon.waiting() < backlog:
            raise BenchError(f"{backlog - daemon.waiting()} jobs too many were delivered, which makes the next step smaller")
    return step, fed


def _deliver(run, daemon, sink, first, step):
    """Delivers for some seconds, with the backlog behind, while a few producers hand over one job at a time. Returns how many those were."""
    sink.reset()
    cpu = daemon.cpu_seconds()
    start = time.monotonic_ns()
    daemon.resume()
    fed = run.bench.feed(daemon.producer, 10_000_000, first=first, connections=4, window=4, seconds=run.size(2.5, 1))
    stats = sink.stats()
    step["deliver_cpu_per_1000"] = (daemon.cpu_seconds() - cpu) / max(stats["delivered"], 1) * 1000
    daemon.pause()
    step["deliver_rate"] = stats["delivered"] / max(stats["last_ns"] - start, 1) * 1e9
    step["busy_ack_us"] = fed["ack_us"]
    step["busy_accept_rate"] = fed["rate"]
    return fed["ok"]


def forget_cached(directory):
    """As after a reboot: what is read at the start is read from the disk."""
    for file in directory.glob("outbox.db*"):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _row_of(step, empty):
    row = Row("g", f"{step['backlog']:,} jobs waiting", step["accept_rate"], step["accept_cpu_per_1000"], step["peak_bytes"], step["ack_us"], extra=step)
    row.goals = [
        at_most(step["ready_seconds"], 2, "ready in 2 s"),
        at_most(max(step["status_ms"], step["status_busy_ms"]), 50, "status in 50 ms"),
        at_most(step["peak_bytes"], 64 * MEGABYTE, "64 MB"),
        at_most(step["busy_ack_us"]["p999"], 50_000, "p99.9 of 50 ms while delivering"),
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
            number(step["accept_rate"]), number(step["deliver_rate"]), number(step["busy_ack_us"]["p99"] / 1000), number(step["busy_ack_us"]["p999"] / 1000),
            f"{step['peak_bytes'] / 1e6:.1f}", f"{step['file_bytes'] / 1e6:,.0f}", "NOT MET: " + "; ".join(failed) if failed else "met",
        ])
    return table(HEADS, lines)
