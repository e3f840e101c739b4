"""The replay's form: competitions, and what was done to them in the order of time, as the portal's three tables."""

from typing import Any

Tables = dict[str, list[dict[str, Any]]]


def tables_of(replay: dict[str, Any]) -> Tables:
    """What the portal's tables would hold after these operations.

    `approve` and `refund` leave an entry; `legacy_approve` moves the counter only.
    """
    competitions = {
        each["id"]: {
            "id": each["id"],
            "name": each["name"],
            "tenant_id": replay.get("tenant"),
            "total_reservation_tokens": each["quota"],
            "available_reservation_tokens": each["quota"],
            "created_at": min(operation["at"] for operation in replay["operations"]),
        }
        for each in replay["competitions"]
    }
    reservations: dict[str, dict[str, Any]] = {}
    ledger = []
    for number, operation in enumerate(replay["operations"], start=1):
        refund = operation["op"] == "refund"
        change = operation["spaces"] if refund else -operation["spaces"]
        competitions[operation["competition"]]["available_reservation_tokens"] += change
        reservation = reservations.get(operation["reservation"]) or _approved(operation)
        reservations[reservation["id"]] = reservation
        reservation["spaces_confirmed"] -= change
        reservation["status"] = "summarized" if refund else "approved"
        if operation["op"] != "legacy_approve":
            ledger.append(
                {
                    "id": f"replay-{number:06}",
                    "competition_id": operation["competition"],
                    "reservation_id": operation["reservation"],
                    "change_amount": change,
                    "reason": "summary_refund" if refund else "reservation_approval",
                    "created_at": operation["at"],
                }
            )
    return {
        "competitions": list(competitions.values()),
        "reservations": list(reservations.values()),
        "capacity_ledger": ledger,
    }


def _approved(operation: dict[str, Any]) -> dict[str, Any]:
    """A reservation that is just being approved."""
    return {
        "id": operation["reservation"],
        "competition_id": operation["competition"],
        "studio_id": operation["studio"].lower().replace(" ", "-"),
        "studio_name": operation["studio"],
        "spaces_requested": operation["spaces"],
        "spaces_confirmed": 0,
        "approved_at": operation["at"],
        "created_at": operation["at"],
    }
