"""The story that script/demo tells, against programs that are built already. Everything runs in a temporary directory of its own, on Unix
sockets and one loopback port; what was started is stopped again, also after a failure or an interrupt."""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request

SITE_ID = "demo-site"
FIRST_KEY = "demo-key-of-last-year"
SECOND_KEY = "demo-key-of-this-year"
CUSTOMERS = 300
DEADLINE_S = 60

# Waits are short, so that the story is; nothing else differs from the defaults.
CONFIG = """\
outbox: {{path: {dir}/outbox.db}}
listen:
  producer: {{path: {dir}/outboxd.sock}}
  admin: {{path: {dir}/admin.sock}}
connections:
  default:
    base_url: http://127.0.0.1:{port}
    site_id: {site_id}
    api_key_file: {dir}/api_key
    probe_interval: 200ms
retry: {{base: 100ms, cap: 1s}}
"""


class DemoFailed(Exception):
    pass


def say(text=""):
    print(textwrap.fill(text, 100) if text else "", flush=True)


def heading(text):
    print(f"\n== {text} {'=' * max(3, 96 - len(text))}\n", flush=True)


def await_that(what, condition):
    """Polls until `condition` returns something true, and returns that."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {DEADLINE_S} s for this: {what}")
        time.sleep(0.02)


class Events:
    """What a shop would send. The same every time; numbered per customer by a member `n`, by which the simulated API checks the order."""

    PAGES = ["/", "/pricing", "/shoes", "/shoes/trail-9", "/cart", "/checkout", "/help/returns"]
    CITIES = ["Zürich", "São Paulo", "København", "東京", "Portland", "Kraków"]

    def __init__(self):
        self.random = random.Random(20260101)
        self.numbers = {}

    def next_number(self, customer):
        self.numbers[customer] = self.numbers.get(customer, 0) + 1
        return self.numbers[customer]

    def identify(self, customer):
        attributes = {"n": self.next_number(customer), "email": f"customer{customer}@example.com", "city": self.random.choice(self.CITIES),
                      "plan": self.random.choice(["free", "pro", "team"]), "age": self.random.randint(18, 90), "vip": self.random.random() < 0.05}
        return {"type": "identify", "id": customer, "attributes": attributes}

    def track(self, customer, name):
        data = {"n": self.next_number(customer), "price": self.random.randint(500, 20000) / 100, "currency": "EUR",
                "items": [{"sku": f"SKU-{self.random.randint(100, 999)}", "quantity": self.random.randint(1, 3)}]}
        return {"type": "track", "id": customer, "name": name, "data": data, "ref": f"{customer}/{data['n']}"}

    def pageview(self, customer):
        url = "https://shop.example.com" + self.random.choice(self.PAGES)
        return {"type": "pageview", "id": customer, "url": url, "data": {"n": self.next_number(customer), "referrer": "newsletter"}}

    def some(self, count):
        jobs = []
        for _ in range(count):
            customer = str(1000 + self.random.randrange(CUSTOMERS))
            dice = self.random.random()
            if customer not in self.numbers or dice < 0.1:
                jobs.append(self.identify(customer))
            elif dice < 0.6:
                jobs.append(self.pageview(customer))
            else:
                jobs.append(self.track(customer, self.random.choice(["cart_updated", "purchase", "newsletter_opened"])))
        return jobs


class Demo:
    def __init__(self, programs):
        self.programs = programs
        self.dir = tempfile.mkdtemp(prefix="outboxd-demo-", dir="/tmp")
        self.log = open(os.path.join(self.dir, "outboxd.log"), "ab")
        self.processes = []
        self.daemon = None
        self.port = 0
        self.events = Events()
        self.files = 0
        self.before_restart = {"accepted": 0, "delivered": 0}

    # --- programs ------------------------------------------------------------------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def start(self, *command):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.processes.append(process)
        return process

    def start_simulated_api(self):
        self.start(self.programs.track_sim, "--listen", "127.0.0.1:0", "--site-id", SITE_ID, "--api-key", FIRST_KEY,
                   "--port-file", self.path("port"))
        await_that("the simulated API listens", lambda: os.path.exists(self.path("port")))
        with open(self.path("port"), encoding="utf-8") as file:
            self.port = int(file.read())

    def start_daemon(self):
        self.daemon = self.start(self.programs.outboxd, "--config", self.path("outboxd.yaml"))

        def is_up():
            if self.daemon.poll() is not None:
                raise DemoFailed(f"outboxd ended at its start with exit code {self.daemon.returncode}")
            return self.run_ctl("--json", "status").returncode == 0

        await_that("outboxd answers", is_up)

    def stop_daemon(self):
        self.daemon.send_signal(signal.SIGTERM)
        code = self.daemon.wait(DEADLINE_S)
        if code != 0:
            raise DemoFailed(f"outboxd stopped with exit code {code}")

    def clean_up(self, keep_files):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()
        if not keep_files:
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- outboxctl -----------------------------------------------------------------------------------------------------------------------

    def run_ctl(self, *arguments):
        command = [self.programs.outboxctl, "--config", self.path("outboxd.yaml"), *arguments]
        return subprocess.run(command, cwd=self.dir, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def ctl(self, *arguments):
        """Runs outboxctl as a person would, and shows it."""
        print("  $ outboxctl " + " ".join(arguments))
        done = self.run_ctl(*arguments)
        for line in (done.stdout + done.stderr).splitlines():
            print(("    " + line).rstrip())
        print(flush=True)
        if done.returncode != 0:
            raise DemoFailed(f"outboxctl {' '.join(arguments)} ended with exit code {done.returncode}")

    def ask(self, *arguments):
        done = self.run_ctl("--json", *arguments)
        if done.returncode != 0:
            raise DemoFailed(f"outboxctl {' '.join(arguments)}: {done.stderr.strip()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def status(self):
        return self.ask("status")[0]

    def connection(self):
        return self.status()["connections"][0]

    def import_jobs(self, jobs):
        self.files += 1
        name = f"events-{self.files}.ndjson"
        self.write(name, "".join(json.dumps(job, ensure_ascii=False) + "\n" for job in jobs))
        self.ctl("import", name)

    def await_delivery(self):
        await_that("the outbox is empty", lambda: self.status()["outbox"]["jobs"] == 0)

    # --- the simulated API ---------------------------------------------------------------------------------------------------------------

    def ask_api(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_sim/{path}", data=data, timeout=10) as answer:
            return answer.read().decode()

    def script_api(self, *rules):
        self.ask_api("script", {"rules": list(rules)})

    def report(self):
        return json.loads(self.ask_api("report"))

    # --- the story -----------------------------------------------------------------------------------------------------------------------

    def tell(self):
        self.write("api_key", FIRST_KEY + "\n")
        self.start_simulated_api()
        self.write("outboxd.yaml", CONFIG.format(dir=self.dir, port=self.port, site_id=SITE_ID))
        self.start_daemon()
        self.show_delivery()
        self.show_outage()
        self.show_refused_credentials()
        self.show_poisoned_events()
        self.show_result()
        self.stop_daemon()

    def show_delivery(self):
        heading("1. Delivery")
        say(f"A shop hands over 4,000 events of {CUSTOMERS} customers. Each is safe on disk before it counts as accepted.")
        say()
        self.import_jobs(self.events.some(4000))
        self.await_delivery()
        self.ctl("status")

    def show_outage(self):
        heading("2. An outage")
        say("From here on the Track API answers 503 to everything. The shop goes on as if nothing had happened.")
        say()
        self.script_api({"match": {}, "action": {"status": 503}})
        self.import_jobs(self.events.some(2500))
        await_that("the connection is closed", lambda: self.connection()["failures"] >= 2)
        self.ctl("status")
        self.ctl("explain", self.ask("list", "--state", "blocked", "--limit", "1")[0]["job"])

        status = self.status()
        waiting = status["outbox"]["jobs"]
        for name in self.before_restart:
            self.before_restart[name] = status["totals"][name]
        say(f"{waiting:,} jobs wait. As if that were not enough, outboxd is killed with SIGKILL and started again.")
        say()
        self.daemon.kill()
        self.daemon.wait()
        self.start_daemon()
        self.check("jobs still there after SIGKILL", self.status()["outbox"]["jobs"], waiting)

        say("The outage ends; but 20 purchases take effect without their answers coming back, so outboxd has to send them again.")
        self.script_api({"match": {"event": "purchase", "count": 20}, "action": {"reset_after_effect": True}})
        self.await_delivery()
        report = self.report()
        self.check("sent again and ignored for their id", report["repeated_ulids"], 20)
        self.check("out of order", report["order_violations"], 0)

    def show_refused_credentials(self):
        heading("3. Refused credentials")
        say("The API key is rotated at Customer.io, and nobody has told outboxd. It accepts, waits and lets nothing die.")
        say()
        self.ask_api("credentials", {"site_id": SITE_ID, "api_key": SECOND_KEY})
        self.import_jobs(self.events.some(1000))
        await_that("the connection is paused for its credentials", lambda: self.connection()["pause"] == "auth")
        self.ctl("status")
        self.check("dead letters", self.status()["outbox"]["dead"], 0)

        say("Now the new key is put into the file that the config names. No restart, no reload, no redrive:")
        self.write("api_key", SECOND_KEY + "\n")
        self.await_delivery()
        self.check("connection", self.connection()["state"], "open")

    def show_poisoned_events(self):
        heading("4. A poisoned event")
        say("The Track API will not have refunds. They can only be refused again, so they must not hold up the others.")
        say()
        answer = {"meta": {"error": "refund: data.currency 'EUR' is not set up for this workspace"}}
        self.script_api({"match": {"event": "refund"}, "action": {"status": 400, "body": json.dumps(answer)}})
        refunds = [self.events.track(str(1000 + customer), "refund") for customer in (17, 118, 219)]
        others = [self.events.pageview(str(2000 + customer)) for customer in range(497)]
        self.import_jobs(refunds + others)
        self.await_delivery()
        self.check("dead letters", self.status()["outbox"]["dead"], len(refunds))
        self.ctl("dead", "groups")
        job = self.ask("dead", "list")[0]["job"]
        self.ctl("dead", "show", job)

        say("The currency is set up, and the dead letters go back into the queue, with the ids and times they had.")
        say()
        self.script_api()
        self.ctl("dead", "redrive", "--status", "400")
        self.await_delivery()
        self.ctl("history", job)

    def check(self, what, found, wanted):
        shown = f"{found:,}" if isinstance(found, int) else found
        print(f"  {what}: {shown}\n", flush=True)
        if found != wanted:
            raise DemoFailed(f"{what}: {found} instead of {wanted}")

    def lost(self):
        """How many of the numbers given out never took effect."""
        arrived = set()
        for line in self.ask_api("effects").splitlines():
            effect = json.loads(line)
            arrived.add((effect["customer"], effect["n"]))
        return sum((customer, n) not in arrived for customer, last in self.events.numbers.items() for n in range(1, last + 1))

    def show_result(self):
        heading("Result")
        report = self.report()
        status = self.status()
        sent = sum(self.events.numbers.values())
        accepted, delivered = (self.before_restart[name] + status["totals"][name] for name in ("accepted", "delivered"))
        rows = [
            ("accepted", accepted, sent, "by outboxd, before and after the SIGKILL"),
            ("delivered", delivered, sent, "by outboxd's count"),
            ("took effect", report["effects"], sent, "by the simulated API's count"),
            ("waiting", status["outbox"]["jobs"], 0, ""),
            ("dead", status["outbox"]["dead"], 0, "3 were, until their redrive"),
            ("lost", self.lost(), 0, "looked up one by one"),
            ("out of order", report["order_violations"], 0, "within a customer"),
            ("overlapping", report["overlaps"], 0, "two requests of one customer at a time"),
            ("doubled", report["doubled"], 0, f"{report['repeated_ulids']} were sent again and ignored for their id"),
        ]
        for name, found, wanted, remark in rows:
            mark = "ok" if found == wanted else f"WRONG: should be {wanted:,}"
            print(f"  {name:<14}{found:>7,}  {mark:<4} {remark}".rstrip())
        print(flush=True)
        wrong = [name for name, found, wanted, _ in rows if found != wanted]
        if wrong:
            raise DemoFailed("figures that are not right: " + ", ".join(wrong))


def read_arguments():
    parser = argparse.ArgumentParser(description="Tells the story of script/demo with programs that are built already.")
    for program in ("outboxd", "outboxctl", "track-sim"):
        parser.add_argument("--" + program, required=True, type=os.path.abspath)
    return parser.parse_args()


def end_on_signal(number, _frame):
    raise SystemExit(128 + number)


def main():
    programs = read_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, end_on_signal)
    started = time.monotonic()
    demo = Demo(programs)
    failed = False
    try:
        demo.tell()
        print(f"All figures are right ({time.monotonic() - started:.0f} s).")
        return 0
    except (DemoFailed, OSError, subprocess.SubprocessError) as error:
        failed = True
        print(f"\nscript/demo: {error}\nThe logs, the config and the outbox are kept in {demo.dir}", file=sys.stderr)
        return 1
    finally:
        demo.clean_up(keep_files=failed)


if __name__ == "__main__":
    sys.exit(main())
