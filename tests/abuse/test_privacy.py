"""What is known of people: not in the logs, and erased when asked for, while the ledger stays provable."""

import logging
from typing import Any

import asyncpg
import pytest

from capacity_gateway.domains import events, tickets
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.erasure import erase
from conftest import TENANT, Gateway
from subscribing import serving

EMAIL = "Ann.Secret@Example.ORG"
MARKS = ("ann.secret", "secret name", "+49 170 5550", "eyJ", "a-secret-key", "secretfield", "secret.note")
EVENT = 'mutation { createEvent(input: {id: "e", name: "E", quota: 9}) { __typename } }'
TICKET = """mutation {
  createTicketType(input: {id: "t", eventId: "e", name: "T", quota: 9, price: 0, currency: "EUR"}) { __typename }
}"""
GUEST = """mutation ($email: String!) { register(input: {
  eventId: "e", guestEmail: $email, guestName: "Secret Name", idempotencyKey: "a-secret-key"
}) { __typename ... on CapacityError { message } } }"""
ORDER = """mutation ($email: String!) { holdTickets(input: {
  eventId: "e", idempotencyKey: "o", guestEmail: $email, guestName: "Secret Name", guestPhone: "+49 170 5550",
  lines: [{ ticketTypeId: "t", quantity: 1 }]
}) { __typename ... on CapacityError { message } } }"""
STORED = "SELECT claim.title || claim.facts::text FROM capacity.claim ORDER BY id"


async def people(gateway: Gateway) -> None:
    """An event with a guest and a guest's order, beside another guest."""
    for document in (EVENT, TICKET):
        assert (await gateway.send(document, headers=gateway.login("ada", "admin")))["__typename"] == "PoolSuccess"
    for key, email in (("k1", EMAIL), ("k2", "bob@example.org")):
        guest = await gateway.send(GUEST.replace("a-secret-key", key), {"email": email}, headers={})
        assert guest["__typename"] == "RegistrationSuccess", guest
    order = await gateway.send(ORDER, {"email": EMAIL}, headers=gateway.login("shop", "service"))
    assert order["__typename"] == "OrderSuccess", order


async def test_nothing_private_is_logged(
    owner_url: str,
    owner: asyncpg.Connection,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No token, address, name, key or body, whatever goes wrong: requests, refusals, bugs, the database."""
    caplog.set_level(logging.DEBUG)
    async with serving(owner_url) as served:
        gateway = served.gateway
        await people(gateway)
        login = gateway.login("ann.secret", "admin", email=EMAIL)
        variables: dict[str, Any] = {"email": EMAIL}
        for _ in range(2):
            await gateway.post(GUEST, variables, login)
            await gateway.post(GUEST, {"email": "ann.secret"}, login)
            await gateway.post(GUEST, {"email": [EMAIL]}, login)
            await gateway.post("{ secretfield }", headers=login)
            await gateway.post("{ secretfield", headers=login | {"authorization": login["authorization"] + "x"})
            await gateway.http.post("/graphql", content=f'{{"query": "{EMAIL}', headers=login)
        await owner.execute("ALTER TABLE capacity.claim ADD CHECK (title <> 'Secret Name') NOT VALID")
        await owner.execute("REVOKE SELECT ON capacity.ledger FROM capacity_app")
        await gateway.post(GUEST, {"email": "x." + EMAIL}, {})
        await gateway.post("{ ledgerActivity { totalCount edges { node { id } } } }", headers=login)
        async with served.client(login) as client:
            await (await client.ask("{ ledgerActivity { edges { node { id } } } }")).message()
    logged = (caplog.text + "".join(capfd.readouterr())).lower()

    assert "unexpected error" in logged
    assert [mark for mark in MARKS if mark.lower() in logged] == [], logged


async def test_addresses_are_stored_in_small_letters(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """Of registrations and of orders, so that one is found however it is written."""
    await people(gateway)
    stored = [row["facts"] for row in await owner.fetch("SELECT facts::text AS facts FROM capacity.claim")]

    assert sum(EMAIL.casefold() in facts for facts in stored) == 2
    assert not any(EMAIL in facts for facts in stored)


@pytest.mark.parametrize("email", [EMAIL, EMAIL.upper(), f" {EMAIL.lower()} "])
async def test_a_guest_is_erased(gateway: Gateway, owner: asyncpg.Connection, database: Database, email: str) -> None:
    """Nothing of the name, address and number is left in any table; others' are, and what is taken is."""
    await people(gateway)
    before = await ledger(gateway)

    assert await erase(database, TENANT, holder=None, email=email, names=(*events.PERSONAL, *tickets.PERSONAL)) == 2
    assert await erase(database, TENANT, holder=None, email=email, names=(*events.PERSONAL, *tickets.PERSONAL)) == 0

    rows = await everything(owner)
    assert [mark for mark in MARKS[:3] if mark in rows.lower()] == ["secret name"]  # the other guest's name
    assert "bob@example.org" in rows
    assert await ledger(gateway) == before


async def test_a_holder_is_erased(gateway: Gateway, owner: asyncpg.Connection, database: Database) -> None:
    """By the login's subject, in one tenant and not in others."""
    await people(gateway)
    holder = await owner.fetchval("SELECT holder FROM capacity.claim WHERE facts ->> 'email' = $1", EMAIL.casefold())
    names = (*events.PERSONAL, *tickets.PERSONAL)

    assert await erase(database, "elsewhere", holder=holder, email=None, names=names) == 0
    assert await erase(database, TENANT, holder=holder, email=None, names=names) == 1
    assert EMAIL.casefold() not in str(await owner.fetch("SELECT facts FROM capacity.claim WHERE holder = $1", holder))


async def test_who_is_erased_keeps_his_place(gateway: Gateway, database: Database) -> None:
    """A second registration by the same address is still none."""
    await people(gateway)
    await erase(database, TENANT, holder=None, email=EMAIL, names=events.PERSONAL)

    again = await gateway.send(GUEST, {"email": EMAIL}, headers={})
    assert again["__typename"] == "NotEligibleError"


async def ledger(gateway: Gateway) -> Any:
    """The whole ledger of the event, and that it is intact."""
    found = await gateway.send(
        '{ capacity(kind: EVENT, ref: "e") { version reconciliation { chainIntact isAccurate problems { message } }'
        " ledger(first: 100) { edges { node { version hash change subject } } } } }",
        headers=gateway.login("ada", "admin"),
    )
    assert found["reconciliation"] == {"chainIntact": True, "isAccurate": True, "problems": []}
    return found


async def everything(owner: asyncpg.Connection) -> str:
    """All rows of all tables as text."""
    tables = [row[0] for row in await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'capacity'")]
    return "\n".join([str(await owner.fetch(f"SELECT * FROM capacity.{table}")) for table in tables])
