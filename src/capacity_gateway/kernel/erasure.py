"""Forgetting a person, while the ledger stays provable: names and addresses are on claims alone."""

from collections.abc import Sequence

from capacity_gateway.kernel.database import QUERIES, Database

CLAIMS_AT_A_TIME = 5000  # looked at in one transaction: 0.1 s


async def erase(database: Database, tenant: str, *, holder: str | None, email: str | None, names: Sequence[str]) -> int:
    """Take the title, and the facts of these names, from all claims of a holder or with an e-mail address.

    What was taken, held and given back, by whose id, stays as it is. So do the notes that people wrote for the ledger.

    Returns:
        From how many claims something was taken.
    """
    address = None if email is None else email.strip().casefold()
    erased, last = 0, ""
    while last is not None:
        async with database.connection() as connection, connection.transaction():
            await QUERIES.open_snapshot(connection, tenant=tenant)
            page = await QUERIES.erase(
                connection,
                tenant=tenant,
                holder=holder,
                email=address,
                names=list(names),
                after=last,
                size=CLAIMS_AT_A_TIME,
            )
        erased, last = erased + page["erased"], page["last"]
    return erased
