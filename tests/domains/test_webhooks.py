"""Webhooks as admins manage them, and the offers that they tell."""

import asyncio
import json
import re
from typing import Any

import asyncpg
import pytest

from capacity_gateway.kernel.webhooks import WEBHOOKS_MAX
from conftest import Gateway, running
from domains.conftest import Do, assert_made, people
from domains.test_who_may import roles
from receiving import GUIDE, receiving

URL = "https://hooks.example.org/capacity"
FARES = """{
  webhooks {
    id url kinds reasons pending oldestPendingAt attempts nextAttemptAt failingSince lastFailure lastStatus disabledAt
  }
}"""


async def manage(gateway: Gateway, operation: str, headers: dict[str, str] | None = None, **given: Any) -> Any:
    """What a mutation of an admin's answers."""
    type_ = f"{operation[0].upper()}{operation[1:]}Input"
    document = f"""mutation ($input: {type_}!) {{ {operation}(input: $input) {{
      __typename
      ... on WebhookSuccess {{ replayed secret webhook {{ id url pending }} }}
      ... on InvalidInputError {{ field message }}
      ... on NotFoundError {{ ref }}
    }} }}"""
    return await gateway.send(document, {"input": given}, headers or gateway.login("ada", "admin"))


async def fares(gateway: Gateway) -> list[dict[str, Any]]:
    """The webhooks as an admin sees them."""
    found: list[dict[str, Any]] = await gateway.send(FARES, headers=gateway.login("ada", "admin"))
    return found


async def test_its_secret_is_told_once(gateway: Gateway) -> None:
    """Made again it is a replay; something else of that id is refused; deleted and made anew it has another secret."""
    first = await manage(gateway, "createWebhook", id="w", url=URL)
    again = await manage(gateway, "createWebhook", id="w", url=URL)
    other = await manage(gateway, "createWebhook", id="w", url=URL, kinds=["SESSION"])
    await manage(gateway, "deleteWebhook", id="w")
    anew = await manage(gateway, "createWebhook", id="w", url=URL)

    assert first["secret"].startswith("whsec_")
    assert (first["replayed"], again["replayed"], again["secret"]) == (False, True, None)
    assert (other["__typename"], other["field"]) == ("InvalidInputError", "id")
    assert anew["secret"] not in (None, first["secret"])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.org",
        "http://hooks.example.org",
        "ftp://hooks.example.org",
        "https://",
        "https://:443/",
        "https://ann:secret@hooks.example.org",
        "https://hooks.example.org:0/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/a\r\nhost: b",
        "https://höoks.example.org",
        "https://[::1",
        f"https://hooks.example.org/{'a' * 2000}",
    ],
)
async def test_a_url_that_is_none_is_refused(gateway: Gateway, owner: asyncpg.Connection, url: str) -> None:
    """Or that is not https, or has a password in it."""
    refused = await manage(gateway, "createWebhook", id="w", url=url)

    assert (refused["__typename"], refused["field"]) == ("InvalidInputError", "url")
    assert await owner.fetchval("SELECT count(*) FROM capacity.webhook") == 0


async def test_a_tenant_has_so_many_and_no_more(gateway: Gateway) -> None:
    """Another tenant has as many."""
    for number in range(WEBHOOKS_MAX):
        assert (await manage(gateway, "createWebhook", id=f"w{number}", url=URL))["secret"]
    more = await manage(gateway, "createWebhook", id="more", url=URL)
    others = await manage(gateway, "createWebhook", gateway.login("erin", "admin", tenant="other"), id="w", url=URL)

    assert (more["__typename"], more["message"]) == ("InvalidInputError", "There are 10 webhooks; delete one first")
    assert others["__typename"] == "WebhookSuccess"
    assert len(await fares(gateway)) == WEBHOOKS_MAX


async def test_only_an_admin_manages_webhooks(gateway: Gateway) -> None:
    """They tell what only he may read."""
    documents = [
        FARES,
        f'mutation {{ createWebhook(input: {{ id: "w", url: "{URL}" }}) {{ __typename }} }}',
        'mutation { resumeWebhook(input: { id: "w" }) { __typename } }',
        'mutation { deleteWebhook(input: { id: "w" }) { __typename } }',
    ]
    callers = {**roles(gateway), "director": gateway.login()}
    for who, headers in {**callers, "anonymous": {}}.items():
        for document in documents:
            answer = await gateway.post(document, headers=headers)
            code = answer["errors"][0]["extensions"]["code"]
            assert code == ("UNAUTHENTICATED" if who == "anonymous" else "FORBIDDEN"), (who, document)


async def test_what_is_anothers_is_not_there(gateway: Gateway) -> None:
    """Neither to be seen, nor resumed, nor deleted."""
    await manage(gateway, "createWebhook", id="w", url=URL)
    erin = gateway.login("erin", "admin", tenant="other")

    for operation in ("resumeWebhook", "deleteWebhook"):
        answer = await manage(gateway, operation, erin, id="w")
        assert (answer["__typename"], answer["ref"]) == ("NotFoundError", "w")
    assert await gateway.send(FARES, headers=erin) == []
    assert [each["id"] for each in await fares(gateway)] == ["w"]


