"""What a scenario found out, and how it is shown."""

import dataclasses
import statistics


@dataclasses.dataclass
class Goal:
    text: str   # "≥ 0.90 of bare"
    met: bool


@dataclasses.dataclass
class Row:
    scenario: str            # "a"
    name: str
    rate: float | None = None           # events a second
    cpu_per_1000: float | None = None   # seconds, of outboxd alone
    peak_bytes: int | None = None
    ack_us: dict | None = None          # p50, p99, p999, max
    bare_rate: float | None = None
    goals: list = dataclasses.field(default_factory=list)
    extra: dict = dataclasses.field(default_factory=dict)  # figures of this scenario alone
    note: str = ""

    @property
    def ratio(self):
        return self.rate / self.bare_rate if self.rate and self.bare_rate else None

    def as_json(self):
        row = dataclasses.asdict(self)
        row["ratio"] = self.ratio
        return row


def median_by_rate(runs):
    """The run in the middle; of an even number the slower one."""
    return sorted(runs, key=lambda run: run["rate"])[(len(runs) - 1) // 2]


def spread(runs):
    rates = [run["rate"] for run in runs]
    return (max(rates) - min(rates)) / statistics.median(rates) if len(rates) > 1 else None


def at_least(value, goal, text):
    return Goal(text, value is not None and value >= goal)


def at_most(value, goal, text):
    return Goal(text, value is not None and value <= goal)


def number(value, unit=""):
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}{unit}"
    return f"{value:.3g}{unit}"


def milliseconds(ack_us, key):
    return number(ack_us[key] / 1000) if ack_us else "-"


def verdict(row):
    if not row.goals:
        return ""
    return "; ".join(("met: " if goal.met else "NOT MET: ") + goal.text for goal in row.goals)


HEADS = ["", "scenario", "events/s", "bare/s", "ratio", "CPU s/1000", "peak MB", "ack p50 ms", "p99", "p99.9", "goals"]


def cells(row):
    return [
        row.scenario,
        row.name,
        number(row.rate),
        number(row.bare_rate),
        f"{row.ratio:.2f}" if row.ratio else "-",
        f"{row.cpu_per_1000:.4f}" if row.cpu_per_1000 is not None else "-",
        f"{row.peak_bytes / 1e6:.1f}" if row.peak_bytes else "-",
        milliseconds(row.ack_us, "p50"),
        milliseconds(row.ack_us, "p99"),
        milliseconds(row.ack_us, "p999"),
        "; ".join(filter(None, [verdict(row), row.note])),
    ]


def table(heads, lines):
    widths = [max(len(line[i]) for line in [heads] + lines) for i in range(len(heads))]
    left = {0, 1, len(heads) - 1}

    def show(line):
        return "  ".join(text.ljust(widths[i]) if i in left else text.rjust(widths[i]) for i, text in enumerate(line)).rstrip()

    return "\n".join(show(line) for line in [heads] + lines)


def thread_table(found):
    """Where the time goes: microseconds of CPU a job, by thread."""
    timed = [row for row in found if row.extra.get("threads_us")]
    names = sorted({name for row in timed for name, spent in row.extra["threads_us"].items() if spent >= 0.05})
    if not timed:
        return ""
    lines = [[row.scenario, row.name] + [f"{row.extra['threads_us'].get(name, 0):.1f}" for name in names] + [""] for row in timed]
    return table(["", "CPU µs a job, by thread"] + names + [""], lines)
