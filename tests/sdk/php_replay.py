"""printu/customerio 3.6 for PHP as its requests look: Guzzle's keep-alive, `/` and what is not ASCII escaped in JSON, no body and no type where none is needed."""

import json
import urllib.parse

import wire

arguments = wire.Arguments()
transport = wire.Transport(arguments, keep_alive=True)


def escape(text):
    """As rawurlencode does, which the program has to call."""
    return urllib.parse.quote(str(text), safe="")


def send(call, method, target, data=None):
    body = b"" if data is None else json.dumps(data, separators=(",", ":")).replace("/", "\\/").encode()
    headers = [("User-Agent", "GuzzleHttp/7")]
    if data is not None:
        headers.append(("Content-Type", "application/json"))
    headers += [("Authorization", arguments.authorization()), ("Accept", "application/json")]
    if data is not None or method == "POST":
        headers.append(("Content-Length", str(len(body))))
    status, content = transport.send(method, target, headers, body)
    wire.report(call, 200 <= status < 300, status, content)


def tell(customer, index):
    person = f"/api/v1/customers/{escape(customer)}"
    email = f"c{index}@example.com"
    send("add", "PUT", person, {"email": email, "plan": "größer / ü", "n": 1})
    send("event", "POST", f"{person}/events", {"name": "purchase", "data": {"n": 2, "price": 23.45, "items": ["é", None]}})
    send("view", "POST", f"{person}/events", {"type": "page", "name": "https://www.example.com/?a=1&b=é"})
    send("anonymous", "POST", "/api/v1/events", {"name": "look", "anonymous_id": f"visitor {index}", "data": {"n": 1}})
    send("addDevice", "PUT", f"{person}/devices", {"device": {"id": "token/1", "platform": "ios", "last_used": 1700000000}})
    send("deleteDevice", "DELETE", f"{person}/devices/{escape('token/1')}")
    send("suppress", "POST", f"{person}/suppress")
    send("unsuppress", "POST", f"{person}/unsuppress")
    send("merge", "POST", "/api/v1/merge_customers",
         {"primary": {"id": customer}, "secondary": {"email": f"old{index}@example.com"}})
    send("delete", "DELETE", person)


wire.announce("printu/customerio 3.6, from its wire format")
for index, customer in enumerate(arguments.customers):
    tell(customer, index)
