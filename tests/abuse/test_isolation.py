"""No tenant sees another: not its rows, numbers or keys, and not whether something is there at all."""

import re
from collections.abc import Iterator

import asyncpg
from graphql import GraphQLField, get_named_type

from capacity_gateway.kernel.database import application_url
from capacity_gateway.schema import schema
from conftest import TENANT, Gateway
from documenting import literal, wanted

OTHER = "another-tenant"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
MADE = """mutation {{ {field}(input: {{ {given} }}) {{ __typename ... on PoolSuccess {{ pool {{ id }} }} }} }}"""
POOLS = {
    "competition": ("createCompetition", 'id: "{id}", name: "N", quota: 9'),
    "event": ("createEvent", 'id: "{id}", name: "N", quota: 9'),
    "session": ("createSession", 'id: "{id}", eventId: "{event}", title: "N", quota: 9, requiresRegistration: false'),
    "ticket_type": ("createTicketType", 'id: "{id}", eventId: "{event}", name: "N", quota: 9'),
    "booth": ("createBooth", 'id: "{id}", eventId: "{event}", name: "N", quota: 9'),
}


# ------------------------------------------------------------------ the matrix


async def test_what_is_anothers_answers_as_what_is_not_there(gateway: Gateway) -> None:
    """Every field of the schema that takes an id, with each id of another tenant, in every place for one."""
    ids = await another_tenants(gateway)
    logins = [gateway.login("ada", "admin"), gateway.login("olga", "organizer"), gateway.login("ann", None)]
    asked = 0
    for root in ("query", "mutation"):
        for name, field in fields(root):
            for login in logins[: 1 if root == "query" else 3]:
                unknown = await answer(gateway, root, name, field, UNKNOWN, login)
                for id_ in ids:
                    found = await answer(gateway, root, name, field, id_, login)
                    asked += 1
                    assert found == unknown, (root, name, id_)

    assert asked > 500


async def another_tenants(gateway: Gateway) -> list[str]:
    """The ids of one pool of each kind, and of claims in them, of another tenant."""
    admin, ann = gateway.login("ada", "admin", tenant=OTHER), gateway.login("ann", None, tenant=OTHER)
    ids = {kind: f"{number}0000000-0000-4000-8000-00000000000{number}" for number, kind in enumerate(POOLS, start=1)}
    for kind, (field, given) in POOLS.items():
        text = MADE.format(field=field, given=given.format(id=ids[kind], event=ids["event"]))
        made = await gateway.send(text, headers=admin)
        assert made["__typename"] == "PoolSuccess", made
    registered = await gateway.send(
        f'mutation {{ register(input: {{ eventId: "{ids["event"]}", idempotencyKey: "k" }}) '
        "{ ... on RegistrationSuccess { registration { id } } } }",
        headers=ann,
    )
    return [*ids.values(), registered["registration"]["id"]]


def fields(root: str) -> Iterator[tuple[str, GraphQLField]]:
    """The root fields that take an id."""
    types = schema()._schema  # noqa: SLF001 - the built schema
    type_ = types.query_type if root == "query" else types.mutation_type
    assert type_ is not None
    for name, field in type_.fields.items():
        if not name.startswith(("_", "create", "definePool")) and field.args and "ID" in literal_of_all(field):
            yield name, field


def literal_of_all(field: GraphQLField) -> str:
    """All arguments of a field, with their ids."""
    return " ".join(f"{name}: {literal(argument, 'ID')}" for name, argument in field.args.items())


async def answer(gateway: Gateway, root: str, name: str, field: GraphQLField, id_: str, login: dict[str, str]) -> str:
    """What a field answers where all its ids are this one; ids, times and places in the text left out."""
    given = ", ".join(f"{arg}: {literal(argument, id_)}" for arg, argument in field.args.items() if wanted(argument))
    type_ = get_named_type(field.type)
    selected = "" if not hasattr(type_, "fields") and not hasattr(type_, "types") else " { __typename MORE }"
    if hasattr(type_, "types"):
        selected = selected.replace("MORE", "... on CapacityError { code message retry }")
    document = f"{root} {{ {name}({given}){selected.replace('MORE', '')} }}"
    found = await gateway.http.post("/graphql", json={"query": document}, headers=login)
    assert "GRAPHQL_VALIDATION_FAILED" not in found.text, found.text
    assert "INTERNAL" not in found.text, found.text
    return re.sub(r'"(requestId|locations)":[^,}]*', "", found.text.replace(id_, "ID"))


# ------------------------------------------------------------------ the connection


async def test_a_connection_alternates_between_tenants(owner_url: str, gateway: Gateway) -> None:
    """A thousand transactions on one connection, some rolled back: each sees its tenant's own, and nothing is left."""
    await another_tenants(gateway)
    await gateway.send(MADE.format(field="createCompetition", given='id: "own", name: "N", quota: 9'))
    connection = await asyncpg.connect(await application_url(owner_url))
    try:
        for number in range(1000):
            tenant = (TENANT, OTHER)[number % 2]
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("SELECT set_config('capacity.tenant', $1, true)", tenant)
            seen = {row[0] for row in await connection.fetch("SELECT DISTINCT tenant_id FROM capacity.pool")}
            assert seen == {tenant}
            await (transaction.rollback() if number % 3 == 0 else transaction.commit())
            assert await connection.fetchval("SELECT count(*) FROM capacity.pool") == 0
    finally:
        await connection.close()


async def test_row_level_security_is_forced_on_every_table(owner: asyncpg.Connection) -> None:
    """Also upon the tables' owner; the application's role owns nothing and cannot go round it."""
    rows = await owner.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced FROM pg_class"
        " WHERE relnamespace = 'capacity'::regnamespace AND relkind = 'r'"
    )
    role = await owner.fetchrow("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = 'capacity_app'")

    assert {row["relname"] for row in rows if not row["forced"]} == {"tenant", "migration"}
    assert {row["relname"] for row in rows if row["forced"]} >= {"pool", "claim", "ledger", "idempotency", "checkpoint"}
    assert tuple(role or ()) == (False, False)


async def test_a_key_is_its_tenants_own(gateway: Gateway) -> None:
    """The same key and the same id in two tenants are two requests."""
    text = MADE.format(field="createCompetition", given='id: "c", name: "N", quota: 9, idempotencyKey: "k"')
    first = await gateway.send(text)
    other = await gateway.send(text.replace("quota: 9", "quota: 8"), headers=gateway.login(tenant=OTHER))

    assert (first["__typename"], other["__typename"]) == ("PoolSuccess", "PoolSuccess")
