"""What each command does, what it is refused for, and what a batch promises."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from asking import (
    OTHER,
    POOL,
    TENANT,
    Json,
    adjust,
    ask,
    ask_one,
    backfill,
    changes,
    close,
    codes,
    confirm,
    define,
    expire,
    hold,
    linked,
    move,
    numbers,
    refuse,
    release,
    release_elsewhere,
    reopen,
    resize,
    stage,
    take,
    wait,
)
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.migrations import migrate

LARGEST = 2**31 - 1
UNLIMITED = "competition:unlimited"


@pytest.fixture(scope="module")
async def owner_url(server: str, template: str) -> AsyncIterator[str]:
    """One database for all tests of this module, because they are many and short."""
    name = f"{template}_apply"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    await migrate(url)
    yield url
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture(autouse=True)
async def _empty(owner: asyncpg.Connection) -> None:
    for table in ("tenant", "pool", "claim", "ledger", "idempotency"):
        await owner.execute(f"DELETE FROM capacity.{table}")


async def test_define_makes_an_empty_pool_with_no_entry(database: Database) -> None:
    """A pool opens at version 0: its opening quota is no change."""
    outcome = await ask_one(database, define(100, title="P"))

    assert outcome["code"] == "OK"
    assert numbers(outcome) == {"quota": 100, "held": 0, "confirmed": 0, "version": 0}
    assert outcome["pool"]["opening_quota"] == 100
    assert outcome["entries"] == []


async def test_defining_the_same_again_is_done_already(database: Database) -> None:
    """The same definition is a replay."""
    await ask(database, define(100))

    outcome = await ask_one(database, define(100))

    assert (outcome["code"], outcome["replayed"]) == ("DONE", True)


async def test_another_definition_of_the_same_id_exists(database: Database) -> None:
    """An id is defined once."""
    await ask(database, define(100))

    assert codes(await ask(database, define(101))) == ["EXISTS"]


async def test_resize_changes_the_quota_with_an_entry(database: Database) -> None:
    """Raising and lowering are entries of the ledger."""
    await ask(database, define(100))

    raised, lowered = await ask(database, resize(130), resize(90))

    assert changes(raised) == [(1, 30, 0, 0)]
    assert changes(lowered) == [(2, -40, 0, 0)]
    assert numbers(lowered)["quota"] == 90


async def test_resize_to_the_same_is_done_already(database: Database) -> None:
    """Nothing changes, and nothing is written."""
    await ask(database, define(100))

    outcome = await ask_one(database, resize(100))

    assert (outcome["code"], outcome["entries"]) == ("DONE", [])


async def test_an_unlimited_quota_counts_as_nothing(database: Database) -> None:
    """Lifting a limit takes the quota out of the ledger, and a new limit brings it back."""
    await ask(database, define(100))

    lifted, limited = await ask(database, resize(unlimited=True), resize(7))

    assert (changes(lifted), numbers(lifted)["quota"]) == ([(1, -100, 0, 0)], None)
    assert (changes(limited), numbers(limited)["quota"]) == ([(2, 7, 0, 0)], 7)


async def test_what_governs_a_pool_is_an_entry_with_its_note(database: Database) -> None:
    """Also where it moves no number; done already it is none."""
    await ask(database, define(0))
    asked = [resize(unlimited=True), close(), close(), reopen(), resize(0), resize(0)]

    outcomes = [await ask_one(database, command | {"actor": "olga", "note": "why"}) for command in asked]

    assert [changes(outcome) for outcome in outcomes] == [
        [(1, 0, 0, 0)],
        [(2, 0, 0, 0)],
        [],
        [(3, 0, 0, 0)],
        [(4, 0, 0, 0)],
        [],
    ]
    entries = [entry for outcome in outcomes for entry in outcome["entries"]]
    assert [entry["reason"] for entry in entries] == ["QUOTA_CHANGE", "CLOSE", "OPEN", "QUOTA_CHANGE"]
    assert [entry["quota_after"] for entry in entries] == [None, None, None, 0]
    assert {(entry["actor"], entry["note"]) for entry in entries} == {("olga", "why")}


async def test_how_far_a_pool_oversells_is_an_entry_that_moves_no_number(database: Database) -> None:
    """The ledger sums up quotas and uses; how far beyond is allowed is neither."""
    await ask(database, define(10))

    changed, within, beyond = await ask(database, resize(oversell_max=2), take("a", 12), take("b", 1))

    assert changes(changed) == [(1, 0, 0, 0)]
    assert (within["code"], within["detail"]["overbooked_by"]) == ("OK", 2)
    assert beyond["code"] == "INSUFFICIENT"


async def test_a_quota_below_use_is_refused_with_the_numbers(database: Database) -> None:
    """Nobody is thrown out by mistake."""
    await ask(database, define(100), take("a", 60))

    outcome = await ask_one(database, resize(59))

    assert outcome["code"] == "QUOTA_BELOW_USE"
    assert (outcome["detail"]["in_use"], outcome["detail"]["requested_quota"]) == (60, 59)
    assert numbers(outcome) == {"quota": 100, "held": 0, "confirmed": 60, "version": 1}


async def test_a_quota_below_use_is_legal_when_asked_for(database: Database) -> None:
    """Then nothing is taken until there is room again; giving back still works."""
    await ask(database, define(100), take("a", 60))

    outcomes = await ask(database, resize(50, allow_below_use=True), take("b", 1), release("a", 11), take("c", 1))

    assert codes(outcomes) == ["OK", "INSUFFICIENT", "OK", "OK"]
    assert outcomes[1]["detail"]["available"] == -10


async def test_a_quota_may_grow_though_it_stays_below_use(database: Database) -> None:
    """The check is against making it worse."""
    await ask(database, define(100), take("a", 60), resize(10, allow_below_use=True))

    assert codes(await ask(database, resize(20), resize(19))) == ["OK", "QUOTA_BELOW_USE"]


async def test_a_closed_pool_lets_nobody_in_and_everybody_out(database: Database) -> None:
    """Growth is refused, giving back is not, and open undoes it."""
    await ask(database, define(100), define(100, OTHER), take("a", 10), hold("h", 10), take("o", 1, OTHER))

    outcomes = await ask(
        database,
        close(),
        take("b", 1),
        hold("c", 1),
        wait("d", 1),
        move("o", POOL),
        adjust("a", 9),
        confirm("h"),
        close(),
        reopen(),
        reopen(),
        take("e", 1),
    )

    assert codes(outcomes) == ["OK", *["POOL_CLOSED"] * 4, "OK", "OK", "DONE", "OK", "DONE", "OK"]
    assert outcomes[1]["detail"]["pool_id"] == POOL


async def test_growing_a_claim_of_a_closed_pool_is_refused(database: Database) -> None:
    """Who is in may not take more."""
    await ask(database, define(100), take("a", 10), close())

    assert codes(await ask(database, adjust("a", 11))) == ["POOL_CLOSED"]


async def test_wait_takes_nothing(database: Database) -> None:
    """It asks; the claim says how many."""
    await ask(database, define(100))

    outcome = await ask_one(database, wait("a", 1000))

    assert (outcome["code"], outcome["entries"]) == ("OK", [])
    assert (outcome["claim"]["state"], outcome["claim"]["quantity"]) == ("waiting", 1000)
    assert numbers(outcome) == {"quota": 100, "held": 0, "confirmed": 0, "version": 0}


@pytest.mark.parametrize(
    ("take_it", "state", "change"), [(take, "confirmed", (1, 0, 0, 40)), (hold, "held", (1, 0, 40, 0))]
)
async def test_who_waits_gets_what_was_asked_for(
    database: Database, take_it: Callable[..., Json], state: str, change: tuple[int, ...]
) -> None:
    """A take or a hold without a pool takes up the claim that waits."""
    await ask(database, define(100), wait("a", 40))

    outcome = await ask_one(database, take_it("a", pool=None))

    assert (outcome["claim"]["state"], outcome["claim"]["quantity"]) == (state, 40)
    assert changes(outcome) == [change]


async def test_hold_takes_for_a_while(database: Database) -> None:
    """A hold is out of what is available until its time."""
    await ask(database, define(100))

    outcome = await ask_one(database, hold("a", 30, ttl_seconds=60))

    claim = outcome["claim"]
    lasts = datetime.fromisoformat(claim["expires_at"]) - datetime.fromisoformat(outcome["as_of"])
    assert (claim["state"], claim["quantity"], lasts) == ("held", 30, timedelta(seconds=60))
    assert numbers(outcome) == {"quota": 100, "held": 30, "confirmed": 0, "version": 1}


async def test_take_holds_and_confirms_at_once(database: Database) -> None:
    """One entry, for good."""
    await ask(database, define(100))

    outcome = await ask_one(database, take("a", 30, subject="s", actor="dora", note="why"))

    claim, (entry,) = outcome["claim"], outcome["entries"]
    assert (claim["state"], claim["quantity"], claim["expires_at"]) == ("confirmed", 30, None)
    assert (entry["quota_after"], entry["held_after"], entry["confirmed_after"]) == (100, 0, 30)
    assert (entry["claim_id"], entry["subject"], entry["actor"], entry["note"]) == ("a", "s", "dora", "why")
    assert entry["effective_at"] == entry["recorded_at"] == outcome["as_of"] == claim["confirmed_at"]


async def test_confirm_makes_a_hold_final(database: Database) -> None:
    """What was held is confirmed, in one entry, and has no end any more."""
    await ask(database, define(100), hold("a", 30))

    outcome = await ask_one(database, confirm("a"))

    assert changes(outcome) == [(2, 0, -30, 30)]
    assert (outcome["claim"]["state"], outcome["claim"]["expires_at"]) == ("confirmed", None)


async def test_confirming_a_part_gives_the_rest_back(database: Database) -> None:
    """The claim has then what was confirmed."""
    await ask(database, define(100), hold("a", 30))

    outcome = await ask_one(database, confirm("a", 20))

    assert changes(outcome) == [(2, 0, -30, 20)]
    assert outcome["claim"]["quantity"] == 20
    assert numbers(outcome) == {"quota": 100, "held": 0, "confirmed": 20, "version": 2}


@pytest.mark.parametrize(("take_it", "change"), [(take, (2, 0, 0, -30)), (hold, (2, 0, -30, 0))])
async def test_release_gives_all_back_and_ends_the_claim(
    database: Database, take_it: Callable[..., Json], change: tuple[int, ...]
) -> None:
    """Held or confirmed."""
    await ask(database, define(100), take_it("a", 30))

    outcome = await ask_one(database, release("a"))

    assert changes(outcome) == [change]
    assert (outcome["claim"]["state"], outcome["claim"]["quantity"]) == ("released", 0)


async def test_releasing_a_part_keeps_the_claim(database: Database) -> None:
    """So many come back, and may not add up to more than there was."""
    await ask(database, define(100), take("a", 30))

    some, too_many, rest, none_left = [await ask_one(database, release("a", quantity)) for quantity in (20, 11, 10, 1)]

    assert (changes(some), some["claim"]["state"], some["claim"]["quantity"]) == ([(2, 0, 0, -20)], "confirmed", 10)
    assert codes([too_many, rest, none_left]) == ["EXCEEDS_CLAIM", "OK", "EXCEEDS_CLAIM"]
    assert (too_many["detail"]["requested"], too_many["detail"]["refundable"]) == (11, 10)


async def test_releasing_what_waits_moves_nothing(database: Database) -> None:
    """There is nothing to give back, and the claim ends."""
    await ask(database, define(100), wait("a", 30))

    outcome = await ask_one(database, release("a"))

    assert (outcome["code"], outcome["entries"], outcome["claim"]["state"]) == ("OK", [], "released")


async def test_adjust_goes_up_and_down_with_a_reason_each(database: Database) -> None:
    """It brings the claim to a quantity."""
    await ask(database, define(100), take("a", 30))

    up, down = [await ask_one(database, adjust("a", quantity)) for quantity in (50, 10)]

    assert (changes(up), up["entries"][0]["reason"]) == ([(2, 0, 0, 20)], "ADJUSTMENT_INCREASE")
    assert (changes(down), down["entries"][0]["reason"]) == ([(3, 0, 0, -40)], "ADJUSTMENT_DECREASE")
    assert down["claim"]["quantity"] == 10


async def test_adjust_adds_when_told_to(database: Database) -> None:
    """A relative quantity is added to what the claim has."""
    await ask(database, define(100), take("a", 30))

    outcome = await ask_one(database, adjust("a", 5, relative=True))

    assert (changes(outcome), outcome["claim"]["quantity"]) == ([(2, 0, 0, 5)], 35)


async def test_adjust_without_a_reason_to_grow_only_shrinks(database: Database) -> None:
    """Up is refused with the numbers."""
    await ask(database, define(100), take("a", 30))

    up = await ask_one(database, adjust("a", 31, reason=None))
    down = await ask_one(database, adjust("a", 29, reason=None))

    assert (up["code"], up["detail"]["requested"], up["detail"]["refundable"]) == ("EXCEEDS_CLAIM", 31, 30)
    assert down["code"] == "OK"


async def test_move_takes_a_claim_to_another_pool_with_an_entry_in_each(database: Database) -> None:
    """What leaves here arrives there, in one transaction."""
    await ask(database, define(100), define(50, OTHER), take("a", 30))

    outcome = await ask_one(database, move("a"))

    left, arrived = outcome["entries"]
    assert (left["pool_id"], left["reason"], left["confirmed_change"]) == (POOL, "MOVE_OUT", -30)
    assert (arrived["pool_id"], arrived["reason"], arrived["confirmed_change"]) == (OTHER, "MOVE_IN", 30)
    assert outcome["claim"]["pool_id"] == outcome["pool"]["id"] == OTHER
    assert numbers(outcome) == {"quota": 50, "held": 0, "confirmed": 30, "version": 1}


async def test_a_hold_moves_as_a_hold(database: Database) -> None:
    """With its end."""
    await ask(database, define(100), define(50, OTHER))
    held = await ask_one(database, hold("a", 30))

    outcome = await ask_one(database, move("a"))

    assert numbers(outcome) == {"quota": 50, "held": 30, "confirmed": 0, "version": 1}
    assert outcome["claim"]["expires_at"] == held["claim"]["expires_at"]


async def test_a_move_to_a_pool_without_room_is_refused_with_its_numbers(database: Database) -> None:
    """The pool that was short is the one moved to."""
    await ask(database, define(100), define(20, OTHER), take("a", 30))

    outcome = await ask_one(database, move("a"))

    assert (outcome["code"], outcome["pool"]["id"]) == ("INSUFFICIENT", OTHER)
    assert (outcome["detail"]["requested"], outcome["detail"]["available"]) == (30, 20)


async def test_a_move_to_where_the_claim_is_has_been_done(database: Database) -> None:
    """Twice is once; the entries of the first time are shown."""
    await ask(database, define(100), define(50, OTHER), take("a", 30), move("b"))
    first = await ask_one(database, move("a"))

    again = await ask_one(database, move("a"))

    assert again["code"] == "DONE"
    assert sorted(e["hash"] for e in again["entries"]) == sorted(e["hash"] for e in first["entries"])


async def test_stage_changes_words_and_no_capacity(database: Database) -> None:
    """Facts are merged, null takes one away, and no entry is written."""
    await ask(database, define(100), take("a", 30, to_stage="APPROVED", facts={"x": 1, "y": 2}))

    outcome = await ask_one(
        database, stage("a", from_stages=["APPROVED"], to_stage="CHECKED_IN", facts={"x": None, "z": 3})
    )

    assert (outcome["code"], outcome["entries"]) == ("OK", [])
    assert (outcome["claim"]["stage"], outcome["claim"]["facts"]) == ("CHECKED_IN", {"y": 2, "z": 3})


async def test_a_stage_that_does_not_fit_is_refused_and_named(database: Database) -> None:
    """The stage is compared under the lock."""
    await ask(database, define(100), take("a", 30, to_stage="PENDING"))

    outcome = await ask_one(database, release("a", from_stages=["APPROVED"]))

    assert (outcome["code"], outcome["detail"]["from"]) == ("INVALID_TRANSITION", "PENDING")


async def test_what_was_done_in_the_same_words_is_done_already(database: Database) -> None:
    """The domain says what makes it the same: stages and facts; others are refused."""
    words = {"from_stages": ["PENDING"], "to_stage": "APPROVED", "done_stages": ["APPROVED"]}
    await ask(database, define(100), wait("a", 30, to_stage="PENDING"))
    first = await ask_one(database, take("a", 20, None, **words, facts={"n": 20}, done_facts={"n": 20}))

    again = await ask_one(database, take("a", 20, None, **words, facts={"n": 20}, done_facts={"n": 20}))
    otherwise = await ask_one(database, take("a", 21, None, **words, facts={"n": 21}, done_facts={"n": 21}))

    assert (first["code"], again["code"], otherwise["code"]) == ("OK", "DONE", "INVALID_TRANSITION")
    assert again["entries"] == first["entries"]


async def test_a_command_may_need_a_fact(database: Database) -> None:
    """Without it the command is refused."""
    await ask(database, define(100), take("a", 30))

    without = await ask_one(database, stage("a", needs_fact="n"))
    await ask(database, stage("a", facts={"n": 7}))
    with_it = await ask_one(database, adjust("a", quantity_fact="n", needs_fact="n"))

    assert (without["code"], with_it["code"], with_it["claim"]["quantity"]) == ("INVALID_TRANSITION", "OK", 7)


async def test_a_claim_may_remember_and_add_up(database: Database) -> None:
    """`remember` keeps how many were given back, `tally` sums up what was ever taken."""
    await ask(database, define(100), take("a", 30, tally="taken"))
    await ask(database, adjust("a", 10, remember="back"))

    outcome = await ask_one(database, adjust("a", 15, tally="taken"))

    assert outcome["claim"]["facts"] == {"taken": 35, "back": 20}


async def test_backfill_writes_what_is_missing_and_leaves_the_counter(database: Database) -> None:
    """The entry counts from when the claim was confirmed; then nothing is missing any more."""
    then = "2026-01-01T00:00:00+00:00"
    await ask(database, define(100))
    await ask_one(database, take("a", 30, unledgered=True, effective_at=then), historic=True)

    outcome, again = [await ask_one(database, backfill("a")) for _ in range(2)]

    (entry,) = outcome["entries"]
    assert (entry["confirmed_change"], entry["effective_at"], entry["recorded_at"]) == (30, then, outcome["as_of"])
    assert numbers(outcome) == {"quota": 100, "held": 0, "confirmed": 30, "version": 1}
    assert (again["code"], again["entries"]) == ("DONE", outcome["entries"])


async def test_only_imports_name_a_time_or_leave_the_ledger_out(database: Database) -> None:
    """From anybody else both are ignored."""
    await ask(database, define(100))

    outcome = await ask_one(database, take("a", 30, unledgered=True, effective_at="2026-01-01T00:00:00+00:00"))

    assert [entry["effective_at"] for entry in outcome["entries"]] == [outcome["as_of"]]


async def test_expire_settles_what_is_due_and_nothing_else(database: Database) -> None:
    """It asks only that holds whose time has come end."""
    await ask(database, define(100), hold("due", 10, ttl_seconds=0), hold("not yet", 20))

    outcome = await ask_one(database, expire())

    assert outcome["code"] == "OK"
    assert numbers(outcome) == {"quota": 100, "held": 20, "confirmed": 0, "version": 3}


async def test_refuse_is_a_refusal_with_its_words(database: Database) -> None:
    """It needs no pool and moves nothing."""
    outcome = await ask_one(database, refuse("quantity", "too small"))

    assert outcome["code"] == "REFUSED"
    assert (outcome["detail"]["field"], outcome["detail"]["message"]) == ("quantity", "too small")


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (take("a", 1, "competition:none"), "competition:none"),
        (resize(1, "competition:none"), "competition:none"),
        (close("competition:none"), "competition:none"),
        (expire("competition:none"), "competition:none"),
        (confirm("none"), "none"),
        (release("none"), "none"),
        (take("none", 1, None), "none"),
        (move("mine", "competition:none"), "competition:none"),
        (release("mine", only_holder="somebody else"), "mine"),
        (release("mine", kind="booth"), "mine"),
    ],
)
async def test_what_is_not_there_is_not_found(database: Database, command: Json, missing: str) -> None:
    """A pool, a claim, a pool to move to; a claim of another kind or holder does not exist either."""
    await ask(database, define(100), take("mine", 10))

    outcome = await ask_one(database, command)

    assert (outcome["code"], outcome["detail"]["missing"]) == ("NOT_FOUND", missing)


async def test_a_claim_that_exists_is_not_made_again(database: Database) -> None:
    """Neither here nor in another pool."""
    await ask(database, define(100), define(100, OTHER), take("a", 10))

    outcomes = [await ask_one(database, take("a", 10, pool)) for pool in (POOL, OTHER)]

    assert codes(outcomes) == ["EXISTS", "EXISTS"]


@pytest.mark.parametrize(
    ("make", "command"),
    [
        (wait("a", 1), confirm("a")),
        (take("a", 1), confirm("a")),
        (take("a", 1), hold("a", 1, None)),
        (hold("a", 1), take("a", 1, None)),
        (take("a", 1), wait("a", 1, None)),
    ],
)
async def test_what_its_state_does_not_allow_is_refused(database: Database, make: Json, command: Json) -> None:
    """From waiting to held to confirmed to released, and never back."""
    made = await ask(database, define(100), make)

    outcome = await ask_one(database, command)

    assert (outcome["code"], outcome["detail"]["from"]) == ("INVALID_TRANSITION", made[1]["claim"]["state"])


@pytest.mark.parametrize("command", [release("a"), release("a", 1), adjust("a", 5), confirm("a")])
async def test_a_released_claim_is_over(database: Database, command: Json) -> None:
    """Nothing gives back twice, and nothing grows again."""
    await ask(database, define(100), take("a", 10))
    await ask(database, release("a"))

    assert codes(await ask(database, command)) == ["INVALID_TRANSITION"]


@pytest.mark.parametrize("command", [confirm("a"), release("a"), adjust("a", 5)])
async def test_a_hold_that_ran_out_says_when(database: Database, command: Json) -> None:
    """Not merely that it cannot be done."""
    _, held = await ask(database, define(100), hold("a", 10, ttl_seconds=0))

    outcome = await ask_one(database, command)

    assert outcome["code"] == "HOLD_EXPIRED"
    assert outcome["detail"]["expired_at"] == held["claim"]["expires_at"]


async def test_confirming_more_than_is_held_exceeds_the_claim(database: Database) -> None:
    """The numbers are told, and the hold stays."""
    await ask(database, define(100), hold("a", 10))

    outcome = await ask_one(database, confirm("a", 11))

    assert (outcome["code"], outcome["detail"]["requested"], outcome["detail"]["refundable"]) == (
        "EXCEEDS_CLAIM",
        11,
        10,
    )
    assert outcome["claim"]["state"] == "held"


async def test_a_shortage_tells_true_numbers_and_what_stands_in_the_way(database: Database) -> None:
    """Held may come free, and when; confirmed does not."""
    await ask(database, define(100), take("a", 50))
    _, held = await ask(database, take("b", 10), hold("c", 30, ttl_seconds=60))

    for_held, for_confirmed = [await ask_one(database, take("d", quantity)) for quantity in (40, 41)]

    detail = for_held["detail"]
    assert (for_held["code"], detail["requested"], detail["available"]) == ("INSUFFICIENT", 40, 10)
    assert (detail["cause"], detail["earliest_release_at"]) == ("HELD", held["claim"]["expires_at"])
    assert (detail["pool_id"], detail["judged_version"]) == (POOL, 3)
    assert for_confirmed["detail"]["cause"] == "CONFIRMED"


async def test_a_director_may_overbook_knowingly_and_is_told_by_how_much(database: Database) -> None:
    """Only that one step; nobody after it may, until there is room."""
    await ask(database, define(100), take("a", 90))

    outcomes = await ask(database, take("b", 30, overbook=True), take("c", 1), release("a", 21), take("d", 1))

    assert codes(outcomes) == ["OK", "INSUFFICIENT", "OK", "OK"]
    assert (outcomes[0]["detail"]["overbooked_by"], outcomes[0]["pool"]["overbooked"]) == (20, 20)
    assert outcomes[1]["detail"]["available"] == -20
    assert outcomes[3]["pool"]["overbooked"] == 0


async def test_what_does_not_grow_is_never_refused_for_want_of_room(database: Database) -> None:
    """In an overbooked pool one may confirm, adjust down, release and change words; not grow."""
    await ask(database, define(100), hold("a", 90), take("b", 10), resize(5, allow_below_use=True))

    outcomes = await ask(database, confirm("a", 80), adjust("b", 9))
    outcomes += await ask(database, release("a", 1), stage("b", to_stage="X"))
    outcomes += await ask(database, adjust("b", 10))

    assert codes(outcomes) == ["OK", "OK", "OK", "OK", "INSUFFICIENT"]


async def test_of_several_refusals_the_first_in_the_order_is_the_answer(database: Database) -> None:
    """NOT_FOUND, EXISTS, HOLD_EXPIRED, INVALID_TRANSITION, EXCEEDS_CLAIM, POOL_CLOSED, INSUFFICIENT."""
    await ask(database, define(10), define(10, OTHER), take("a", 5), hold("due", 1, ttl_seconds=0), wait("w", 99))
    await ask(database, close())

    outcomes = [
        await ask_one(database, command)
        for command in (
            release("a", 99, only_holder="somebody else", from_stages=["X"]),
            take("a", 99),
            confirm("due", 99, from_stages=["X"]),
            confirm("a", 99),
            adjust("a", 99, reason=None),
            adjust("a", 99),
            take("w", None, None),
        )
    ]
    await ask(database, reopen())
    outcomes.append(await ask_one(database, adjust("a", 99)))

    assert codes(outcomes) == [
        "NOT_FOUND",
        "EXISTS",
        "HOLD_EXPIRED",
        "INVALID_TRANSITION",
        "EXCEEDS_CLAIM",
        "POOL_CLOSED",
        "POOL_CLOSED",
        "INSUFFICIENT",
    ]


async def test_done_already_stands_before_closed_and_short(database: Database) -> None:
    """A replay is a success, whatever has become of the pool since."""
    await ask(database, define(10), take("a", 10, facts={"n": 10}))
    await ask(database, close())

    assert codes(await ask(database, take("a", 10, done_facts={"n": 10}))) == ["DONE"]


async def test_a_batch_has_one_outcome_for_each_command_in_order(database: Database) -> None:
    """A refusal among them rolls none of the others back, and a later smaller one may still fit."""
    outcomes = await ask(
        database,
        define(100),
        take("a", 60),
        take("b", 60),
        release("none"),
        take("c", 40),
        take("d", 1),
    )

    assert codes(outcomes) == ["OK", "OK", "INSUFFICIENT", "NOT_FOUND", "OK", "INSUFFICIENT"]
    assert [(outcome["claim"] or {}).get("id") for outcome in outcomes] == [None, "a", "b", None, "c", "d"]
    assert [outcome["detail"]["judged_version"] for outcome in outcomes] == [0, 1, 1, None, 2, 2]


async def test_linked_commands_all_stand_or_none(database: Database) -> None:
    """One that is refused takes the others with it, and the next request is on its own."""
    await ask(database, define(100), define(10, OTHER))

    outcomes = await ask(
        database,
        *linked(take("a", 60), take("b", 11, OTHER), request=1),
        *linked(take("c", 70), take("d", 10, OTHER), request=2),
    )

    assert codes(outcomes) == ["LINKED", "INSUFFICIENT", "OK", "OK"]
    assert (outcomes[0]["entries"], outcomes[0]["claim"]) == ([], None)
    assert numbers(outcomes[2]) == {"quota": 100, "held": 0, "confirmed": 70, "version": 1}


async def test_nothing_of_a_refused_request_is_written(database: Database, owner: asyncpg.Connection) -> None:
    """No entry, no claim, no pool; versions go on where they were."""
    await ask(database, *linked(define(100), define(10, OTHER), take("a", 60), take("b", 11, OTHER)))

    for table in ("pool", "claim", "ledger"):
        assert await owner.fetchval(f"SELECT count(*) FROM capacity.{table}") == 0, table


async def test_every_short_pool_of_a_request_is_told(database: Database) -> None:
    """Each as it was before the request."""
    await ask(database, define(100), define(10, OTHER), define(5, "competition:r"), take("z", 1))

    outcomes = await ask(database, *linked(take("a", 100), take("b", 11, OTHER), take("c", 5, "competition:r")))

    assert codes(outcomes) == ["INSUFFICIENT", "INSUFFICIENT", "LINKED"]
    short = [outcome["detail"] for outcome in outcomes[:2]]
    assert [(d["pool_id"], d["requested"], d["available"], d["judged_version"]) for d in short] == [
        (POOL, 100, 99, 1),
        (OTHER, 11, 10, 0),
    ]
    assert [outcome["pool"]["version"] for outcome in outcomes[:2]] == [1, 0]


async def test_a_short_pool_is_told_what_the_request_took_of_it_before(database: Database) -> None:
    """60 and 60 of 100: 120 were wanted of 100, at the version before the request."""
    await ask(database, define(100))

    outcomes = await ask(database, *linked(take("a", 60), take("b", 60)))

    detail = outcomes[1]["detail"]
    assert (detail["requested"], detail["available"], detail["judged_version"]) == (120, 100, 0)


@pytest.mark.parametrize("quantities", [(60, 60, 30), (120, 30), (30, 120, 110)])
async def test_a_short_pool_is_told_all_that_the_request_wants_of_it(
    database: Database, quantities: tuple[int, ...]
) -> None:
    """Whatever came before and after, the last word on a pool is the sum."""
    await ask(database, define(100))

    outcomes = await ask(database, *linked(*(take(f"c{n}", q) for n, q in enumerate(quantities))))

    told = [outcome["detail"]["requested"] for outcome in outcomes if outcome["code"] == "INSUFFICIENT"]
    assert set(told) == {sum(quantities)}


async def test_every_refusal_of_a_request_shows_the_pool_as_it_stands(database: Database) -> None:
    """Not as it would have been had the request gone through."""
    await ask(database, define(100), take("a", 5))

    outcomes = await ask(database, *linked(take("b", 10), release("a", 7)))

    assert codes(outcomes) == ["LINKED", "EXCEEDS_CLAIM"]
    assert numbers(outcomes[1]) == {"quota": 100, "held": 0, "confirmed": 5, "version": 1}
    assert outcomes[1]["detail"]["judged_version"] == 1


async def test_a_linked_shortage_of_an_unlimited_pool_has_numbers(database: Database) -> None:
    """2^31 - 1 is the end even there, and it is told alike alone and linked."""
    await ask(database, define(None))

    outcomes = await ask(database, *linked(take("a", 10), take("b", LARGEST)))

    detail = outcomes[1]["detail"]
    assert (detail["requested"], detail["available"]) == (LARGEST + 10, LARGEST)


async def test_a_pool_that_a_refused_request_would_have_made_leaves_no_trace(database: Database) -> None:
    """The requests after it in the batch are judged as if it had not been."""
    await ask(database, define(100))

    outcomes = await ask(
        database,
        take("a", 1),
        *linked(define(3, OTHER), take("b", 5, OTHER)),
        define(4, "competition:r"),
        take("c", 4, "competition:r"),
    )

    assert codes(outcomes) == ["OK", "LINKED", "INSUFFICIENT", "OK", "OK"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (take("a", LARGEST, UNLIMITED), "OK"),
        (take("a", LARGEST + 1, UNLIMITED), "INSUFFICIENT"),
        (take("a", 2**40, UNLIMITED, overbook=True), "INSUFFICIENT"),
        (hold("a", LARGEST, overbook=True), "INSUFFICIENT"),
        (take("a", LARGEST), "INSUFFICIENT"),
        (adjust("one", LARGEST), "INSUFFICIENT"),
        (adjust("one", LARGEST, relative=True), "INSUFFICIENT"),
        (release("one", LARGEST), "EXCEEDS_CLAIM"),
        (release("one", 2**40), "EXCEEDS_CLAIM"),
        (resize(LARGEST), "OK"),
        (resize(LARGEST, oversell_max=LARGEST), "OK"),
    ],
)
async def test_numbers_near_the_end_of_integers_never_wrap(database: Database, command: Json, code: str) -> None:
    """Sums are wider than what they add up."""
    await ask(database, define(100), define(None, UNLIMITED), take("one", 1))

    assert codes(await ask(database, command)) == [code]


async def test_a_full_pool_of_the_largest_size_is_full(database: Database) -> None:
    """Not one more, not even beyond the quota knowingly."""
    await ask(database, define(LARGEST, oversell_max=LARGEST), take("a", LARGEST))

    outcomes = await ask(database, take("b", 1), hold("c", 1, overbook=True), take("d", LARGEST))

    assert codes(outcomes) == ["INSUFFICIENT"] * 3
    assert [outcome["detail"]["available"] for outcome in outcomes] == [0, 0, 0]


@pytest.mark.parametrize(
    "commands",
    [
        (wait("w", LARGEST), adjust("w", 1, relative=True)),
        (
            take("t", LARGEST, UNLIMITED, tally="taken"),
            release("t", LARGEST - 1),
            adjust("t", LARGEST, tally="taken"),
        ),
    ],
    ids=["waiting", "tally"],
)
async def test_no_sum_of_a_claim_outgrows_integers_with_an_error(
    database: Database, commands: tuple[Json, ...]
) -> None:
    """Any answer will do but an exception, which takes a whole batch down."""
    await ask(database, define(100), define(None, UNLIMITED))

    outcomes = [await ask_one(database, command) for command in commands]

    assert len(outcomes) == len(commands)


async def test_expiry_is_exact_without_a_sweeper(database: Database) -> None:
    """The first command after its time settles a hold; it counts from when it ran out."""
    await ask(database, define(10))
    held = await ask_one(database, hold("a", 10, ttl_seconds=0.3))
    early = await ask_one(database, take("b", 10))
    await asyncio.sleep(0.3)

    late = await ask_one(database, take("b", 10))
    over = await ask_one(database, stage("a"))

    assert (early["code"], late["code"]) == ("INSUFFICIENT", "OK")
    assert changes(late) == [(3, 0, 0, 10)]
    assert (over["claim"]["state"], over["claim"]["quantity"]) == ("expired", 0)
    assert over["claim"]["since"] == held["claim"]["expires_at"]


async def test_an_expiry_counts_from_when_the_hold_ran_out(database: Database, owner: asyncpg.Connection) -> None:
    """It is recorded later, by nobody and under no key."""
    _, held = await ask(database, define(10), hold("a", 10, ttl_seconds=0.01))
    await asyncio.sleep(0.02)
    settled = await ask_one(database, expire())

    entry = await owner.fetchrow("SELECT * FROM capacity.ledger WHERE reason = 'EXPIRY'")

    assert entry is not None
    assert entry["effective_at"] == datetime.fromisoformat(held["claim"]["expires_at"])
    assert entry["recorded_at"] == datetime.fromisoformat(settled["as_of"])
    assert (entry["version"], entry["held_change"], entry["held_after"]) == (2, -10, 0)
    assert (entry["claim_id"], entry["actor"], entry["idempotency_key"]) == ("a", None, None)


async def test_holds_that_run_out_together_end_in_order_and_without_gaps(
    database: Database, owner: asyncpg.Connection
) -> None:
    """By their time, then by their id."""
    await ask(database, define(100))
    await ask(
        database,
        hold("c", 3, ttl_seconds=0.003),
        hold("b", 2, ttl_seconds=0.002),
        hold("d", 4, ttl_seconds=0.002),
        hold("a", 1, ttl_seconds=0.001),
    )
    await asyncio.sleep(0.01)
    await ask(database, take("e", 100))

    entries = await owner.fetch("SELECT * FROM capacity.ledger WHERE version > 4 ORDER BY version")

    assert [(entry["version"], entry["claim_id"], entry["held_after"]) for entry in entries] == [
        (5, "a", 9),
        (6, "b", 7),
        (7, "d", 3),
        (8, "c", 0),
        (9, "e", 0),
    ]
    assert [e["effective_at"] for e in entries] == sorted(e["effective_at"] for e in entries)


@pytest.mark.parametrize("empty", [release("a", 10), adjust("a", 0)], ids=["released", "adjusted"])
async def test_a_hold_with_nothing_left_runs_out_as_well(
    database: Database, owner: asyncpg.Connection, empty: Json
) -> None:
    """And its pool goes on."""
    await ask(database, define(100), hold("a", 10))
    await ask(database, empty)
    await owner.execute("UPDATE capacity.claim SET expires_at = clock_timestamp()")

    assert codes(await ask(database, take("b", 1))) == ["OK"]


async def test_time_never_runs_backwards_in_a_pool(database: Database, owner: asyncpg.Connection) -> None:
    """Where the pool's clock is ahead of the server's, entries follow the pool."""
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await ask(database, define(100), hold("a", 10, ttl_seconds=60))
    await owner.execute("UPDATE capacity.pool SET clock = $1", ahead)

    taken = await ask_one(database, take("b", 100))

    assert taken["code"] == "OK"
    assert datetime.fromisoformat(taken["as_of"]) == ahead
    assert {row["recorded_at"] for row in await owner.fetch("SELECT * FROM capacity.ledger WHERE version > 1")} == {
        ahead
    }


async def test_a_move_into_a_pool_that_is_ahead_follows_it(database: Database, owner: asyncpg.Connection) -> None:
    """Each entry has the time of its own pool."""
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await ask(database, define(100), define(100, OTHER), take("a", 10))
    await owner.execute("UPDATE capacity.pool SET clock = $1 WHERE id = $2", ahead, OTHER)

    left, arrived = (await ask_one(database, move("a")))["entries"]

    assert datetime.fromisoformat(left["recorded_at"]) < ahead
    assert datetime.fromisoformat(arrived["recorded_at"]) == ahead


async def test_a_limit_of_nothing_on_a_pool_that_is_ahead_is_written(
    database: Database, owner: asyncpg.Connection
) -> None:
    """From unlimited to 0 the ledger changes by nothing, and where the clock stands still all else stays too."""
    await ask(database, define(None))
    await owner.execute("UPDATE capacity.pool SET clock = clock + interval '1 hour'")
    await ask(database, resize(0))

    outcome = await ask_one(database, expire())

    assert numbers(outcome)["quota"] == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE capacity.ledger SET note = 'x'",
        "DELETE FROM capacity.ledger",
        "TRUNCATE capacity.ledger",
        "DELETE FROM capacity.pool",
        "DELETE FROM capacity.claim",
        "UPDATE capacity.idempotency SET fingerprint = 'x'",
    ],
)
async def test_the_application_role_may_only_append(database: Database, change: str) -> None:
    """What is written in the ledger stays, whoever holds the gateway's connections."""
    await ask(database, define(100), take("a", 10))

    async with database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(change)


