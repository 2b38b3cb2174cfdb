#!/usr/bin/env python3
"""Says of each text whether it is valid by a JSON schema: judge.py SCHEMA json|yaml <TEXTS

Each line of the input is a text, as a JSON string. For each, a line: "valid", or "invalid: " and why. Without a schema ("-")
"json" and "yaml" turn a text into "valid: " and the JSON of its documents. Exit 77: a library is missing.
"""
import json
import re
import sys

try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(missing, file=sys.stderr)
    sys.exit(77)


class Yaml12(yaml.SafeLoader):
    """The core schema of YAML 1.2, which editors read: on, off, yes, no and 0660 are not what they are in YAML 1.1."""

    yaml_implicit_resolvers = {}


Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
Yaml12.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(null|~|)$"), ["n", "~", ""])
Yaml12.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^[-+]?[0-9]+$"), list("-+0123456789"))
Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)
Yaml12.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value, 10))


def read(text, form):
    if form == "json":
        return [json.loads(text)]
    return list(yaml.load_all(text, Loader=Yaml12))


def main():
    schema_file, form = sys.argv[1:]
    validator = None
    if schema_file != "-":
        with open(schema_file, encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.Draft7Validator.check_schema(schema)
        validator = jsonschema.Draft7Validator(schema)
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    for line in sys.stdin:
        try:
            documents = read(json.loads(line), form)
            errors = [error.message for document in documents for error in validator.iter_errors(document)] if validator else []
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            errors = [str(error)]
        if errors:
            print("invalid: " + errors[0].replace("\n", " ")[:300])
        else:
            print("valid" if validator else "valid: " + json.dumps(documents))


if __name__ == "__main__":
    main()