@pytest.mark.usefixtures("event")
async def test_it_goes_on_from_where_it_is_told(gateway: Gateway, do: Do) -> None:
    """Behind a version of one pool, or with what was written from an instant on; and only from where there is one."""
    assert_made(await do("ada", "createBooth", id="b", eventId="e", name="B", quota=9))
    for who in ("ann", "bob", "cem"):
        await do(who, "enterBooth", boothId="b")
    await do("ada", "setQuota", kind="EVENT", ref="e", quota=9, idempotencyKey="k")
    entries = await gateway.send(
        '{ ledger(kind: BOOTH, ref: "b") { edges { node { recordedAt } } } }', headers=gateway.login("ada", "admin")
    )
    second = entries["edges"][1]["node"]["recordedAt"]
    await manage(gateway, "createWebhook", id="w", url=URL, kinds=["BOOTH"])
    places: Any = ({}, {"kind": "BOOTH", "ref": "b", "after": 2}, {"since": second}, {"since": "2000-01-01T00:00:00Z"})
    resumed = [await manage(gateway, "resumeWebhook", id="w", **place) for place in places]
    early = await manage(gateway, "createWebhook", id="early", url=URL, since="2000-01-01T00:00:00Z", kinds=["BOOTH"])
    wrong = [
        (await manage(gateway, "resumeWebhook", id="w", **where))["field"]
        for where in (
            {"kind": "BOOTH", "ref": "b", "after": 4},
            {"kind": "BOOTH", "ref": "none", "after": 0},
            {"kind": "EVENT", "ref": "e", "after": 0},
            {"kind": "BOOTH", "ref": "b", "after": -1},
            {"kind": "BOOTH", "ref": "b"},
            {"kind": "BOOTH", "ref": "b", "after": 1, "since": second},
        )
    ]

    assert [answer["webhook"]["pending"] for answer in (*resumed, early)] == [0, 1, 2, 3, 3]
    assert wrong == ["after"] * 6
    assert (await fares(gateway))[1]["pending"] == 3


async def test_without_a_key_there_are_none(owner_url: str) -> None:
    """In production, where a key set stands in for the secret."""
    async with running(owner_url) as gateway:
        headers = gateway.login("ada", "admin")
        gateway.app.state.endpoint._webhooks._key = None  # noqa: SLF001 - as Settings.webhook_key says there
        document = f'mutation {{ createWebhook(input: {{ id: "w", url: "{URL}" }}) {{ __typename }} }}'
        answer = await gateway.post(document, headers=headers)

    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_how_it_fares_is_told(owner_url: str) -> None:
    """What is still to be told and since when, how often it has failed and how."""
    async with receiving(lambda _: 503) as receiver, telling(owner_url) as gateway:
        await manage(gateway, "createWebhook", id="w", url=receiver.url)
        await gateway.send(
            'mutation { definePool(input: { kind: BOOTH, ref: "b", quota: 1 }) { __typename } }',
            headers=gateway.login("ada", "admin"),
        )
        await gateway.send(
            'mutation { setQuota(input: { kind: BOOTH, ref: "b", quota: 2, idempotencyKey: "k" }) { __typename } }',
            headers=gateway.login("ada", "admin"),
        )
        async with asyncio.timeout(30):
            while not (fare := (await fares(gateway))[0])["attempts"]:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    assert fare.items() >= {"pending": 1, "lastFailure": "STATUS", "lastStatus": 503, "disabledAt": None}.items()
    assert None not in (fare["oldestPendingAt"], fare["failingSince"], fare["nextAttemptAt"])


def telling(owner_url: str) -> Any:
    """A gateway that delivers, also to this machine."""
    return running(owner_url, webhooks=True, webhooks_anywhere=True, webhook_retry_seconds=0.01)


def shape(value: Any) -> Any:
    """The names in a message, in their order."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None


@pytest.mark.parametrize(
    ("make", "enter", "leave"),
    [
        (("createSession", {"title": "S", "requiresRegistration": False}), "joinSession", "leaveSession"),
        (("createBooth", {"name": "B"}), "enterBooth", "leaveBooth"),
    ],
)
async def test_offers_are_told_to_who_sends_mail(owner_url: str, make: Any, enter: str, leave: str) -> None:
    """Whose, and until when, in the form that the guide shows; and nothing to act upon once it is over."""
    operation, given = make
    place = {"sessionId" if "Session" in operation else "boothId": "p"}
    async with receiving() as receiver, telling(owner_url) as gateway:
        do = people(gateway)
        assert_made(await do("olga", "createEvent", id="e", name="E"))
        assert_made(await do("olga", operation, id="p", eventId="e", quota=1, **given))
        mailer = await manage(gateway, "createWebhook", id="w", url=receiver.url, reasons=["OFFER"])
        for who in ("ann", "bob", "cem"):
            await do(who, enter, **place, orWait=True)
        await do("ann", leave, **place)
        await receiver.until(lambda: len(receiver.messages) == 1)
        (live,) = receiver.firsts(mailer["secret"])
        receiver.answer = lambda message: 204 if b'"offer":null' in message.body else 503
        await do("bob", enter, **place)
        await do("bob", leave, **place)
        await receiver.until(lambda: len(receiver.messages) > 1)
        await do("cem", enter, **place)
        await receiver.until(lambda: b'"offer":null' in receiver.messages[-1].body)
        over = receiver.messages[-1].read(mailer["secret"])

    assert shape(live) == shape(json.loads(re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)[0]))
    assert live["type"] == "capacity.offer"
    assert live["data"]["offer"]["holder"] == "bob"
    assert live["data"]["offer"]["expiresAt"] > live["timestamp"]
    assert (over["data"]["holder"], over["data"]["offer"]) == ("cem", None)


async def test_the_guides_documents_do_what_they_say(gateway: Gateway) -> None:
    """Whoever pastes them is answered, with an admin's login."""
    documents = [text.split("```")[0] for text in GUIDE.split("```graphql\n")[1:]]
    made, fare, resumed = [await gateway.send(text, headers=gateway.login("ada", "admin")) for text in documents]

    assert made["secret"].startswith("whsec_")
    assert fare[0].items() >= {"id": "mailer", "pending": 0, "disabledAt": None}.items()
    assert resumed == {"code": "INVALID_INPUT", "message": "There is no such version of this pool"}
