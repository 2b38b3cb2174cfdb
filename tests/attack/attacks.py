"""The attacks. Each takes the build and gives a line that says what was measured; it raises Failed where it got through."""

import base64
import contextlib
import http.client
import json
import re
import resource
import shutil
import socket
import sqlite3
import tempfile
import time

from scene import API_KEY, MEMORY_HIGH, SITE_ID, Daemon, TrackApi, await_true, demand, good_lines, hostile, is_ok, raw, send, track

ATTACKS = []


def attack(is_quick):
    """Marks an attack; the quick ones are part of script/test."""

    def register(function):
        ATTACKS.append((function.__name__.replace("_", "-"), function, is_quick))
        return function

    return register


@contextlib.contextmanager
def scene(build, answer=None, **options):
    api = TrackApi(answer)
    daemon = None
    try:
        daemon = Daemon(build, api.url, **options)
        yield daemon, api
        demand(daemon.is_alive(), "the daemon has ended: " + daemon.log_tail())
    finally:
        if daemon:
            daemon.stop()
            shutil.rmtree(daemon.directory, ignore_errors=True)
        api.close()


def demand_refused(replies, names):
    """Every line was refused; `names` are told for those that were not."""
    taken = [str(name) for name, reply in zip(names, replies) if is_ok(reply)]
    demand(len(replies) == len(names), f"only {len(replies)} of {len(names)} lines were answered")
    demand(not taken, "accepted: " + ", ".join(taken)[:500])


def bomb(fields=45_000):
    return raw("/v1/x", form={str(number): "" for number in range(fields)})


# --- memory


@attack(is_quick=True)
def costly_lines(build):
    """Lines that cost a hundred times their size when they are sent."""
    with scene(build) as (daemon, _):
        query = "&".join(f"{number}=1" for number in range(5000))
        lines = {
            "form": bomb(),
            "query": raw("/v1/x", method="GET", query={str(number): "1" for number in range(5000)}),
            "query in the path": raw("/v1/x?" + query, method="GET"),
            "headers": raw("/v1/x", headers={f"X-{number}": "1" for number in range(5000)}),
        }
        demand_refused(send(daemon.producer, list(lines.values())), lines)
        return f"4 of 4 refused, {daemon.memory() >> 20} MB at most"


@attack(is_quick=True)
def stored_bombs(build):
    """An outbox full of lines that were accepted before they were refused."""
    directory = tempfile.mkdtemp(prefix="attack-")
    with scene(build, directory=directory, connection="    batch: {mode: off}\n") as (daemon, api):
        send(daemon.producer, [raw(f"/v1/bomb/{number}", form={"a": "b"}) for number in range(20)])
        await_true(lambda: api.arrived("/bomb/") == 20, 30)
        daemon.ask("POST", "/v1/connections/default/pause", {})
        send(daemon.producer, [raw(f"/v1/bomb/{number}", form={"a": "b"}) for number in range(40)] + good_lines(20))
        daemon.stop()
        with sqlite3.connect(daemon.outbox) as outbox:
            outbox.execute("UPDATE outbox SET line = ? WHERE type = 'raw'", (bomb(),))
        outbox.close()
        daemon.start()
        daemon.ask("POST", "/v1/connections/default/resume", {})
        await_true(lambda: daemon.status()["outbox"]["jobs"] == 0 or not daemon.is_alive(), 120)
        demand(daemon.is_alive(), "the daemon died of the stored lines")
        demand(api.arrived("/events") + api.arrived("/customers/") >= 20, "the good jobs did not leave")
        peak = daemon.memory()
        demand(peak < MEMORY_HIGH, f"{peak >> 20} MB, more than the unit's MemoryHigh")
        return f"40 stored lines of 480 kB: {peak >> 20} MB at most"


# --- delivery for everybody


