"""What docs/asyncapi.json says, and what was heard of it: every message of a channel that passed in either direction."""

import copy
import json
import os

from jsonschema import Draft7Validator, FormatChecker

PATH = os.path.join(os.path.dirname(__file__), "../../../docs/asyncapi.json")


def document():
    with open(PATH) as file:
        return json.load(file)


def strict(node):
    """The same schemas without room for what they do not name: fields, and values of lists that may grow."""
    if isinstance(node, list):
        return [strict(part) for part in node]
    if not isinstance(node, dict):
        return node
    node = {name: strict(part) for name, part in node.items()}
    if node.get("type") == "object" and "properties" in node:
        node.setdefault("additionalProperties", False)
    if "x-extensible-enum" in node:
        node["enum"] = node["x-extensible-enum"]
    return node


class Described:
    """Tells messages apart by their schemas, and remembers which were there."""

    def __init__(self):
        self.document = document()
        components = {"schemas": strict(self.document["components"]["schemas"])}
        messages = self.document["components"]["messages"]
        self.checks = {name: self._checks(message, components) for name, message in messages.items()}
        self.directions = {}
        for operation in self.document["operations"].values():
            channel = operation["channel"]["$ref"].rsplit("/", 1)[1]
            names = [message["$ref"].rsplit("/", 1)[1] for message in operation["messages"]]
            self.directions.setdefault((channel, operation["action"]), set()).update(names)
        self.seen = {}
        self.values = {}
        self.closed = set()

    @staticmethod
    def _checks(message, components):
        def check(schema):
            return Draft7Validator({"allOf": [strict(copy.deepcopy(schema))], "components": components}, format_checker=FormatChecker())

        return check(message["payload"]), check(message.get("headers", {"type": "object", "properties": {}}))

    def names(self, channel, action, payload, headers=None):
        """The messages that this is one of."""
        fits = []
        for name in sorted(self.directions[channel, action]):
            of_payload, of_headers = self.checks[name]
            if of_payload.is_valid(payload) and of_headers.is_valid(headers or {}):
                fits.append(name)
        return fits

    def note(self, channel, action, payload, headers=None):
        """A message that passed; it must be exactly one of those that are described."""
        fits = self.names(channel, action, payload, headers)
        assert len(fits) == 1, f"{channel}, {action}: {payload} {headers} is {fits or 'not described'}"
        self.seen.setdefault((channel, action, fits[0]), (payload, headers))
        for field in self.growing(fits[0]):
            self.values.setdefault((fits[0], field), set()).add(payload[field])

    def growing(self, message):
        """Fields of a message whose values are listed, in a list that may grow; with the list."""
        schema = self.document["components"]["messages"][message]["payload"]["$ref"].rsplit("/", 1)[1]
        fields = self.document["components"]["schemas"][schema].get("properties", {})
        return {name: field["x-extensible-enum"] for name, field in fields.items() if "x-extensible-enum" in field}

    def missing(self):
        """What is described and was never there."""
        return sorted({(*key, name) for key, names in self.directions.items() for name in names} - set(self.seen))
