"""Who may do what, and who may read what: every mutation, every restricted field, every role."""

from typing import Any

import asyncpg
import pytest

from conftest import Gateway

OTHER_TENANT = "00000000-0000-0000-0000-000000000002"

GOVERNING = {
    "createCompetition": 'id: "new", name: "New", quota: 1',
    "approve": 'reservationId: "{r}", spacesConfirmed: 1',
    "refund": 'reservationId: "{r}", spaces: 1, idempotencyKey: "k"',
    "rejectReservation": 'reservationId: "{r}"',
    "reopenSummary": 'reservationId: "{r}"',
    "markInvoiced": 'reservationId: "{r}"',
    "closeReservation": 'reservationId: "{r}"',
    "adjustReservation": 'reservationId: "{r}", spacesConfirmed: 1, idempotencyKey: "k"',
    "moveReservation": 'reservationId: "{r}", toCompetitionId: "{c}", idempotencyKey: "k"',
    "approveSpaces": 'reservationId: "{r}"',
    "denySpaces": 'reservationId: "{r}"',
    "backfill": 'reservationId: "{r}"',
    "definePool": 'kind: COMPETITION, ref: "new", quota: 1',
    "setQuota": 'kind: COMPETITION, ref: "{c}", quota: 601, idempotencyKey: "k"',
    "closePool": 'kind: COMPETITION, ref: "{c}"',
    "openPool": 'kind: COMPETITION, ref: "{c}"',
    "repairPool": 'kind: COMPETITION, ref: "{c}"',
}
"""What admins and directors do, with an input each."""

STUDIOS = {
    "requestReservation": 'competitionId: "{c}", studioId: "{s}", spacesRequested: 1',
    "cancelReservation": 'reservationId: "{r}"',
    "submitSummary": 'reservationId: "{r}", entriesUsed: 1',
    "requestSpaces": 'reservationId: "{r}", spaces: 1, idempotencyKey: "k"',
}
"""What a studio does with its own as well."""

PLATFORM = ("OWNER", "ADMIN", "MODERATOR", "SPEAKER", "MEMBER")
"""The event platform's names of roles."""

FIELDS = {
    "ledger": 'ledger(kind: COMPETITION, ref: "c") { edges { node { actor note subject } } }',
    "ledgerActivity": "ledgerActivity { edges { node { actor } } }",
    "reconcile": "reconcile { edges { node { discrepancy } } }",
    "Pool.ledger": 'capacity(kind: COMPETITION, ref: "c") { ledger { edges { node { subject } } } }',
    "Pool.reconciliation": 'capacity(kind: COMPETITION, ref: "c") { reconciliation { discrepancy } }',
    "reservation": 'reservation(id: "r") { status ledger { edges { node { actor } } } }',
}
"""Every read that is not for everybody."""


def mutation(operation: str, given: str, **ids: str) -> str:
    """A mutation over these ids."""
    for name, value in {"r": "r", "c": "c", "s": "s", **ids}.items():
        given = given.replace(f"{{{name}}}", value)
    selection = "__typename ... on CapacityError { message } ... on NotFoundError { ref }"
    return f"mutation {{ {operation}(input: {{{given}}}) {{ {selection} }} }}"


def codes(answer: dict[str, Any]) -> list[str]:
    """The codes of an answer's errors."""
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


def missing(ref: str) -> dict[str, str]:
    """The refusal of what does not exist, or not for this caller."""
    return {"__typename": "NotFoundError", "message": "There is no such thing here", "ref": ref}


async def stored(owner: asyncpg.Connection, *tables: str) -> list[tuple[Any, ...]]:
    """All rows of these tables, or of all."""
    return [
        tuple(row)
        for table in tables or ("pool", "claim", "ledger", "idempotency")
        for row in await owner.fetch(f"SELECT * FROM capacity.{table} ORDER BY 1, 2, 3")
    ]


