#!/usr/bin/env python3
"""Hands one event to outboxd for each number on standard input: producer.py [SOCKET [CUSTOMER]]

Prints each number that was accepted with the id of its job. Exit status: 0 all were accepted, 1 some were refused for good,
75 outboxd took nothing for OUTBOXD_PATIENCE seconds.
"""
import json
import os
import random
import secrets
import socket
import sys
import time

REPLY_TIMEOUT = float(os.environ.get("OUTBOXD_REPLY_TIMEOUT", 30))
PATIENCE = float(os.environ.get("OUTBOXD_PATIENCE", 600))
TRY_AGAIN = {"busy", "spool_full", "internal"}
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Refused(Exception):
    """outboxd will never take this job."""


class Unavailable(Exception):
    """outboxd took nothing for too long."""


class Outbox:
    """A connection to outboxd, opened when it is needed. Belongs to one thread."""

    def __init__(self, path):
        self._path = path
        self._socket = None

    def send(self, job):
        """Returns the job's id once the job is on stable storage."""
        line = json.dumps(job).encode() + b"\n"
        deadline = time.monotonic() + PATIENCE
        wait = 0.1
        while True:
            try:
                reply = self._ask(line)
                if reply["ok"]:
                    return reply["job"]
                trouble = "{code}: {message}".format(**reply["error"])
                if reply["error"]["code"] not in TRY_AGAIN:
                    raise Refused(trouble)
            except OSError as error:  # also that no reply came in time
                self.close()
                trouble = str(error)
            if time.monotonic() + wait > deadline:
                raise Unavailable(trouble)
            print(f"{trouble}; trying again", file=sys.stderr, flush=True)
            time.sleep(random.uniform(wait / 2, wait))
            wait = min(2 * wait, 5)

    def close(self):
        if self._socket:
            self._socket.close()
            self._socket = None

    def _ask(self, line):
        if not self._socket:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(REPLY_TIMEOUT)
            self._socket.connect(self._path)
        self._socket.sendall(line)
        reply = b""
        while not reply.endswith(b"\n"):
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("outboxd closed the connection")
            reply += received
        return json.loads(reply)


def ulid():
    """48 bits of milliseconds and 80 random ones: made once for each event, whatever happens to it."""
    bits = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return "".join(BASE32[bits >> shift & 31] for shift in range(125, -1, -5))


def main():
    outbox = Outbox(sys.argv[1] if len(sys.argv) > 1 else "/run/outboxd/outboxd.sock")
    customer = sys.argv[2] if len(sys.argv) > 2 else "42"
    status = 0
    for text in sys.stdin:
        number = int(text)
        event = {"type": "track", "id": customer, "name": "step", "data": {"n": number}}
        event.update(event_id=ulid(), timestamp=int(time.time()))
        try:
            print(number, outbox.send(event), flush=True)
        except Refused as refusal:
            print(f"{number}: {refusal}", file=sys.stderr, flush=True)
            status = 1
        except Unavailable as trouble:
            print(f"{number}: {trouble}", file=sys.stderr, flush=True)
            return 75
    return status


if __name__ == "__main__":
    sys.exit(main())
