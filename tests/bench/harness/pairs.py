"""Two builds against each other: the same work in turns, pair by pair, so that a machine whose speed drifts says the same of both."""

import math
import statistics

import rows
import scenarios

# Two-sided 95 % points of Student's t by degrees of freedom; between two entries the lower one, which is the wider interval.
STUDENT_T = {2: 4.303, 4: 2.776, 6: 2.447, 9: 2.262, 14: 2.145, 19: 2.093, 29: 2.045, 59: 2.001}

WORK = {
    "a": ("accept, 1 pipelining connection", lambda run: scenarios.accept_once(run, run.size(300_000, 100_000), 1, 8192)),
    "b": ("accept, 64 clients one at a time", lambda run: scenarios.accept_once(run, run.size(100_000, 30_000), 64, 64)),
    "c": ("accept + deliver, one a request", lambda run: scenarios.deliver_once(run, run.size(100_000, 50_000))),
    "e": ("accept + deliver, v2 batches", lambda run: scenarios.deliver_once(run, run.size(500_000, 200_000), batch=True)),
    "j": ("accept, 64 keep-alive clients of the endpoint",
          lambda run: scenarios.accept_once(run, run.size(100_000, 30_000), 64, 64, credentials="bench:bench")),
}
HEADS = ["", "scenario", "pairs", "rate, this/other", "95 % interval", "CPU, this/other", "95 % interval", "this/s", "other/s"]


def interval(ratios):
    """Median of the ratios, and a 95 % interval of their geometric mean."""
    logs = [math.log(ratio) for ratio in ratios]
    freedom = len(logs) - 1
    point = STUDENT_T[max(known for known in STUDENT_T if known <= freedom)]
    reach = point * statistics.stdev(logs) / math.sqrt(len(logs))
    mean = statistics.mean(logs)
    return statistics.median(ratios), math.exp(mean - reach), math.exp(mean + reach)


def compare(this, other, letters, count, say):
    """`this` and `other` are Runs that differ in the daemon alone. Yields a line of cells for each scenario."""
    for letter in letters:
        name, work = WORK[letter]
        pairs = []
        for index in range(count):
            order = (this, other) if index % 2 == 0 else (other, this)  # whoever goes second finds a warmer machine
            results = {run: work(run) for run in order}
            pairs.append((results[this], results[other]))
            say(f"   {letter} {index + 1}/{count}: {pairs[-1][0]['rate']:,.0f}/s, {pairs[-1][1]['rate']:,.0f}/s")
        rate = interval([mine["rate"] / theirs["rate"] for mine, theirs in pairs])
        cpu = interval([mine["cpu_per_1000"] / theirs["cpu_per_1000"] for mine, theirs in pairs])
        yield [letter, name, str(count), f"{rate[0]:.3f}", f"{rate[1]:.3f} to {rate[2]:.3f}", f"{cpu[0]:.3f}", f"{cpu[1]:.3f} to {cpu[2]:.3f}",
               rows.number(statistics.median(mine["rate"] for mine, _ in pairs)), rows.number(statistics.median(theirs["rate"] for _, theirs in pairs))]