@pytest.fixture
async def school(gateway: Gateway) -> Gateway:
    """A competition `c` with a pending reservation `r` of studio `s`, and an approved one `o` of studio `t`."""
    for document in (
        mutation("createCompetition", 'id: "c", name: "C", quota: 600'),
        mutation("requestReservation", 'id: "r", competitionId: "c", studioId: "s", spacesRequested: 40'),
        mutation("requestReservation", 'id: "o", competitionId: "c", studioId: "t", spacesRequested: 40'),
        mutation("approve", 'reservationId: "o", spacesConfirmed: 40'),
    ):
        assert (await gateway.send(document))["__typename"].endswith("Success")
    return gateway


def roles(gateway: Gateway) -> dict[str, dict[str, str]]:
    """A header of every kind of caller that governs nothing."""
    return {
        "attendee": gateway.login("ann", None),
        "studio": gateway.login("stella", "studio", studioId="s"),
        "studio without a studio": gateway.login("stella", "studio"),
        "organizer": gateway.login("oscar", "organizer", orgId="o"),
        "service": gateway.login("bot", "service"),
        "studio_director": gateway.login("stella", "studio_director", studioId="s"),
        **{
            name: gateway.login("pat", name, orgId="o") for name in ("OWNER", "ADMIN", "MODERATOR", "SPEAKER", "MEMBER")
        },
    }


# ------------------------------------------------------------------ mutations


async def test_who_does_not_govern_is_forbidden_before_anything_is_looked_up(
    school: Gateway, owner: asyncpg.Connection
) -> None:
    """For what is there and for what is not alike, at top level, and nothing changes or is remembered."""
    before = await stored(owner)

    for who, headers in roles(school).items():
        for operation, given in GOVERNING.items():
            for ids in ({}, {"r": "nowhere", "c": "nowhere"}):
                answer = await school.post(mutation(operation, given, **ids), headers=headers)
                assert (answer["data"], codes(answer)) == ({operation: None}, ["FORBIDDEN"]), (who, operation)

    assert await stored(owner) == before


async def test_who_is_neither_studio_nor_governs_touches_no_reservation(
    school: Gateway, owner: asyncpg.Connection
) -> None:
    """Nor does a studio that does not say which it is."""
    before = await stored(owner)

    for who, headers in roles(school).items():
        if who not in ("studio", "studio_director"):
            for operation, given in STUDIOS.items():
                answer = await school.post(mutation(operation, given), headers=headers)
                assert (answer["data"], codes(answer)) == ({operation: None}, ["FORBIDDEN"]), (who, operation)

    assert await stored(owner) == before


async def test_without_a_login_every_mutation_is_unauthenticated(school: Gateway, owner: asyncpg.Connection) -> None:
    """And nothing changes."""
    before = await stored(owner)

    for operation, given in {**GOVERNING, **STUDIOS}.items():
        answer = await school.post(mutation(operation, given), headers={})
        assert (answer["data"], codes(answer)) == ({operation: None}, ["UNAUTHENTICATED"]), operation

    assert await stored(owner) == before


@pytest.mark.parametrize("role", ["admin", "director", "super_admin", "competition_director"])
async def test_admins_and_directors_may_do_all_of_it(school: Gateway, role: str) -> None:
    """By our names and by the platform's; what is refused is refused for other reasons."""
    headers = school.login("dave", role)

    answers = {
        operation: await school.post(mutation(operation, given), headers=headers)
        for operation, given in {**STUDIOS, **GOVERNING}.items()
    }

    assert {operation: codes(answer) for operation, answer in answers.items() if codes(answer)} == {}


async def test_only_an_admin_governs_pools_of_other_kinds(gateway: Gateway) -> None:
    """A director's are competitions."""
    for kind in ("EVENT", "SESSION", "TICKET_TYPE", "BOOTH", "STREAM", "HUDDLE", "BREAKOUT_ROOM"):
        document = mutation("definePool", f'kind: {kind}, ref: "x", quota: 1')

        director = await gateway.post(document)
        admin = await gateway.send(document, headers=gateway.login("ada", "admin"))

        assert (codes(director), admin["__typename"]) == (["FORBIDDEN"], "PoolSuccess"), kind


