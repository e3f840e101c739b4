"""Approve a reservation with generated code, in which each answer has its type: with_types.py RESERVATION SPACES.

CAPACITY_URL is the gateway's address, CAPACITY_TOKEN a director's login.
"""

import asyncio
import os
import sys
import uuid

from capacity_client import (
    ApproveApproveInsufficientCapacityError,
    ApproveApproveReservationSuccess,
    ApproveInput,
    CapacityClient,
    RetryAdvice,
)

URL = os.environ.get("CAPACITY_URL", "http://127.0.0.1:8000")


async def approve(reservation_id: str, spaces: int) -> str:
    """What to tell the director. One click is one key, however often it is sent."""
    click = ApproveInput(reservation_id=reservation_id, spaces_confirmed=spaces, idempotency_key=str(uuid.uuid4()))
    async with CapacityClient(
        f"{URL}/graphql", headers={"authorization": f"Bearer {os.environ['CAPACITY_TOKEN']}"}
    ) as client:
        while True:
            match (await client.approve(click)).approve:
                case ApproveApproveReservationSuccess(reservation=reservation, pool=pool):
                    return f"{reservation.spaces_confirmed} spaces approved; {pool.available} left of {pool.title}"
                case ApproveApproveInsufficientCapacityError(available=available):
                    return f"only {available} spaces left"
                case None:
                    return "the gateway has no answer"
                case refusal if refusal.retry is not RetryAdvice.SAME_KEY:
                    return refusal.message
                case busy:
                    await asyncio.sleep((busy.retry_after_ms or 250) / 1000)


if __name__ == "__main__":
    print(asyncio.run(approve(sys.argv[1], int(sys.argv[2]))))
