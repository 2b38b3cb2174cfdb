"""customerio-ruby 6.2 as its requests look: a connection for each request, compact raw UTF-8, suppress as an empty form."""

import json
import urllib.parse

import wire

arguments = wire.Arguments()
transport = wire.Transport(arguments, keep_alive=False)


def escape(text):
    return urllib.parse.quote(str(text), safe="")


def send(call, method, target, data=None):
    headers = [("User-Agent", "Customer.io Ruby Client/6.2.0"), ("Authorization", arguments.authorization())]
    body = b""
    if data is not None:
        body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    elif method == "POST":
        headers += [("Content-Length", "0"), ("Content-Type", "application/x-www-form-urlencoded")]
    status, content = transport.send(method, target, headers, body)
    wire.report(call, 200 <= status < 300, status, content)


def tell(customer, index):
    person = f"/api/v1/customers/{escape(customer)}"
    email = f"c{index}@example.com"
    send("identify", "PUT", person, {"id": customer, "n": 1, "email": email, "plan": "größer"})
    send("track", "POST", f"{person}/events", {"name": "purchase", "data": {"n": 2, "price": 23.45, "items": ["é", None]}})
    send("track", "POST", f"{person}/events",
         {"name": "purchase", "data": {"n": 3, "timestamp": 1700000000}, "timestamp": 1700000000, "id": wire.event_id(index)})
    send("pageview", "POST", f"{person}/events", {"name": "https://www.example.com/?a=1&b=é", "data": {"n": 4}, "type": "page"})
    send("track_anonymous", "POST", "/api/v1/events", {"name": "look", "data": {"n": 1}, "anonymous_id": f"visitor {index}"})
    send("track_anonymous", "POST", "/api/v1/events", {"name": "invite", "data": {"recipient": email}})
    send("add_device", "PUT", f"{person}/devices",
         {"device": {"last_used": 1700000000, "app": "1.0", "id": "token/1", "platform": "ios"}})
    send("delete_device", "DELETE", f"{person}/devices/{escape('token/1')}")
    send("suppress", "POST", f"{person}/suppress")
    send("unsuppress", "POST", f"{person}/unsuppress")
    send("track_push_notification_event", "POST", "/push/events",
         {"delivery_id": f"delivery{index}", "device_id": "token/1", "timestamp": 1700000000, "event": "opened"})
    send("track_delivery_metric", "POST", "/api/v1/metrics",
         {"delivery_id": f"delivery{index}", "timestamp": 1700000000, "recipient": email, "metric": "opened"})
    send("merge_customers", "POST", "/api/v1/merge_customers",
         {"primary": {"id": customer}, "secondary": {"email": f"old{index}@example.com"}})
    send("batch", "POST", "/api/v2/batch", {"batch": [
        {"type": "person", "action": "identify", "identifiers": {"id": customer}, "attributes": {"n": 5}},
        {"type": "person", "action": "event", "identifiers": {"id": customer}, "name": "purchase", "attributes": {"n": 6}},
    ]})
    send("delete", "DELETE", person)


wire.announce("customerio-ruby 6.2, from its wire format")
for index, customer in enumerate(arguments.customers):
    tell(customer, index)