@pytest.mark.parametrize("table", ["pool", "claim", "ledger", "idempotency"])
@pytest.mark.parametrize(("tenant", "rows"), [(TENANT, 1), ("another", 0), ("", 0), (None, 0)])
async def test_no_tenant_sees_another(database: Database, table: str, tenant: str | None, rows: int) -> None:
    """And without a tenant nobody sees anything."""
    await ask(database, define(100), take("a", 10, operation="test", key="k", fingerprint="f"))

    async with database.connection() as connection, connection.transaction():
        if tenant is not None:
            await connection.execute("SELECT set_config('capacity.tenant', $1, true)", tenant)
        found = await connection.fetchval(f"SELECT count(*) FROM capacity.{table}")

    assert found == rows


@pytest.mark.parametrize("table", ["pool", "claim", "ledger", "idempotency"])
async def test_no_tenant_writes_for_another(database: Database, owner: asyncpg.Connection, table: str) -> None:
    """Row-level security refuses the row."""
    await ask(database, define(100), take("a", 10, operation="test", key="k", fingerprint="f"))
    row = await owner.fetchval(f'SELECT to_jsonb(t) || \'{{"tenant_id": "another"}}\' FROM capacity.{table} AS t')

    async with database.connection() as connection, connection.transaction():
        await connection.execute("SELECT set_config('capacity.tenant', $1, true)", TENANT)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute(
                f"INSERT INTO capacity.{table} SELECT * FROM jsonb_populate_record(NULL::capacity.{table}, $1)", row
            )


