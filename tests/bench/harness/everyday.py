"""Scenario (m): everyday rates. Producers wait for each reply, answers come over TLS after 20 ms, and no program is ever busy: what counts is not
the rate, which is given, but what each event costs."""

import statistics
import time

import pairs
import peers
from costs import Costs, written_kib
from programs import BenchError, Outboxd, Sink, remove_tree
from rows import Row, at_least, at_most, number, table

PRODUCERS = 8
ANSWER_MS = 20
RATES = {100: 30, 1000: 20}       # events a second: for so many seconds
QUICK_RATES = {100: 10, 1000: 6}
IDLE_SECONDS = 10
SETTLE_SECONDS = 1.5  # what is still written after the last answer: its outcome, and what waits for company

GOAL_KIB = 10
GOAL_SWITCHES = 4
GOAL_WAKE_UPS = 2
GOAL_CPU = 1.2  # of syslog-ng's, which neither syncs nor acknowledges

HEADS = ["", "scenario", "events/s", "CPU µs each", "switches each", "of them forced", "KiB handed over each", "KiB counted", "KiB on the disk", "ack p50 ms", "p99", "peak MB", "goals"]


def everyday(run):
    """Rows of the daemon beside the bare loop at the same rate, then of the daemon at rest."""
    for rate, seconds in (QUICK_RATES if run.quick else RATES).items():
        ours = _row(f"{rate}/s, one at a time", cost_at(run, rate, seconds))
        bare = _row(f"{rate}/s, the bare loop", _bare_at(run, rate, seconds), is_ours=False)
        others = list(_peers_at(run, rate, seconds, ours)) if run.peers else []
        yield from (ours, bare, *others)
    yield _idle_row(idle(run))


def cost_at(run, rate, seconds, batch=False):
    """What an event costs the daemon at this rate."""
    directory = run.bench.new_directory()
    with Sink(run.bench, tls=True, delay_ms=ANSWER_MS) as sink, Outboxd(run.bench, directory, sink.url, batch=batch, ca_file=sink.ca_file) as daemon:
        first = max(PRODUCERS, rate)  # connections and caches as on any other day
        _feed(run, daemon, sink, rate, first, first=0)
        sink.reset()
        count = max(PRODUCERS, round(rate * seconds))
        daemon.forget_peak()
        before = Costs(run.bench, daemon)
        fed = _feed(run, daemon, sink, rate, count, first=first)
        result = Costs(run.bench, daemon).since(before, count)
        daemon.await_waiting(0)
        doubled = sink.stats()["delivered"] - count
        if doubled:
            raise BenchError(f"{doubled} events were delivered twice without any failure")
        result |= {"rate": fed["rate"], "wanted_rate": rate, "ack_us": fed["ack_us"], "peak_bytes": daemon.peak_bytes()}
    remove_tree(directory)
    return result


def _feed(run, daemon, sink, rate, count, first):
    """Until everything is delivered and written. Nobody asks the daemon meanwhile: that would cost too."""
    fed = run.bench.feed(daemon.producer, count, first=first, connections=PRODUCERS, window=PRODUCERS, rate=rate)
    sink.await_delivered(count)
    time.sleep(SETTLE_SECONDS)
    return fed


def idle(run):
    """How often the daemon wakes up when it has delivered what there was and nothing more comes."""
    directory = run.bench.new_directory()
    with Sink(run.bench, tls=True, delay_ms=ANSWER_MS) as sink, Outboxd(run.bench, directory, sink.url, ca_file=sink.ca_file) as daemon:
        _feed(run, daemon, sink, 100, 100, first=0)
        time.sleep(SETTLE_SECONDS)
        before = Costs(run.bench, daemon)
        time.sleep(IDLE_SECONDS / 2 if run.quick else IDLE_SECONDS)
        result = Costs(run.bench, daemon).since(before, 1)
        result["peak_bytes"] = daemon.peak_bytes()
    remove_tree(directory)
    return result


