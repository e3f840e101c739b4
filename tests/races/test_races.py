"""What is asked at the same moment, on concurrent connections."""

from races import (
    ended_backends,
    expiry_while_waiting,
    given_back_twice,
    many_takers,
    mixed,
    moved_away,
    one_claim,
    two_places,
    two_takers,
    two_tenants,
)


async def test_of_two_who_take_100_of_150_one_gets_them(owner_url: str) -> None:
    """Two hundred times: never oversold, never both refused, and the loser is told the truth."""
    assert await two_takers(owner_url, rounds=200) == []


async def test_of_twenty_who_take_10_of_150_fifteen_get_them(owner_url: str) -> None:
    """The last place is given once."""
    assert await many_takers(owner_url) == []


async def test_approvals_refunds_and_moves_in_opposite_orders_do_not_deadlock(owner_url: str) -> None:
    """Fifty at once over two pools: every one is answered, and the books balance."""
    assert await mixed(owner_url) == []


async def test_of_two_who_take_up_one_claim_one_does(owner_url: str) -> None:
    """Whoever comes second is told that it has been taken."""
    assert await one_claim(owner_url) == []


async def test_who_goes_into_two_pools_at_once_is_in_one(owner_url: str) -> None:
    """Whichever came last: it sees the other, and leaves it."""
    assert await two_places(owner_url) == []


async def test_a_claim_may_move_while_somebody_gives_back_of_it(owner_url: str) -> None:
    """The lost race for the pool is noticed, and run again."""
    assert await moved_away(owner_url) == []


async def test_time_is_read_after_the_wait_for_the_lock(owner_url: str) -> None:
    """A hold that ran out in the meantime is over."""
    assert await expiry_while_waiting(owner_url) == []


async def test_ended_backends_leave_all_or_nothing(owner_url: str) -> None:
    """At whatever moment, the same key afterwards is applied once."""
    assert await ended_backends(owner_url) == []


async def test_of_two_who_give_back_one_claim_one_does(owner_url: str) -> None:
    """Whoever comes second is told that it has been given back, and nothing is given back twice."""
    assert await given_back_twice(owner_url) == []


async def test_two_tenants_with_the_same_names_and_keys_do_not_meet(owner_url: str) -> None:
    """On one connection, one after the other."""
    assert await two_tenants(owner_url) == []