@pytest.mark.parametrize("role", ["studio", "studio_director"])
async def test_a_studio_does_its_own(school: Gateway, role: str) -> None:
    """It asks for itself, summarises, asks for more and cancels."""
    headers = school.login("tina", role, studioId="t")
    own = {"r": "o", "s": "t"}

    answers = {
        operation: await school.send(mutation(operation, STUDIOS[operation], **own), headers=headers)
        for operation in ("requestReservation", "requestSpaces", "submitSummary", "cancelReservation")
    }

    assert {operation: answer["__typename"] for operation, answer in answers.items()} == dict.fromkeys(
        answers, "ReservationSuccess"
    )


async def test_a_studio_does_not_see_or_touch_another_s(school: Gateway, owner: asyncpg.Connection) -> None:
    """Its reservations answer just as those that do not exist, and it asks for no other studio."""
    headers = school.login("stella", "studio", studioId="s")
    before = await stored(owner, "pool", "claim", "ledger")

    for operation in ("cancelReservation", "submitSummary", "requestSpaces"):
        for name in ("o", "nowhere"):
            document = mutation(operation, STUDIOS[operation].replace('"k"', f'"{name}"'), r=name)
            assert await school.send(document, headers=headers) == missing(name)
    asked = await school.post(mutation("requestReservation", STUDIOS["requestReservation"], s="t"), headers=headers)
    seen = await school.send('{ reservation(id: "o") { id } }', headers=headers)

    assert (codes(asked), seen) == (["FORBIDDEN"], None)
    assert await stored(owner, "pool", "claim", "ledger") == before


# ------------------------------------------------------------------ reads


@pytest.mark.parametrize("role", ["admin", "director", "super_admin", "competition_director"])
async def test_admins_and_directors_read_all_of_a_competition(school: Gateway, role: str) -> None:
    """Ledger, activity, reconciliation and every reservation."""
    headers = school.login("dave", role)

    for name, field in FIELDS.items():
        answer = await school.post(f"{{ {field} }}", headers=headers)
        assert (codes(answer), None in answer["data"].values()) == ([], False), name


async def test_who_has_no_part_in_it_reads_numbers_and_no_more(school: Gateway) -> None:
    """The forbidden field is null with FORBIDDEN beside it, and the rest of the answer stands."""
    document = """{
      capacity(kind: COMPETITION, ref: "c") {
        quota available version ledger { totalCount } reconciliation { discrepancy }
        mine { id } at(time: "2999-01-01T00:00:00+00:00") { available }
      }
      competition(id: "c") { name reservations { edges { node { id } } } }
    }"""
    callers = {**roles(school), "anonymous": {}}
    del callers["studio"], callers["studio_director"]

    for who, headers in callers.items():
        answer = await school.post(document, headers=headers)

        assert answer["data"] == {
            "capacity": {
                "quota": 600,
                "available": 560,
                "version": 1,
                "ledger": None,
                "reconciliation": None,
                "mine": None,
                "at": {"available": 560},
            },
            "competition": {"name": "C", "reservations": {"edges": []}},
        }, who
        assert sorted((error["extensions"]["code"], error["path"]) for error in answer["errors"]) == [
            ("FORBIDDEN", ["capacity", "ledger"]),
            ("FORBIDDEN", ["capacity", "reconciliation"]),
        ], who


async def test_restricted_roots_are_null_with_forbidden_beside(school: Gateway) -> None:
    """And another root in the same document is answered."""
    for who, headers in {**roles(school), "anonymous": {}}.items():
        for name in ("ledgerActivity", "reconcile"):
            answer = await school.post(
                f'{{ {FIELDS[name]} capacity(kind: COMPETITION, ref: "c") {{ available }} }}', headers=headers
            )
            assert (answer["data"], codes(answer)) == (
                {name: None, "capacity": {"available": 560}},
                ["FORBIDDEN"],
            ), (who, name)