def _bare_at(run, rate, seconds):
    with Sink(run.bench, tls=True, delay_ms=ANSWER_MS) as sink:
        bare = run.bench.bare_accept(round(rate * seconds), PRODUCERS, PRODUCERS, rate=rate, sink=sink)
    return {"cpu_us": bare["cpu_per_1000"] * 1000, **bare}


def _peers_at(run, rate, seconds, ours):
    """What a user would pick instead, at the same rate. One that cannot be had does not end the run."""
    for name, measure in peers.EVERYDAY.items():
        try:
            result = measure(run, rate, round(rate * seconds), ANSWER_MS)
        except (BenchError, OSError) as error:
            run.report(f"   m {rate}/s, {name}: {str(error).strip().splitlines()[-1]}")
            continue
        if name == peers.EVERYDAY_MEASURE:
            ours.goals.append(at_most(ours.extra["everyday"]["cpu_us"], GOAL_CPU * result["cpu_us"], f"{GOAL_CPU} times the CPU of syslog-ng"))
        yield _row(f"{rate}/s, {name}", result, is_ours=False)


def _row(name, result, is_ours=True):
    row = Row("m", name, result["rate"], result["cpu_us"] / 1000, result["peak_bytes"], result.get("ack_us"), extra={"everyday": result})
    if is_ours:
        row.goals = [
            at_least(result["rate"], 0.97 * result["wanted_rate"], "keeps the rate"),
            at_most(written_kib(result), GOAL_KIB, f"{GOAL_KIB} KiB"),
            at_most(result["switches"], GOAL_SWITCHES, f"{GOAL_SWITCHES} switches"),
        ]
    return row


def _idle_row(result):
    row = Row("m", "at rest, a second", peak_bytes=result["peak_bytes"], extra={"everyday": result})
    row.goals = [at_most(result["switches_a_second"], GOAL_WAKE_UPS, f"{GOAL_WAKE_UPS} wake-ups a second")]
    return row


def cells(row):
    result = row.extra["everyday"]
    failed = [goal.text for goal in row.goals if not goal.met]
    # At rest there is no event; the figures are those of a second.
    a_second = result
    if row.rate is None:
        a_second = {"cpu_us": result["cpu_share"] * 1e6, "switches": result["switches_a_second"]}
    forced = f"{a_second['forced_switches']:.2f}" if "forced_switches" in a_second else "-"
    written = [f"{a_second[key]:.1f}" if a_second.get(key) is not None else "-" for key in ("handed_kib", "counted_kib", "disk_kib")]
    times = [number(row.ack_us[key] / 1000) if row.ack_us else "-" for key in ("p50", "p99")]
    return ["m", row.name, number(row.rate), number(a_second["cpu_us"]), f"{a_second['switches']:.2f}", forced,
            *written, *times,
            f"{row.peak_bytes / 1e6:.1f}", "NOT MET: " + "; ".join(failed) if failed else "met" if row.goals else ""]


def report(rows):
    """The table of the rows, and the one of their threads."""
    threads = [(row.name, row.extra["everyday"], row.rate is None) for row in rows if row.goals]
    return table(HEADS, [cells(row) for row in rows]) + "\n\n" + thread_table(threads)


def thread_table(results):
    """`results`: name, figures, and whether they are of a second instead of an event."""
    names = sorted({name for _, result, _ in results for name in result["by_thread"]})

    def show(spent, is_rest):
        if spent is None:
            return "-"
        return f"{spent['switches_a_second']:.1f}" if is_rest else f"{spent['cpu_us']:.0f} ({spent['switches']:.2f})"

    lines = [["m", name] + [show(result["by_thread"].get(thread), is_rest) for thread in names] + [""] for name, result, is_rest in results]
    return table(["", "CPU µs each (switches each); at rest switches a second"] + names + [""], lines)


# Two builds


