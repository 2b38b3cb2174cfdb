"""What a program has cost between two moments: processor time, context switches, bytes written."""

import time


class Costs:
    """A program's counters at one moment."""

    def __init__(self, bench, program):
        self.at = time.monotonic()
        self.cpu = program.cpu_seconds()
        self.threads = program.thread_seconds()
        self.switches = program.thread_switches()
        self.handed, self.counted = program.written_bytes()
        self.disk = bench.disk_bytes()

    def since(self, before, count):
        """Figures of each of `count` events; those whose names say so are of a second."""
        forced, all_of = {}, {}
        for name, (waits, losses) in self.switches.items():
            waited, lost = before.switches.get(name, (0, 0))
            forced[name] = losses - lost
            all_of[name] = waits - waited + forced[name]
        threads = {name: spent - before.threads.get(name, 0) for name, spent in self.threads.items()}
        seconds = self.at - before.at
        return {
            "count": count,
            "cpu_us": (self.cpu - before.cpu) / count * 1e6,
            "cpu_share": (self.cpu - before.cpu) / seconds,
            "switches": sum(all_of.values()) / count,
            "forced_switches": sum(forced.values()) / count,
            "switches_a_second": sum(all_of.values()) / seconds,
            "handed_kib": (self.handed - before.handed) / count / 1024,
            "counted_kib": (self.counted - before.counted) / count / 1024,
            "disk_kib": (self.disk - before.disk) / count / 1024 if self.disk is not None else None,
            "by_thread": {name: {"cpu_us": spent / count * 1e6, "switches": all_of.get(name, 0) / count, "switches_a_second": all_of.get(name, 0) / seconds}
                          for name, spent in threads.items()},
        }


def written_kib(result):
    """As near to the disk as this run can tell."""
    return result["counted_kib"] if result.get("disk_kib") is None else result["disk_kib"]
