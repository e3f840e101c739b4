"""Tells schemathesis which of our codes are refusals and what there is, and notes which fields answered with data."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from graphql import (
    ArgumentNode,
    EnumValueNode,
    FieldNode,
    Node,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    Visitor,
    parse,
    parse_value,
    print_ast,
    visit,
)
from schemathesis.specs.graphql import validation

from capacity_gateway.dropin.legacy import CODES

validation.CLIENT_ERROR_MARKERS |= set(CODES.values()) - {"BUSY"}  # INTERNAL is a bug

RESERVATION = "cccc0001-0000-4000-8000-000000000000"
COMPETITION = "79cef00c-e163-449c-9f3c-d021fbb4d672"
VALUES = {
    "competitionId": f'"{COMPETITION}"',
    "reservationId": f'"{RESERVATION}"',
    "eventId": '"demo-summit"',
    "sessionId": '"demo-workshop"',
    "ticketTypeId": '"demo-early-bird"',
    "boothId": '"demo-booth"',
    "userId": '"ada"',
    "guestEmail": '"ann@example.org"',
    "statusFilter": '"WAITING"',
    "promoCode": "null",
    "after": "null",
    "first": "10",
    "count": "2",
    "capacity": "30",
    "quantity": "1",
    "expiresMinutes": "5",
    "changes": '[{ kind: EVENT, ref: "demo-summit", quota: 50 }]',
    "items": '[{ ticketTypeId: "demo-early-bird", quantity: 1 }]',
}
"""What there is in the demo, and what may be, by the names of arguments."""
REFS = {
    "COMPETITION": COMPETITION,
    "EVENT": "demo-summit",
    "STREAM": "demo-summit",
    "SESSION": "demo-keynote",
    "TICKET_TYPE": "demo-early-bird",
    "BOOTH": "demo-booth",
    "HUDDLE": "demo-huddle",
}
IDS_OF_FIELDS = {
    "competition": COMPETITION,
    "reservation": RESERVATION,
    "capacityEvent": "demo-summit",
    "huddle": "demo-huddle",
}
asked: Counter[str] = Counter()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give two of three examples of each field what is there; all else stays as it was made."""
    asked[case.operation.label] += 1
    if asked[case.operation.label] % 3:
        case.body = print_ast(visit(parse(case.body), Known()))


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Note a field that has answered with data."""
    data = response.json().get("data") if response.status_code == 200 else None
    if data and any(value is not None for value in data.values()):
        with Path(os.environ["CAPACITY_TEST_REACHED"]).open("a") as file:
            file.write(f"{case.operation.label}\n")


class Known(Visitor):
    """Puts what is there in the place of what was made up."""

    def __init__(self) -> None:
        super().__init__()
        self._field = ""
        self._kinds: list[str] = []

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        """Remember whose arguments come."""
        self._field = node.name.value
        self._kinds.append(kind_in(node.arguments))

    def leave_field(self, *_: Any) -> None:
        """Forget it."""
        self._kinds.pop()

    def enter_object_value(self, node: ObjectValueNode, *_: Any) -> None:
        """Likewise of an input."""
        self._kinds.append(kind_in(node.fields) or self._kinds[-1])

    def leave_object_value(self, *_: Any) -> None:
        """Likewise."""
        self._kinds.pop()

    def leave_argument(self, node: ArgumentNode, *_: Any) -> Node:
        """An argument."""
        return ArgumentNode(name=node.name, value=self._known(node.name.value, node.value))

    def leave_object_field(self, node: ObjectFieldNode, *_: Any) -> Node:
        """A field of an input."""
        return ObjectFieldNode(name=node.name, value=self._known(node.name.value, node.value))

    def _known(self, name: str, value: Any) -> Any:
        if name == "ref" and (ref := REFS.get(self._kinds[-1])):
            return StringValueNode(value=ref)
        if name == "id" and (known := IDS_OF_FIELDS.get(self._field)):
            return StringValueNode(value=known)
        return parse_value(VALUES[name]) if name in VALUES else value


def kind_in(nodes: Any) -> str:
    """The kind of pools among arguments or fields."""
    kinds = [node.value for node in nodes or () if node.name.value == "kind"]
    return kinds[0].value if kinds and isinstance(kinds[0], EnumValueNode) else ""