async def test_a_studio_reads_what_is_its_own(school: Gateway) -> None:
    """Of the ledger its own entries, of the reservations its own, of the reconciliation nothing."""
    headers = school.login("tina", "studio", studioId="t")
    await school.send(mutation("approve", 'reservationId: "r", spacesConfirmed: 5'))

    answer = await school.post(
        """{
          capacity(kind: COMPETITION, ref: "c") {
            mine { id quantity } reconciliation { discrepancy }
            ledger { totalCount edges { node { version change subject actor } } }
          }
          competition(id: "c") { reservations { edges { node { id } } } }
          reservation(id: "o") { status ledger { edges { node { change } } } }
          myClaims { edges { node { id } } }
        }""",
        headers=headers,
    )

    assert codes(answer) == ["FORBIDDEN"]
    assert answer["data"] == {
        "capacity": {
            "mine": {"id": "o", "quantity": 40},
            "reconciliation": None,
            "ledger": {
                "totalCount": None,
                "edges": [{"node": {"version": 1, "change": -40, "subject": "o", "actor": "dora"}}],
            },
        },
        "competition": {"reservations": {"edges": [{"node": {"id": "o"}}]}},
        "reservation": {"status": "APPROVED", "ledger": {"edges": [{"node": {"change": -40}}]}},
        "myClaims": {"edges": [{"node": {"id": "o"}}]},
    }


async def test_a_studio_that_moved_on_still_reads_its_part_of_the_old_ledger(school: Gateway) -> None:
    """Whose entries they are does not change with where the reservation is."""
    headers = school.login("tina", "studio", studioId="t")
    await school.send(mutation("createCompetition", 'id: "d", name: "D", quota: 600'))
    await school.send(mutation("moveReservation", 'reservationId: "o", toCompetitionId: "d", idempotencyKey: "k"'))

    answer = await school.post('{ ledger(kind: COMPETITION, ref: "c") { edges { node { change } } } }', headers=headers)

    assert codes(answer) == []
    assert [edge["node"]["change"] for edge in answer["data"]["ledger"]["edges"]] == [40, -40]


async def test_a_login_is_not_a_studio_by_its_name(school: Gateway) -> None:
    """Subjects and studios are named by different people; only a studio's claim makes a studio."""
    answer = await school.send('{ reservation(id: "o") { id } }', headers=school.login("t", None))

    assert answer is None


# ------------------------------------------------------------------ tenants


async def test_what_is_another_tenant_s_does_not_exist(school: Gateway, owner: asyncpg.Connection) -> None:
    """Every mutation with an id of another tenant answers as with one of nobody, and nothing changes there."""
    before = await stored(owner)
    looking_up = {**GOVERNING, **STUDIOS}
    del looking_up["createCompetition"], looking_up["definePool"]

    for role in ("director", "admin"):
        headers = school.login("eve", role, tenant=OTHER_TENANT)
        for operation, given in looking_up.items():
            for names in (("o", "c"), ("nowhere", "nowhere")):
                document = mutation(operation, given.replace('"k"', f'"{role} {names}"'), r=names[0], c=names[1])
                assert await school.send(document, headers=headers) in [missing(name) for name in names], operation

    assert [row for row in before if row not in await stored(owner)] == []


async def test_a_reservation_is_not_moved_into_another_tenant(school: Gateway) -> None:
    """The competition over there does not exist here."""
    headers = school.login("eve", "director", tenant=OTHER_TENANT)
    await school.send(mutation("createCompetition", 'id: "d", name: "D", quota: 600'), headers=headers)

    answer = await school.send(
        mutation("moveReservation", 'reservationId: "o", toCompetitionId: "d", idempotencyKey: "k"')
    )

    assert (answer["__typename"], answer["ref"]) == ("NotFoundError", "d")


