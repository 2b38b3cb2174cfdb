"""Profiles of the daemon under load, by linux-perf."""

import contextlib
import pathlib
import signal
import subprocess

from programs import BenchError

FUNCTIONS_SHOWN = 60
LINE_BYTES = 160


class Profiler:
    """A context for a measurement: what the daemon did meanwhile is appended to a text file."""

    def __init__(self, file, work_dir):
        self.file = pathlib.Path(file)
        self.data = pathlib.Path(work_dir) / "perf.data"
        self.file.write_text("")

    @contextlib.contextmanager
    def __call__(self, daemon):
        # perf follows the threads that live now; the daemon starts none under load. Without hardware counters, as in a guest, its clock serves.
        command = ["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", "4000", "--call-graph", "fp", "--output", self.data]
        try:
            recorder = subprocess.Popen([*map(str, command), "--pid", str(daemon.pid)], stderr=subprocess.PIPE)
        except FileNotFoundError as error:
            raise BenchError("perf is not installed (Debian: linux-perf)") from error
        try:
            yield
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.communicate()
        with self.file.open("a") as report:
            report.write("=== by thread\n" + self._report("comm", children=False))
            report.write("=== by thread and library\n" + self._report("comm,dso", children=False))
            report.write("=== by thread and function, its own time\n" + self._report("comm,symbol", children=False))
            report.write("=== by thread and function, with what it called\n" + self._report("comm,symbol", children=True))

    def _report(self, keys, children):
        command = ["perf", "report", "--stdio", "--quiet", "--sort", keys, "--call-graph", "none", "--percent-limit", "0.4"]
        command += ["--children" if children else "--no-children", "--input", str(self.data)]
        shown = subprocess.run(command, capture_output=True, text=True).stdout
        lines = [line.rstrip(" -")[:LINE_BYTES] for line in shown.splitlines() if line.strip()]
        return "\n".join(lines[:FUNCTIONS_SHOWN]) + "\n"
