"""Offers, as they reach who waits while he is subscribed."""

from domains.conftest import people
from dropin.conftest import clients, full, login
from subscribing import serving

SUBSCRIPTION = "subscription { waitlistOffer { pool { ref } joinToken } }"


async def test_a_subscriber_is_told_what_to_accept_the_offer_with(owner_url: str) -> None:
    """The token that arrives with the offer is the one that takes it up."""
    async with serving(owner_url) as served:
        do, old = people(served.gateway), clients(served.gateway)
        await do("olga", "createEvent", id="e", name="E", organizationId="org_acme")
        await full(do, old, "a")
        async with served.client(login(served.gateway, "a")) as client:
            offers = await client.ask(SUBSCRIPTION)
            await old("x", "cancelSessionRsvp", sessionId="s")
            offer = await offers.event()

        accepted = await old("a", "acceptWaitlistOffer", sessionId=offer["pool"]["ref"], joinToken=offer["joinToken"])

    assert accepted["success"]