async def test_tenants_have_pools_of_the_same_name_apart(database: Database) -> None:
    """What one takes the other has still."""
    await ask(database, define(10), take("a", 10))

    outcomes = await ask(database, define(10), take("a", 10), tenant="another")

    assert codes(outcomes) == ["OK", "OK"]


async def test_what_is_had_elsewhere_is_given_back(database: Database) -> None:
    """Of this holder and kind and in force: no place in a queue, no offer, nothing of anybody else."""
    queue = define(1, "competition:r", waitlist=True, offer_seconds=60)
    await ask(database, define(9), define(9, OTHER), queue, define(9, "competition:s"))
    await ask(database, hold("here", 1, holder="h"), hold("there", 2, OTHER, holder="h"), hold("his", 3, OTHER))
    await ask(database, take("first", 1, "competition:r"), take("waits", 1, "competition:r", holder="h", or_wait=True))

    gone, nothing = [await ask_one(database, release_elsewhere("h", POOL)) for _ in range(2)]
    await ask(database, release("first"))
    offered = await ask_one(database, release_elsewhere("h", POOL))

    assert (gone["code"], gone["claim"]["id"], gone["pool"]["held"]) == ("OK", "there", 3)
    assert [(o["code"], o["claim"], o["entries"]) for o in (nothing, offered)] == [("DONE", None, [])] * 2


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_only_read_committed_will_do(
    database: Database, isolation: Literal["repeatable_read", "serializable"]
) -> None:
    """A snapshot older than the lock would oversell."""
    async with database.connection() as connection:
        with pytest.raises(asyncpg.RaiseError, match="READ COMMITTED"):
            async with connection.transaction(isolation=isolation):
                await connection.fetch("SELECT capacity.apply($1, $2)", TENANT, "[{}]")


async def test_a_shortage_names_the_end_of_a_hold_of_the_same_batch(database: Database) -> None:
    """A batch answers as its commands would one by one."""
    await ask(database, define(10))

    held, short = await ask(database, hold("a", 10), take("b", 1))

    assert short["detail"]["earliest_release_at"] == held["claim"]["expires_at"]
