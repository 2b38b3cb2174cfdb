"""What the replays share: requests over raw sockets, written byte for byte as a library writes them, and one line of JSON for each call.

A replay stands in for a library that the machine's package registries do not have. It has no code of the library, only its wire format.
"""

import base64
import json
import socket
import ssl
import sys
import urllib.parse


class Arguments:
    """REPLAY BASE_URL SITE_ID API_KEY CUSTOMERS [CERTIFICATE_AUTHORITY]"""

    def __init__(self):
        base, self.site_id, self.api_key, count = sys.argv[1:5]
        url = urllib.parse.urlsplit(base)
        self.host, self.port, self.is_tls = url.hostname, url.port, url.scheme == "https"
        self.authority = sys.argv[5] if len(sys.argv) > 5 else None
        # Every other customer's identifier needs each kind of escaping.
        self.customers = [f"c{index}" if index % 2 == 0 else f"a b/ü+@%~!'()*{index}" for index in range(int(count))]

    def authorization(self, encode=base64.b64encode):
        return "Basic " + encode(f"{self.site_id}:{self.api_key}".encode()).decode()


class Transport:
    def __init__(self, arguments, keep_alive):
        self.arguments, self.keep_alive, self.connection = arguments, keep_alive, None

    def connect(self):
        connection = socket.create_connection((self.arguments.host, self.arguments.port), timeout=10)
        if self.arguments.is_tls:
            context = ssl.create_default_context(cafile=self.arguments.authority)
            connection = context.wrap_socket(connection, server_hostname=self.arguments.host)
        return connection

    def send(self, method, target, headers, body):
        """Status and body of the answer. `headers` are complete but for Host."""
        if self.connection is None:
            self.connection = self.connect()
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.arguments.host}:{self.arguments.port}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = self.connection.makefile("rb")
        status = int(answer.readline().split()[1])
        found = {}
        for line in iter(answer.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            found[name.lower()] = value.strip()
        content = answer.read(int(found.get("content-length", "0")))
        if not self.keep_alive or found.get("connection", "").lower() == "close":
            self.connection.close()
            self.connection = None
        return status, content


def event_id(n):
    return f"01JDB3T0C5W7X8Y9Z0ABCDE{n:03}"


def announce(library):
    print(json.dumps({"replay": library}), flush=True)


def report(call, is_good, status, content):
    line = {"call": call, "ok": is_good}
    if is_good:
        line["answer"] = json.loads(content or b"{}")
    else:
        line["error"] = f"{status} {content.decode(errors='replace')}"
    print(json.dumps(line), flush=True)
