"""customerio-python 3.0 as its requests look: a keep-alive pool, JSON with spaces and ASCII escapes, `{}` as the body of DELETE."""

import json
import math
import urllib.parse

import wire

arguments = wire.Arguments()
transport = wire.Transport(arguments, keep_alive=True)


def escape(text):
    return urllib.parse.quote(str(text), safe="")


def send(call, method, target, data):
    data = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in data.items()}
    body = json.dumps(data, allow_nan=False).encode()
    headers = [
        ("User-Agent", "Customer.io Python Client/3.0.0"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept", "*/*"),
        ("Connection", "keep-alive"),
        ("Content-Length", str(len(body))),
        ("Content-Type", "application/json"),
        ("Authorization", arguments.authorization()),
    ]
    status, content = transport.send(method, target, headers, body)
    wire.report(call, 200 <= status < 300, status, content)


def tell(customer, index):
    person = f"/api/v1/customers/{escape(customer)}"
    email = f"c{index}@example.com"
    send("identify", "PUT", person, {"n": 1, "email": email, "plan": "größer", "score": math.nan})
    send("identify", "PUT", person, {})
    send("track", "POST", f"{person}/events", {"name": "purchase", "data": {"n": 2, "price": 23.45, "items": ["é", None]}})
    send("track", "POST", f"{person}/events",
         {"name": "purchase", "data": {"n": 3}, "id": wire.event_id(index), "timestamp": 1700000000 + index})
    send("pageview", "POST", f"{person}/events", {"type": "page", "name": "https://www.example.com/?a=1&b=é", "data": {"n": 4}})
    send("backfill", "POST", f"{person}/events", {"name": "old", "data": {"n": 5}, "timestamp": 1600000000})
    send("track_anonymous", "POST", "/api/v1/events", {"name": "look", "data": {"n": 1}, "anonymous_id": f"visitor {index}"})
    send("track_anonymous", "POST", "/api/v1/events", {"name": "invite", "data": {"recipient": email}})
    send("add_device", "PUT", f"{person}/devices",
         {"device": {"last_used": 1700000000, "app": "1.0", "id": "token/1", "platform": "ios"}})
    send("delete_device", "DELETE", f"{person}/devices/{escape('token/1')}", {})
    send("suppress", "POST", f"{person}/suppress", {})
    send("unsuppress", "POST", f"{person}/unsuppress", {})
    send("merge_customers", "POST", "/api/v1/merge_customers",
         {"primary": {"id": customer}, "secondary": {"email": f"old{index}@example.com"}})
    send("batch", "POST", "/api/v2/batch", {"batch": [
        {"type": "person", "action": "identify", "identifiers": {"id": customer}, "attributes": {"n": 6}},
        {"type": "person", "action": "event", "identifiers": {"id": customer}, "name": "purchase", "attributes": {"n": 7}},
    ]})
    send("delete", "DELETE", person, {})


wire.announce("customerio-python 3.0, from its wire format")
for index, customer in enumerate(arguments.customers):
    tell(customer, index)