def others_beside(build, hostile_lines, answer, good=193, seconds=20, settings=""):
    """How many good jobs were delivered within `seconds` beside the hostile ones."""

    served = set()

    def answer_all(method, path, headers, body):
        if "good-" in path:
            served.add(path)
            return 200, {}, b"{}"
        return answer(method, path, headers, body)

    with scene(build, answer_all, settings=settings) as (daemon, api):
        refused = sum(not is_ok(reply) for reply in send(daemon.producer, hostile_lines))
        # The others come when the harm is done: each of the hostile jobs has had its first attempt, or nothing moves any more.
        still = [0, 0]
        await_true(lambda: api.arrived("") >= len(hostile_lines) or _is_still(api, still), 120)
        start = time.monotonic()
        send(daemon.producer, good_lines(good))
        await_true(lambda: len(served) >= good, seconds)
        spent = time.monotonic() - start
        delivered = len(served)
        demand(delivered >= good, f"{delivered} of {good} others after {seconds} s; {refused} of {len(hostile_lines)} hostile lines were refused")
        return f"{delivered} of {good} others in {spent:.1f} s"


def _is_still(api, seen):
    count = api.arrived("")
    seen[:] = [count, seen[1] + 1 if count == seen[0] else 0]
    return seen[1] > 20


@attack(is_quick=True)
def firewall_403(build):
    """Jobs that a firewall answers 403 for their text."""
    return others_beside(build, [raw(f"/v1/evil/{number}") for number in range(20)], lambda *_: (403, {"Content-Type": "text/html"}, b"<html>blocked</html>"))


@attack(is_quick=False)
def answers_401(build):
    return others_beside(build, [raw(f"/v1/evil/{number}") for number in range(20)], lambda *_: (401, {}, b'{"meta":{"error":"Unauthorized request"}}'))


@attack(is_quick=True)
def redirected_ids(build):
    """Ordinary events whose path a router redirects."""
    return others_beside(build, [track(f"a//{number}") for number in range(20)], lambda *_: (301, {"Location": "http://127.0.0.1:9/elsewhere"}, b""))


@attack(is_quick=True)
def timeouts_of_their_own(build):
    def slow(*_):
        time.sleep(0.3)
        return 200, {}, b"{}"

    lines = [raw(f"/v1/evil/{number}", timeout_ms=1, retry={"max_retries": 100, "delay_ms": 1, "all_errors": True}) for number in range(20)]
    return others_beside(build, lines, slow)


@attack(is_quick=False)
def a_500_of_their_own(build):
    # While there are no others they cannot be told from an outage: the gate's wait has begun when the others come, by chance half a minute.
    return others_beside(build, [raw(f"/v1/evil/{number}") for number in range(20)], lambda *_: (500, {}, b"{}"), seconds=40)


@attack(is_quick=False)
def a_reset_of_their_own(build):
    return others_beside(build, [raw(f"/v1/evil/{number}") for number in range(20)], lambda *_: None)


@attack(is_quick=False)
def not_the_track_api(build):
    return others_beside(build, [raw(f"/v1/evil/{number}", response_type="json") for number in range(20)], lambda *_: (404, {"Content-Type": "text/html"}, b"<html>nothing</html>"))


HAND_OVER = """
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
line = b'{"type":"raw","method":"POST","path":"/v1/evil/%d"}\\n'
count = int(sys.argv[2])
s.sendall(b"".join(line % number for number in range(count)))
answers = b""
while answers.count(b"\\n") < count:
    part = s.recv(65536)
    if not part: break
    answers += part
print(answers.count(b'"ok":true'), flush=True)
time.sleep(600)
"""


