"""A daemon of its own for each attack, a Track API that answers by what it is told of, producers good and hostile."""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import pwd
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

READY_SECONDS = 60
MEMORY_HIGH = 384 * 1024 * 1024  # of the unit in systemd/
SITE_ID = "attacked-site"
API_KEY = "attacked-key-0123456789"


class Failed(Exception):
    """The attack got through; the text says how far."""


class Skipped(Exception):
    """The attack cannot be tried here; the text says why."""


def demand(holds, text):
    if not holds:
        raise Failed(text)


class TrackApi:
    """`answer` is called with (method, path, headers, body) and gives (status, headers, body), or None to close without a word."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda *_: (200, {}, b"{}"))
        self.lock = threading.Lock()
        self.requests = []  # (method, path) of all that arrived, but for the region probe
        self.delivered = 0
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path.endswith("/accounts/region"):
                    told = (200, {}, b'{"region":"us","data_center":"us","environment_id":1}')
                else:
                    told = api.answer(self.command, self.path, self.headers, body)
                    with api.lock:
                        api.requests.append((self.command, self.path))
                        api.delivered += told is not None and told[0] == 200
                if told is None:
                    self.close_connection = True
                    return
                status, headers, text = told
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"):
            setattr(Handler, "do_" + method, Handler.handle_one)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def arrived(self, part):
        with self.lock:
            return sum(part in path for _, path in self.requests)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Daemon:
    def __init__(self, build, api_url, settings="", connection="", track="", outbox="", directory=None, environment=None):
        self.build = pathlib.Path(build)
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="attack-"))
        self.producer = self.directory / "p"
        self.admin = self.directory / "a"
        self.outbox = self.directory / "outbox.db"
        self.log = self.directory / "log"
        self.config = self.directory / "outboxd.yaml"
        self.environment = {**os.environ, **(environment or {})}
        # Anybody may reach the producer's socket: hostile producers are other users.
        os.chmod(self.directory, 0o755)
        self.config.write_text(
            f"outbox: {{{outbox}path: {self.outbox}}}\n"
            f'listen:\n  producer: {{path: {self.producer}, mode: "0666"}}\n  admin: {{path: {self.admin}}}\n{track}'
            f"connections:\n  default:\n    base_url: {api_url}\n    site_id: {SITE_ID}\n    api_key: {API_KEY}\n{connection}"
            f"{settings}"
        )
        self.config.chmod(0o600)
        self.process = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.build / "daemon/outboxd", "--config", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            if self.process.poll() is not None:
                raise Failed("the daemon does not start: " + self.log_tail())
            time.sleep(0.01)
        raise Failed("the daemon is not ready: " + self.log_tail())

    def ask(self, method, path, body=None, timeout=30):
        connection = http.client.HTTPConnection("outboxd", timeout=timeout)
        connection.sock = connected(self.admin, timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body=json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")

    def status(self):
        return json.loads(self.ask("GET", "/v1/status")[1])

    def ctl(self, *words, **options):
        return subprocess.run([self.build / "ctl/outboxctl", "--socket", self.admin, "--producer", self.producer, *words], capture_output=True, text=True, timeout=60, **options)

    def memory(self, name="VmHWM"):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise Failed("the daemon has ended: " + self.log_tail())

    def is_alive(self):
        return self.process.poll() is None

    def log_tail(self):
        return self.log.read_text(errors="replace").strip()[-800:]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def connected(path, timeout):
    """A connection to the socket at the path. Waits while the daemon has many to accept, which a socket with Python's timeout does not."""
    connection = socket.socket(socket.AF_UNIX)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", timeout, 0))
    connection.connect(str(path))
    connection.settimeout(timeout)
    return connection


def send(path, lines, timeout=60):
    """Sends the lines and returns the replies, as text."""
    with connected(path, timeout) as connection:
        sender = threading.Thread(target=_write_all, args=(connection, lines), daemon=True)
        sender.start()
        replies = []
        with connection.makefile("rb") as stream:
            for _ in lines:
                reply = stream.readline()
                if not reply:
                    break
                replies.append(reply.decode(errors="replace").strip())
        sender.join(timeout)
        return replies


def is_ok(reply):
    return json.loads(reply)["ok"]


def _write_all(connection, lines):
    with contextlib.suppress(OSError):
        for line in lines:
            connection.sendall(line.encode() + b"\n")


def raw(path, method="POST", **members):
    return json.dumps({"type": "raw", "method": method, "path": path, **members}, separators=(",", ":"))


def track(customer, name="bought", **members):
    return json.dumps({"type": "track", "id": customer, "name": name, **members}, separators=(",", ":"))


def good_lines(count, prefix="good"):
    return [track(f"{prefix}-{number}") for number in range(count)]


def await_true(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


# The interpreter may lie where another user cannot read it: the program becomes the other user once it has its modules.
BECOME = "import os, socket, struct, sys, time\nos.setgroups([])\nos.setgid({group})\nos.setuid({user})\n"


def becoming_another_user():
    if os.geteuid() != 0:
        raise Skipped("needs root, to be two users")
    nobody = pwd.getpwnam("nobody")
    return BECOME.format(user=nobody.pw_uid, group=nobody.pw_gid)


@contextlib.contextmanager
def hostile(program, *arguments):
    """A Python program that runs as another user and prints a line when it has done its worst; it is ended with the context."""
    program = becoming_another_user() + program
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline().strip()
        demand(line, "the hostile program has ended")
        yield line
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
