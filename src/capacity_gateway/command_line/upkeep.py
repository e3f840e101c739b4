"""Commands for the database, logins and people."""

import asyncio

from capacity_gateway.command_line.reaching import gateway, owner_address
from capacity_gateway.command_line.saying import AsJson, Tenant, fail, print_json, said
from capacity_gateway.domains import events, tickets
from capacity_gateway.kernel import erasure, migrations
from capacity_gateway.login import mint
from capacity_gateway.settings import settings

PERSONAL = events.PERSONAL + tickets.PERSONAL


def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database's tables and functions up to date, and make the application role.

    Exit codes: 0 = done, or nothing was to do; 2 = it could not be done.

    Args:
        as_json: Print the names of what was applied as JSON.
    """
    knobs = settings()
    applied = asyncio.run(migrations.migrate(owner_address(knobs), knobs.database_url))
    if as_json:
        print_json({"applied": applied})
    else:
        said.print(f"Applied: {', '.join(applied)}" if applied else "Nothing to do: the database is up to date.")


def token(
    *,
    sub: str,
    role: str | None = None,
    tenant: Tenant = None,
    claim: list[str] | None = None,
    ttl_seconds: int = 86_400,
    as_json: AsJson = False,
) -> None:
    """Print a login and nothing else, signed with this gateway's secret.

    Exit codes: 0 = done; 2 = there is no secret, or a claim is none.

    Args:
        sub: The holder, and the ledger's actor.
        role: admin, director, studio, organizer or service; absent = attendee.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
        claim: A further claim as NAME=VALUE, such as studioId=42; may be given several times.
        ttl_seconds: How long it holds.
        as_json: Print it within JSON.
    """
    for pair in claim or []:
        if "=" not in pair:
            fail(f"A claim is NAME=VALUE, and this is none: {pair}")
    further = dict(pair.split("=", 1) for pair in claim or [])
    claims = {"sub": sub, "role": role, "tenant": tenant, **further}
    login = mint(settings(), claims, ttl_seconds=ttl_seconds)
    if as_json:
        print_json({"token": login, "ttl_seconds": ttl_seconds})
    else:
        print(login)  # noqa: T201 - the command's result


def erase(
    *, holder: str | None = None, email: str | None = None, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """Forget a person: names, addresses and telephone numbers. The ledger stays as it is, and its hashes hold.

    Exit codes: 0 = done, whether anything was known of them or not; 2 = nobody was named.

    Args:
        holder: Whose: a login's subject.
        email: A guest's address; capitals and small letters are the same.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
        as_json: Print from how many claims as JSON.
    """
    if not (holder or email):
        fail("Whom? Give --holder or --email.")

    async def run() -> int:
        async with gateway() as (database, _):
            tenant_id = tenant or settings().default_tenant
            return await erasure.erase(database, tenant_id, holder=holder, email=email, names=PERSONAL)

    claims = asyncio.run(run())
    if as_json:
        print_json({"claims": claims})
    else:
        said.print(f"Erased from {claims} claims.")
