#!/usr/bin/env python3
"""Producers that write an event and read its reply, one after the other, each over one connection as long as that lasts.

    steady_producers.py SOCKET COUNT

Until SIGTERM; then what they saw: events accepted, connections that broke, connects and events that were refused, and how long a reply took at most
(longest_ms), and at the median of those that took longer than 50 ms (gaps, gap_median_ms)."""

import json
import signal
import socket
import statistics
import sys
import threading
import time

GAP_S = 0.05


def ulid(producer, n):
    """The same for the same event, so that one that is sent again has one effect."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    value = (producer << 40) + n
    return "01JDB3T0C5" + "".join(digits[value >> shift & 31] for shift in range(75, -5, -5))


class Producer(threading.Thread):
    def __init__(self, path, number):
        super().__init__(daemon=True)
        self.path, self.number, self.name = path, number, f"steady-{time.time_ns()}-{number}"
        self.accepted = self.broken = self.refused = 0
        self.gaps = []
        self.longest = 0.0
        self.stops = False

    def connect(self):
        while not self.stops:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(self.path)
                return connection, connection.makefile("rb")
            except OSError:
                self.refused += 1
                time.sleep(0.05)
        return None, None

    def run(self):
        connection, replies = self.connect()
        while not self.stops:
            line = {"type": "track", "id": self.name, "name": "steady", "event_id": ulid(self.number, self.accepted + 1),
                    "data": {"n": self.accepted + 1}}
            begin = time.monotonic()
            try:
                connection.sendall(json.dumps(line).encode() + b"\n")
                reply = replies.readline()
            except OSError:
                reply = b""
            if not reply:
                self.broken += 1
                connection, replies = self.connect()
                continue
            took = time.monotonic() - begin
            self.longest = max(self.longest, took)
            if took > GAP_S:
                self.gaps.append(took)
            if json.loads(reply)["ok"]:
                self.accepted += 1
            else:
                self.refused += 1
            time.sleep(0.002)


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    producers = [Producer(path, i) for i in range(count)]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    for producer in producers:
        producer.start()
    ended.wait()
    for producer in producers:
        producer.stops = True
    for producer in producers:
        producer.join(timeout=10)
    gaps = [gap for producer in producers for gap in producer.gaps]
    for name in "accepted", "broken", "refused":
        print(name, sum(getattr(producer, name) for producer in producers))
    print("longest_ms", round(1000 * max(producer.longest for producer in producers)))
    print("gaps", len(gaps))
    print("gap_median_ms", round(1000 * statistics.median(gaps)) if gaps else 0, flush=True)


main()