FIGURES = {"CPU": "cpu_us", "switches": "switches", "KiB handed over": "handed_kib", "KiB written": "counted_kib"}
PAIR_HEADS = ["", "scenario", "pairs", "figure", "this", "other", "this/other", "95 % interval"]


def compare(this, other, count, say):
    """`this` and `other` are Runs that differ in the daemon alone. Returns the tables."""
    lines, threads = [], []
    for rate, seconds in (QUICK_RATES if this.quick else RATES).items():
        results = {this: [], other: []}
        for index in range(count):
            for run in (this, other) if index % 2 == 0 else (other, this):  # whoever goes second finds a warmer machine
                results[run].append(cost_at(run, rate, seconds))
            mine, theirs = results[this][-1], results[other][-1]
            say(f"   m {rate}/s {index + 1}/{count}: {mine['cpu_us']:.0f} µs, {mine['switches']:.2f} switches, {mine['handed_kib']:.1f} KiB; other: "
                f"{theirs['cpu_us']:.0f} µs, {theirs['switches']:.2f} switches, {theirs['handed_kib']:.1f} KiB")
        figures = dict(FIGURES) | ({"KiB on the disk": "disk_kib"} if results[this][0]["disk_kib"] is not None else {})
        for figure, key in figures.items():
            mine, theirs = ([result[key] for result in results[run]] for run in (this, other))
            middle, low, high = pairs.interval([a / b for a, b in zip(mine, theirs)])
            lines.append(["m", f"{rate}/s, one at a time", str(count), figure, number(statistics.median(mine)), number(statistics.median(theirs)),
                          f"{middle:.3f}", f"{low:.3f} to {high:.3f}"])
        for name, run in (("this", this), ("other", other)):
            threads.append((f"{rate}/s, {name}", sorted(results[run], key=lambda result: result["cpu_us"])[count // 2], False))
    for name, run in (("this", this), ("other", other)):
        result = idle(run)
        lines.append(["m", "at rest", "1", f"wake-ups a second, {name}", f"{result['switches_a_second']:.2f}", "", "", ""])
        threads.append((f"at rest, {name}", result, True))
    return table(PAIR_HEADS, lines) + "\n\n" + thread_table(threads)


# An ordinary day, for docs/performance.md


DAY_RATES = {1: 60, 10: 30, 100: 30, 1000: 20}
QUICK_DAY_RATES = {1: 20, 10: 10, 100: 10, 1000: 6}
SECONDS_A_DAY = 86_400
SSD_BYTES = 600e12  # what makers of a usual 1 TB SSD promise that it bears
DAY_HEADS = ["events/s", "requests", "CPU of one core", "CPU µs each", "KiB written each", "GB written a day", "of an SSD's 600 TB a year", "memory MB", "wake-ups/s"]


def ordinary_day(run, say):
    """A table in Markdown of what each rate costs, single and batched."""
    lines = []
    for batch, kind in ((False, "single"), (True, "batched")):
        for rate, seconds in (QUICK_DAY_RATES if run.quick else DAY_RATES).items():
            lines.append(_day_line(rate, kind, cost_at(run, rate, seconds, batch=batch)))
            say("   " + "  ".join(lines[-1]))
    lines.insert(0, _rest_line(idle(run)))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [DAY_HEADS, ["---"] * len(DAY_HEADS), *lines])


def _day_line(rate, kind, result):
    kib = written_kib(result)
    a_day = kib * 1024 * rate * SECONDS_A_DAY
    return [f"{rate:,}", kind, f"{number(result['cpu_us'] * rate / 1e4)} %", number(result["cpu_us"]), f"{kib:.1f}", number(a_day / 1e9),
            f"{number(a_day * 365 / SSD_BYTES * 100)} %", f"{result['peak_bytes'] / 1e6:.0f}", number(result["switches"] * rate)]


def _rest_line(result):
    return ["0", "-", f"{result['cpu_share'] * 100:.2g} %", "-", "-", "0", "0 %", f"{result['peak_bytes'] / 1e6:.0f}", f"{result['switches_a_second']:.1f}"]