async def test_reads_see_their_own_tenant_only(school: Gateway) -> None:
    """Every root field, with the ids of another tenant's."""
    document = """{
      capacity(kind: COMPETITION, ref: "c") { id } pools { edges { node { id } } }
      ledger(kind: COMPETITION, ref: "c") { totalCount } ledgerActivity { edges { node { id } } }
      reconcile { edges { node { total } } } one: reconcile(kind: COMPETITION, ref: "c") { edges { node { total } } }
      myClaims { edges { node { id } } } competition(id: "c") { id }
      competitions { edges { node { id } } } reservation(id: "o") { id }
    }"""
    for role in ("director", "admin", "studio"):
        headers = school.login("dora", role, tenant=OTHER_TENANT, studioId="t")
        answer = await school.post(document, headers=headers)

        assert answer["data"] == {
            "capacity": None,
            "pools": {"edges": []},
            "ledger": None,
            "ledgerActivity": None if role == "studio" else {"edges": []},
            "reconcile": None if role == "studio" else {"edges": []},
            "one": None if role == "studio" else {"edges": []},
            "myClaims": {"edges": []},
            "competition": None,
            "competitions": {"edges": []},
            "reservation": None,
        }


async def test_ids_and_keys_of_two_tenants_do_not_meet(school: Gateway) -> None:
    """The same id and the same key over there are another competition and another change."""
    headers = school.login("dora", "director", tenant=OTHER_TENANT)

    answers = [
        await school.send(
            "mutation ($input: CreateCompetitionInput!) { createCompetition(input: $input) "
            "{ __typename ... on CapacityChange { replayed pool { quota } } } }",
            {"input": {"id": name, "name": "C", "quota": 7, "idempotencyKey": "k"}},
            login,
        )
        for login, name in ((None, "d"), (headers, "d"), (headers, "d"))
    ]

    assert [answer["replayed"] for answer in answers] == [False, False, True]


async def test_anonymous_callers_are_of_the_default_tenant_only(school: Gateway) -> None:
    """A competition elsewhere is not for everybody."""
    headers = school.login("eve", "director", tenant=OTHER_TENANT)
    await school.send(mutation("createCompetition", 'id: "d", name: "D", quota: 600'), headers=headers)

    seen = await school.send("{ competitions { edges { node { id } } } }", headers={})

    assert seen == {"edges": [{"node": {"id": "c"}}]}


# ------------------------------------------------------------------ words


async def test_no_refusal_sounds_like_a_lost_login(school: Gateway) -> None:
    """The web client takes such words for one, logs in anew and sends the mutation again."""
    headers = school.login("stella", "studio", studioId="s")
    refused = [
        mutation("approve", 'reservationId: "o", spacesConfirmed: 41'),
        mutation("approve", 'reservationId: "r", spacesConfirmed: 601'),
        mutation("approve", 'reservationId: "r", spacesConfirmed: 0'),
        mutation("approve", 'reservationId: "nowhere", spacesConfirmed: 1'),
        mutation("refund", 'reservationId: "o", spaces: 41, idempotencyKey: "k"'),
        mutation("refund", 'reservationId: "o", spaces: 40, idempotencyKey: "k"'),
        mutation("refund", 'reservationId: "o", spaces: 1, idempotencyKey: ""'),
        mutation("submitSummary", 'reservationId: "o", entriesUsed: 41'),
        mutation("createCompetition", 'id: "c", name: "D", quota: 600'),
        mutation("setQuota", 'kind: COMPETITION, ref: "c", quota: 1, idempotencyKey: "k"'),
        mutation("moveReservation", 'reservationId: "o", toCompetitionId: "nowhere", idempotencyKey: "k"'),
    ]
    messages = [(await school.send(document))["message"] for document in refused]
    await school.send(mutation("closePool", 'kind: COMPETITION, ref: "c"'))
    messages.append((await school.send(mutation("approve", 'reservationId: "r", spacesConfirmed: 1')))["message"])
    forbidden = await school.post(mutation("approve", GOVERNING["approve"]), headers=headers)
    messages.append(forbidden["errors"][0]["message"])

    said = " ".join(messages).lower()
    assert [word for word in ("token", "jwt", "unauthorized", "not authenticated") if word in said] == []