@attack(is_quick=False)
def a_crowd_of_another_users(build):
    """Hundreds of one user's jobs that a firewall refuses had paused the connection before another user comes."""
    served = set()

    def answer(_, path, *__):
        if "good-" not in path:
            return 403, {"Content-Type": "text/html"}, b"<html>blocked</html>"
        served.add(path)
        return 200, {}, b"{}"

    with scene(build, answer) as (daemon, _), hostile(HAND_OVER, daemon.producer, 500) as taken:
        await_true(lambda: daemon.status()["connections"][0]["state"] == "paused", 20)
        start = time.monotonic()
        send(daemon.producer, good_lines(193))
        await_true(lambda: len(served) == 193, 60)
        demand(len(served) == 193, f"{len(served)} of 193 others in 60 s beside {taken} of another user")
        return f"193 of 193 others in {time.monotonic() - start:.1f} s beside {taken} of another user"


@attack(is_quick=False)
def deferred_beyond_memory(build):
    """More deferred jobs than memory holds."""
    retry = {"max_retries": 100, "delay_ms": 86_400_000, "all_errors": True}
    lines = [raw(f"/v1/none/{number}", method="GET", retry=retry) for number in range(20_500)]
    return others_beside(build, lines, lambda *_: (404, {}, b'{"meta":{"error":"none"}}'), good=500, seconds=36)


@attack(is_quick=True)
def never_too_old(build):
    """A line that asks for ten years."""
    with scene(build) as (daemon, _):
        demand_refused(send(daemon.producer, [raw("/v1/x", max_age=315_360_000), track("c", max_age=315_360_000)]), ["raw", "track"])
        return "2 of 2 refused"


# --- what may be asked of the API with its credentials


ESCAPES = [
    "/v1/../internal", "/v1/..%2f..%2finternal", "/v1/%2e%2e/internal", "/v1/%2E%2E%2Finternal", "/v1/%252e%252e/internal", "/v1/..%5cinternal",
    "/v1/..\\internal", "/v1/..;/internal", "/v1/..;a=b/internal", "/v1/.%2e/internal", "/v1/%25252e%25252e/internal", "/v1/./x", "/v1/%2e/x", "/v1/x/..",
    "/v1/x/%2e%2e", "/v1/..%252f..%255cinternal", "/v1/..%00/x", "/v1/%2e%2e%3b/x", "/v1/x/%c0%ae%c0%ae/y/..%2f",
]


@attack(is_quick=True)
def dot_segments(build):
    """Paths that leave the base URL behind a proxy that decodes them."""
    with scene(build) as (daemon, api):
        lines = [raw(path) for path in ESCAPES]
        names = list(ESCAPES)
        for device in (".", "..", "%2e%2e", "%2E"):
            lines.append(json.dumps({"type": "delete_device", "id": "7", "device_id": device}))
            names.append("delete_device " + device)
        for customer in (".", ".."):
            lines.append(track(customer))
            names.append("track of " + customer)
        demand_refused(send(daemon.producer, lines), names)
        demand(not api.requests, f"sent: {api.requests[:3]}")
        return f"{len(names)} of {len(names)} refused"


@attack(is_quick=True)
def methods_and_headers(build):
    """Methods and headers that are not a producer's."""
    with scene(build) as (daemon, _):
        lines = {method: raw("/v1/x", method=method) for method in ("CONNECT", "TRACE", "PRI", "trace")}
        for name in ("Connection", "Keep-Alive", "Proxy-Authorization", "Proxy_Connection", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "Expect", "Cookie"):
            lines[name] = raw("/v1/x", headers={name: "x"})
        demand_refused(send(daemon.producer, list(lines.values())), lines)
        return f"{len(lines)} of {len(lines)} refused"


