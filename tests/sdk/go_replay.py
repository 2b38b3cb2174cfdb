"""go-customerio 3.8 as its requests look: URL-safe base64, sorted keys, null for nil, path escapes that leave `+ @ ~` alone. Only 200 is success."""

import base64
import json
import urllib.parse

import wire

arguments = wire.Arguments()
transport = wire.Transport(arguments, keep_alive=True)


def escape(text):
    return urllib.parse.quote(text, safe="$&+=:@~")


def in_wire_order(value):
    """Maps are written in the order of their keys; what stands here as a list of pairs is a struct and keeps its own."""
    if isinstance(value, dict):
        return {key: in_wire_order(value[key]) for key in sorted(value)}
    if isinstance(value, tuple):
        return {key: in_wire_order(member) for key, member in value}
    return [in_wire_order(item) for item in value] if isinstance(value, list) else value


def marshal(value):
    text = json.dumps(in_wire_order(value), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def send(call, method, target, *data):
    headers = [("User-Agent", "Customer.io Go Client/3.8.0")]
    body = b""
    if data:
        body = marshal(data[0])
        headers += [("Content-Length", str(len(body))), ("Content-Type", "application/json")]
    headers += [("Authorization", arguments.authorization(base64.urlsafe_b64encode)), ("Accept-Encoding", "gzip")]
    status, content = transport.send(method, target, headers, body)
    wire.report(call, status == 200, status, content)


def tell(customer, index):
    person = f"/api/v1/customers/{escape(customer)}"
    email = f"c{index}@example.com"
    send("Identify", "PUT", person, {"plan": "<größer> & mehr", "n": 1, "email": email})
    send("Identify", "PUT", person, None)
    send("Track", "POST", f"{person}/events", {"name": "purchase", "data": {"price": 23.45, "n": 2, "items": ["é", None]}})
    send("Track", "POST", f"{person}/events", {"name": "bare", "data": None})
    send("Track", "POST", f"{person}/events",
         {"name": "purchase", "data": {"n": 3}, "id": wire.event_id(index), "timestamp": 1700000000 + index})
    send("Track", "POST", f"{person}/events", {"name": "https://www.example.com/?a=1&b=é", "data": {"n": 4}, "type": "page"})
    send("TrackAnonymous", "POST", "/api/v1/events", {"name": "look", "data": {"n": 1}, "anonymous_id": f"visitor {index}"})
    send("TrackAnonymous", "POST", "/api/v1/events", {"name": "invite", "data": {"recipient": email}})
    send("AddDevice", "PUT", f"{person}/devices",
         {"device": (("id", "token/1"), ("platform", "ios"), ("last_used", "1700000000"), ("attributes", {"app": "1.0"}))})
    send("AddDevice", "PUT", f"{person}/devices", {"device": (("id", "token2"), ("platform", "android"), ("attributes", None))})
    send("DeleteDevice", "DELETE", f"{person}/devices/{escape('token/1')}")
    send("MergeCustomers", "POST", "/api/v1/merge_customers",
         {"primary": {"id": customer}, "secondary": {"email": f"old{index}@example.com"}})
    send("AddPeopleToSegment", "POST", "/api/v1/segments/7/add_customers", {"ids": [customer, f"other{index}"]})
    send("RemovePeopleFromSegment", "POST", "/api/v1/segments/7/remove_customers", {"ids": [customer]})
    send("Delete", "DELETE", person)


wire.announce("go-customerio 3.8, from its wire format")
for index, customer in enumerate(arguments.customers):
    tell(customer, index)
