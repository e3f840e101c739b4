"""Webhooks: URLs that are told of every change, for whoever may read every ledger."""

from datetime import datetime
from typing import Annotated

import strawberry

from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import Forbidden
from capacity_gateway.kernel.outcomes import GatewayBusyError, InvalidInputError, NotFoundError, not_found
from capacity_gateway.kernel.submission import at_least, unfit_texts
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind
from capacity_gateway.kernel.webhooks import WEBHOOKS_MAX, Webhook


@strawberry.input
class CreateWebhookInput:
    """A URL to be told."""

    id: strawberry.ID
    """A name for it. The same again is a replay."""
    url: str
    """Where to: https, at a public address."""
    kinds: list[PoolKind] | None = None
    """Of which pools; absent = all."""
    reasons: list[LedgerReason] | None = None
    """Which entries, such as OFFER for who sends mail; absent = all."""
    since: datetime | None = None
    """Tell first what has been written from this instant on; absent = only what comes."""


@strawberry.input
class ResumeWebhookInput:
    """A webhook that is to go on at once: where it is, or from an earlier place."""

    id: strawberry.ID
    """Which."""
    since: datetime | None = None
    """In all pools from what was written at this instant on."""
    kind: PoolKind | None = None
    """In one pool: its kind,"""
    ref: strawberry.ID | None = None
    """its id outside,"""
    after: int | None = None
    """and the last version that need not be told again."""


@strawberry.input
class DeleteWebhookInput:
    """A webhook that is to be told nothing more."""

    id: strawberry.ID
    """Which."""


@strawberry.type
class WebhookSuccess:
    """The webhook is as asked for."""

    replayed: bool
    """This had been done before and nothing changed now."""
    webhook: Webhook
    """As it is now; of one that was deleted, as it was."""
    secret: str | None
    """What its messages are signed with, told when it is made and never again; null otherwise."""


WebhookResult = Annotated[
    WebhookSuccess | NotFoundError | InvalidInputError | GatewayBusyError,
    strawberry.union("WebhookResult", description="The webhook, or why it was not changed."),
]


def may_manage(info: Info) -> None:
    """Check that the caller may manage webhooks: they tell everything that only an admin may read."""
    info.context.caller.require("admin")


async def found(info: Info, webhook_id: str) -> Webhook | None:
    """The tenant's webhook of an id, as it is now."""
    await info.context.close()
    return next((each for each in await info.context.reads.webhooks() if each.id == webhook_id), None)


@strawberry.type
class Queries:
    """Reads of webhooks."""

    @strawberry.field
    async def webhooks(self, info: Info) -> list[Webhook] | None:
        """The tenant's webhooks, and how they fare."""
        may_manage(info)
        return await info.context.reads.webhooks()


@strawberry.type
class Mutations:
    """Changes to webhooks."""

    @strawberry.mutation
    async def create_webhook(self, info: Info, input: CreateWebhookInput) -> WebhookResult | None:  # noqa: A002
        """Have a URL told of every change, signed, in order in each pool, until it has said that it has it."""
        may_manage(info)
        webhooks = info.context.webhooks
        if not webhooks.possible:
            raise Forbidden("There is no key to sign webhooks with: set CAPACITY_WEBHOOK_SECRET")
        refusal = next(unfit_texts(input), None)
        if refusal is None and (wrong := webhooks.unfit(input.url)):
            refusal = InvalidInputError(field="url", message=wrong)
        if refusal is not None:
            return refusal
        secret = await webhooks.make(
            info.context.caller.tenant,
            input.id,
            input.url,
            kinds=None if input.kinds is None else [kind.value for kind in input.kinds],
            reasons=None if input.reasons is None else [reason.value for reason in input.reasons],
            since=input.since,
        )
        if isinstance(secret, GatewayBusyError):
            return secret
        webhook = await found(info, input.id)
        if webhook is None:
            return InvalidInputError(field="id", message=f"There are {WEBHOOKS_MAX} webhooks; delete one first")
        if secret is None and (webhook.url, webhook.kinds, webhook.reasons) != (input.url, input.kinds, input.reasons):
            return InvalidInputError(field="id", message="There is another webhook with this id")
        return WebhookSuccess(replayed=secret is None, webhook=webhook, secret=secret)

    @strawberry.mutation
    async def resume_webhook(self, info: Info, input: ResumeWebhookInput) -> WebhookResult | None:  # noqa: A002
        """Go on at once, whatever has failed; and, where it is said from where, tell again what came after that."""
        may_manage(info)
        after = None
        one_pool = (input.kind, input.ref, input.after)
        if one_pool != (None, None, None):
            if input.kind is None or input.ref is None or input.after is None or input.since is not None:
                return InvalidInputError(field="after", message="kind, ref and after go together, and without since")
            after = (input.kind.pool_id(input.ref), input.after)
        if refusal := next(unfit_texts(input), None) or at_least("after", input.after, 0):
            return refusal
        resumed = await info.context.webhooks.resume(
            info.context.caller.tenant, input.id, since=input.since, after=after
        )
        if isinstance(resumed, GatewayBusyError):
            return resumed
        webhook = await found(info, input.id)
        if webhook is None:
            return not_found(input.id)
        if not resumed:
            return InvalidInputError(field="after", message="There is no such version of this pool")
        return WebhookSuccess(replayed=False, webhook=webhook, secret=None)

    @strawberry.mutation
    async def delete_webhook(self, info: Info, input: DeleteWebhookInput) -> WebhookResult | None:  # noqa: A002
        """Tell it nothing more, and forget how far it has come."""
        may_manage(info)
        if refusal := next(unfit_texts(input), None):
            return refusal
        webhook = await found(info, input.id)
        if webhook is None:
            return not_found(input.id)
        dropped = await info.context.webhooks.drop(info.context.caller.tenant, input.id)
        if isinstance(dropped, GatewayBusyError):
            return dropped
        return WebhookSuccess(replayed=False, webhook=webhook, secret=None)