@attack(is_quick=True)
def reflected_credentials(build):
    """A gateway's error page that shows the request."""
    secret = base64.b64encode(f"{SITE_ID}:{API_KEY}".encode()).decode()

    def echo(method, path, headers, body):
        text = f"<html>your request: {method} {path} Authorization: {headers.get('Authorization')} key {API_KEY}</html>".encode()
        return 400, {"Content-Type": "text/html", "Location": "/" + secret}, b"x" * 900 + text

    with scene(build, echo, settings="log: {level: debug}\n") as (daemon, api):
        send(daemon.producer, [raw("/v1/echo/1"), raw("/v1/echo/2", debug=True)])
        await_true(lambda: daemon.status()["outbox"]["jobs"] == 0, 20)
        shown = daemon.ctl("dead", "list", "--json").stdout + daemon.ctl("history", "--json").stdout + daemon.ctl("dead", "export").stdout
        kept = b"".join(path.read_bytes() for path in daemon.directory.iterdir() if path.is_file() and path.name != "outboxd.yaml")
        for name, where in (("what outboxctl shows", shown.encode()), ("a file", kept)):
            demand(secret.encode() not in where and API_KEY.encode() not in where, f"the credentials are in {name}")
            demand(secret[:40].encode() not in where, f"most of the credentials are in {name}")
        demand(api.arrived("/echo/") >= 2, "nothing was asked")
        return "in no file, log or answer"


@attack(is_quick=True)
def number_that_crashes(build):
    """CVE-2024-38517 of RapidJSON."""
    number = "0.000000000000000001e-2147483639"
    with scene(build, lambda *_: (400, {}, b'{"meta":{"error":"' + b"x" + b'"},"v":' + number.encode() + b"}")) as (daemon, _):
        lines = [raw("/v1/x").replace('"method"', f'"body":{{"v":{number}}},"method"', 1), f'{{"type":"track","id":"1","name":"n","data":{{"v":{number}}}}}',
                 f'{{"type":"identify","id":"1","attributes":{{"v":[{number}]}}}}', f'{{"v":{number}}}', number]
        demand(len(send(daemon.producer, lines)) == len(lines), "not every line was answered")
        await_true(lambda: daemon.status()["outbox"]["jobs"] == 0, 20)
        return f"{len(lines)} of {len(lines)} answered"


# --- doors

IDLE_PRODUCERS = """
held = []
for number in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
    try:
        s.connect(sys.argv[1])
        held.append(s)
    except OSError:
        break
print(len(held), flush=True)
time.sleep(600)
"""


@attack(is_quick=True)
def idle_producers(build):
    """One user's idle connections."""
    _allow_files(4096)
    with scene(build) as (daemon, _):
        with hostile(IDLE_PRODUCERS, daemon.producer, 1100) as held:
            replies = send(daemon.producer, good_lines(5), timeout=20)
            demand(sum(map(is_ok, replies)) == 5, f"another user got {len(replies)} of 5 replies beside {held} idle connections")
            return f"beside {held} idle connections of one user another one is served"


FLOOD = """
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
line = b'{"type":"track","id":"flood","name":"n"}\\n'
s.sendall(line * int(sys.argv[2]))
got, answers = b"", 0
while answers < int(sys.argv[2]):
    part = s.recv(65536)
    if not part: break
    answers += part.count(b"\\n")
    got += part
print(got.count(b'"ok":true'), flush=True)
time.sleep(600)
"""


@attack(is_quick=True)
def one_fills_the_outbox(build):
    """One user hands over all the jobs that there may be."""
    with scene(build, outbox="max_jobs: 1000, ") as (daemon, _):
        daemon.ask("POST", "/v1/connections/default/pause", {})
        with hostile(FLOOD, daemon.producer, 3000) as taken:
            replies = send(daemon.producer, good_lines(50))
            accepted = sum(map(is_ok, replies))
            demand(accepted == 50, f"another user: {accepted} of 50 accepted, after {taken} of one user where 1000 may wait")
            return f"{taken} of one user's 3000 accepted, 50 of another's 50"


def _allow_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count), hard), hard))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask_tcp(port, method, path, headers, body=b"", timeout=10):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection.getresponse().status


@attack(is_quick=True)
def web_pages(build):
    """What a page in a browser on this host can send to the endpoint, and what DNS rebinding reads."""
    port, metrics = free_port(), free_port()
    right = "Basic " + base64.b64encode(f"{SITE_ID}:{API_KEY}".encode()).decode()
    body = b'{"delivery_id":"x","metric":"opened","timestamp":1700000000}'
    cases = [
        ("cross-site text/plain", "POST", "/api/v1/metrics", {"Origin": "http://evil.example", "Content-Type": "text/plain"}, 403),
        ("Origin null", "POST", "/push/events", {"Origin": "null", "Content-Type": "text/plain"}, 403),
        ("cross-site by Sec-Fetch-Site", "POST", "/unsubscribe/abc", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("same-site is not same-origin", "POST", "/api/v1/metrics", {"Sec-Fetch-Site": "same-site"}, 403),
        ("a page with the key", "POST", "/api/v1/metrics", {"Origin": "http://evil.example", "Authorization": right}, 403),
        ("DNS rebinding", "POST", "/api/v1/metrics", {"Host": "evil.example"}, 421),
        ("no credentials", "POST", "/api/v1/metrics", {"Content-Type": "application/json"}, 401),
        ("no credentials, push", "POST", "/push/events", {}, 401),
        ("no credentials, unsubscribe", "POST", "/unsubscribe/abc", {}, 401),
    ]
    track_config = f"  track: [{{tcp: 127.0.0.1:{port}}}]\n"
    with scene(build, track=track_config, settings=f"metrics: {{tcp: 127.0.0.1:{metrics}}}\n") as (daemon, api):
        wrong = []
        for name, method, path, headers, expected in cases:
            status = ask_tcp(port, method, path, headers, body)
            if status != expected:
                wrong.append(f"{name}: {status}, not {expected}")
        status = ask_tcp(metrics, "GET", "/metrics", {"Host": "evil.example:9480"})
        if status != 421:
            wrong.append(f"metrics by another name: {status}, not 421")
        if ask_tcp(metrics, "GET", "/metrics", {}) != 200:
            wrong.append("metrics are not to be had at all")
        if ask_tcp(port, "POST", "/api/v1/metrics", {"Authorization": right, "Content-Type": "application/json"}, body) >= 300:
            wrong.append("with credentials: refused")
        time.sleep(0.5)
        if len(api.requests) > 1:
            wrong.append(f"{len(api.requests)} requests were sent on")
        demand(not wrong, "; ".join(wrong))
        return f"{len(cases) + 1} of {len(cases) + 1} refused"


@attack(is_quick=True)
def open_paths(build):
    """Where `open_paths` lets anybody hand over metrics: no other job, no web page, never with our credentials."""
    port = free_port()
    right = "Basic " + base64.b64encode(f"{SITE_ID}:{API_KEY}".encode()).decode()
    carried = []  # (path, whether the request had credentials)

    def answer(_, path, headers, __):
        carried.append((path, headers.get("Authorization") is not None))
        return 200, {}, b"{}"

    metric = b'{"delivery_id":"x","metric":"opened","timestamp":1700000000}'
    closed = [
        ("an event", "POST", "/api/v1/events", {}, b'{"name":"e"}', 401),
        ("a customer", "PUT", "/api/v1/customers/7", {}, b"{}", 401),
        ("an event behind an open path", "POST", "/unsubscribe/../api/v1/events", {}, b'{"name":"e"}', None),
        ("the same, encoded", "POST", "/unsubscribe/%2e%2e%2fapi%2fv1%2fevents", {}, b'{"name":"e"}', None),
        ("a wrong key", "POST", "/api/v1/metrics", {"Authorization": "Basic eDp5"}, metric, 401),
        ("a web page", "POST", "/api/v1/metrics", {"Origin": "null", "Content-Type": "text/plain"}, metric, 403),
        ("DNS rebinding", "POST", "/api/v1/metrics", {"Host": "evil.example"}, metric, 421),
        ("a long body", "POST", "/api/v1/metrics", {}, metric + b" " * 20_000, 413),
    ]
    with scene(build, answer, track=f"  track: [{{tcp: 127.0.0.1:{port}, open_paths: true}}]\n") as (daemon, _):
        wrong = []
        for name, method, path, headers, body, expected in closed:
            status = ask_tcp(port, method, path, headers, body)
            if status < 400 or (expected and status != expected):
                wrong.append(f"{name}: {status}, not {expected or 'refused'}")
        opened = {"/api/v1/metrics": metric, "/push/events": b'{"delivery_id":"x","event":"opened","device_id":"d","timestamp":1700000000}', "/unsubscribe/abc": metric}
        for path, body in opened.items():
            status = ask_tcp(port, "POST", path, {"Content-Type": "application/json"}, body)
            if status >= 300:
                wrong.append(f"{path} is not open: {status}")
        if ask_tcp(port, "POST", "/api/v1/metrics", {"Authorization": right, "Content-Type": "application/json"}, metric) >= 300:
            wrong.append("with credentials: refused")
        await_true(lambda: len(carried) >= 4, 20)
        if sorted(has for _, has in carried) != [False, False, False, True]:
            wrong.append(f"sent, and whether with credentials: {carried}")
        demand(not wrong, "; ".join(wrong))
        return f"{len(closed)} of {len(closed)} refused, 3 open ones sent without credentials"


@attack(is_quick=True)
def dripping_heads(build):
    """Connections whose request never ends, on the endpoint and for metrics."""
    _allow_files(8192)
    port, metrics = free_port(), free_port()
    right = "Basic " + base64.b64encode(f"{SITE_ID}:{API_KEY}".encode()).decode()
    with scene(build, track=f"  track: [{{tcp: 127.0.0.1:{port}}}]\n", settings=f"metrics: {{tcp: 127.0.0.1:{metrics}}}\n") as (daemon, _):
        held = []
        for target, count in ((port, 1100), (metrics, 300)):
            for _ in range(count):
                with contextlib.suppress(OSError):
                    connection = socket.create_connection(("127.0.0.1", target), timeout=1)
                    connection.sendall(b"POST /api/v1/x HTTP/1.1\r\nHost: localhost\r\nX: ")
                    held.append(connection)
        try:
            start = time.monotonic()
            served = None
            while time.monotonic() - start < 30:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if ask_tcp(metrics, "GET", "/metrics", {}, timeout=2) == 200 and ask_tcp(
                            port, "PUT", "/api/v1/customers/7", {"Authorization": right, "Content-Type": "application/json"}, b"{}", timeout=2) == 200:
                        served = time.monotonic() - start
                        break
            demand(served is not None, f"nobody else is served for 30 s beside {len(held)} connections")
            return f"others served after {served:.1f} s beside {len(held)} connections"
        finally:
            for connection in held:
                connection.close()


@attack(is_quick=True)
def two_lengths(build):
    """Requests whose end two readers see in two places."""
    port = free_port()
    heads = {
        "two lengths": "Content-Length: 2\r\nContent-Length: 3\r\n",
        "length and chunks": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    }
    with scene(build, track=f"  track: [{{tcp: 127.0.0.1:{port}}}]\n") as (_, api):
        wrong = []
        for name, head in heads.items():
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(f"POST /api/v1/metrics HTTP/1.1\r\nHost: localhost\r\n{head}\r\n0\r\n\r\n".encode())
                with contextlib.suppress(OSError):
                    answer = connection.recv(200).decode(errors="replace")
                if " 400 " not in answer.split("\r\n")[0] + " ":
                    wrong.append(f"{name}: {answer.splitlines()[:1]}")
        demand(not wrong, "; ".join(wrong))
        return f"{len(heads)} of {len(heads)} refused"


@attack(is_quick=True)
def port_taken(build):
    """Somebody else listens on the endpoint's port."""
    port = free_port()
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with scene(build, track=f"  track: [{{tcp: 127.0.0.1:{port}}}]\n") as (daemon, api):
            send(daemon.producer, good_lines(3))
            demand(await_true(lambda: api.delivered == 3, 10), "jobs are not delivered")
            demand(str(port) in daemon.log.read_text(), "the log does not say so")
            squatter.close()
            demand(await_true(lambda: _connects(port), 70), "the port is not taken when it is free")
            return "started, told, and listens once the port is free"


def _connects(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


@attack(is_quick=True)
def password_guesses(build):
    """Guesses leave a trace in the log, and not a line each."""
    port = free_port()
    with scene(build, track=f"  track: [{{tcp: 127.0.0.1:{port}}}]\n") as (daemon, _):
        for number in range(300):
            status = ask_tcp(port, "PUT", "/api/v1/customers/7", {"Authorization": "Basic " + "eDp5" + "AAAA" * (number % 3)}, b"{}")
            demand(status == 401, f"a wrong key was answered {status}")
        demand(await_true(lambda: "401" in daemon.log.read_text() or "credentials" in daemon.log.read_text(), 5), "not a word in the log")
        lines = daemon.log.read_text().count("\n")
        demand(lines < 100, f"{lines} lines of log")
        return f"300 guesses, {lines} lines of log"


@attack(is_quick=True)
def debug_floods_the_log(build):
    with scene(build) as (daemon, api):
        lines = [raw(f"/v1/d/{number}", debug=True, body="x" * 50_000) for number in range(300)]
        send(daemon.producer, lines)
        await_true(lambda: api.arrived("/d/") >= 300, 30)
        size = daemon.log.stat().st_size
        demand(size < 5_000_000, f"{size / 1e6:.1f} MB of log")
        return f"{size / 1e6:.1f} MB of log for 15 MB of jobs"


# --- files of outboxctl


@attack(is_quick=True)
def planted_links(build):
    """Links where outboxctl writes its files."""
    with scene(build) as (daemon, _):
        victim = daemon.directory / "victim"
        victim.write_text("precious\n")
        lines = "\n".join(good_lines(3) + ['{"type":"nonsense"}']) + "\n"
        for suffix in (".outboxd-import.new", ".outboxd-import", ".rejects"):
            folder = daemon.directory / ("import" + suffix)
            folder.mkdir(mode=0o777)
            file = folder / "jobs.ndjson"
            file.write_text(lines)
            (folder / (file.name + suffix)).symlink_to(victim)
            daemon.ctl("import", str(file), "--rejects", str(folder / (file.name + ".rejects")))
            daemon.ctl("dead", "export", "--out", str(folder / (file.name + ".rejects")))
            demand(victim.read_text() == "precious\n", f"a file was written through the link {suffix}: {victim.read_text()[:60]!r}")
        clean = daemon.directory / "clean"
        clean.mkdir()
        other = clean / "jobs.ndjson"
        other.write_text(lines)
        imported = daemon.ctl("import", str(other), "--rejects", str(clean / "rejects"))
        daemon.ctl("dead", "export", "--out", str(clean / "dead"))
        made = [path.name for path in clean.iterdir() if path != other]
        demand(made, f"outboxctl made no file: {imported.stdout} {imported.stderr}")
        loose = [path.name for path in clean.iterdir() if path != other and path.stat().st_mode & 0o077]
        demand(not loose, "others may read " + ", ".join(loose))
        return "nothing was written through a link; all files are 0600"


@attack(is_quick=True)
def terminal_in_json(build):
    """Control characters that a terminal obeys, in --json."""
    with scene(build, lambda *_: (400, {}, '{"meta":{"error":"\x9b31m\u202eevil\u2066"}}'.encode())) as (daemon, _):
        send(daemon.producer, [track("c\u009b31m\u202e", "n\u0085")])
        await_true(lambda: daemon.status()["outbox"]["jobs"] == 0, 20)
        shown = daemon.ctl("dead", "list", "--json").stdout + daemon.ctl("history", "--json").stdout
        found = re.findall("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
        demand(shown, "outboxctl shows nothing")
        demand(not found, f"raw in the output: {[hex(ord(one)) for one in found[:5]]}")
        return "escaped"
