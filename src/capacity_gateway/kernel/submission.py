"""From a mutation's input to the one door: the key, the fingerprint, and what can be refused beforehand."""

import dataclasses
import hashlib
import unicodedata
import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast

import orjson
import strawberry
from strawberry.types import get_object_definition
from strawberry.types.base import StrawberryOptional
from strawberry.utils.str_converters import to_camel_case

from capacity_gateway.kernel import measures
from capacity_gateway.kernel.commands import Attribution, Command, Define
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import Forbidden, Unauthenticated
from capacity_gateway.kernel.outcomes import (
    BusyOutcome,
    CapacityChange,
    CapacityError,
    GatewayBusyError,
    InvalidInputError,
    NotFoundError,
    PoolSuccess,
    not_found,
    remembered,
)
from capacity_gateway.kernel.pools import Pool
from capacity_gateway.kernel.vocabulary import PoolKind

Success = TypeVar("Success", bound=CapacityChange)

Governed = Pool | NotFoundError | InvalidInputError

LONGEST_ID = 255  # characters
LONGEST_ID_BYTES = 800  # three of them fit an index entry of PostgreSQL (2,704 bytes)
LONGEST_TEXT = 2000  # characters
LARGEST_INT = 2**31 - 1


def at_least(field: str, value: int | None, smallest: int) -> InvalidInputError | None:
    """The refusal of a number that is too small; None when it is not, or absent."""
    if value is None or value >= smallest:
        return None
    return InvalidInputError(field=field, message=f"{field} must be at least {smallest}, and is {value}")


def at_most(field: str, value: int | None, largest: int) -> InvalidInputError | None:
    """The refusal of a number that is too large; None when it is not, or absent."""
    if value is None or value <= largest:
        return None
    return InvalidInputError(field=field, message=f"{field} must be at most {largest}, and is {value}")


def is_id(text: str) -> bool:
    """Whether a text is of 1 to 255 printable characters."""
    return 1 <= len(text) <= LONGEST_ID and text.isprintable() and len(text.encode()) <= LONGEST_ID_BYTES


def is_text(text: str) -> bool:
    """Whether a text is of at most 2,000 characters with no control character but tab and line breaks."""
    return len(text) <= LONGEST_TEXT and all(
        character in "\t\r\n" or unicodedata.category(character) not in ("Cc", "Cs") for character in text
    )


def is_address(text: str) -> bool:
    """Whether a text may be an e-mail address."""
    name, _, host = text.strip().partition("@")
    return bool(name and host) and is_id(text)


async def submit(
    info: Info,
    given: Any,
    *commands: Command,
    success: Callable[..., Success],
    checks: Sequence[CapacityError | None] = (),
    keyed: bool = True,
) -> Any:
    """Submit a mutation's commands as its caller and under its key, and count what comes of it.

    Args:
        info: of the mutation; its field name is the operation.
        given: the mutation's input, an instance of a Strawberry input type.
        commands: all of them or none.
        success: makes the success to return.
        checks: refusals that were found already; the first one is the answer, and final for the key.
        keyed: whether the header's key counts.

    Returns:
        What `Capacity.submit` returns, or InvalidInputError. Which members of a union these may be is GraphQL's
        to check, hence Any.
    """
    outcome = await _submit(info, given, commands, success, checks, keyed=keyed)
    refused = outcome.code if isinstance(outcome, CapacityError) else None
    if isinstance(outcome, GatewayBusyError):
        info.context.turned_away = outcome.outcome is BusyOutcome.NOT_APPLIED
    measures.count_outcome(info.field_name, refused or ("REPLAYED" if outcome.replayed else "OK"))
    return outcome


async def _submit(
    info: Info,
    given: Any,
    commands: Sequence[Command],
    success: Callable[..., Success],
    checks: Sequence[CapacityError | None],
    *,
    keyed: bool,
) -> Success | CapacityError:
    caller = info.context.caller
    header_key = header_key_of(info) if keyed else None
    key = getattr(given, "idempotency_key", None)
    if key is None:
        key = header_key
    if key is not None and not is_id(key):
        return InvalidInputError(field="idempotencyKey", message="idempotencyKey must be 1 to 255 printable characters")
    if header_key is not None and header_key != key:
        return InvalidInputError(
            field="idempotencyKey", message="idempotencyKey and the header X-Idempotency-Key differ"
        )
    refusal = next((check for check in (*unfit_texts(given), *checks) if check), None)
    by = Attribution(
        operation=info.field_name,
        actor=caller.holder,
        key=key,
        fingerprint=fingerprint(given, caller.holder),
        note=None if refusal else getattr(given, "note", None),
    )
    await info.context.reads.close()  # what is read from now on is as the change leaves it
    if refusal is None:
        return await info.context.capacity.submit(caller.tenant, commands, by, success)
    if key is None:
        return refusal
    return await info.context.capacity.submit(caller.tenant, [remembered(refusal)], by, success)


async def define_within(
    info: Info,
    given: Any,
    parent: Governed,
    kind: PoolKind,
    *,
    title: str,
    facts: Mapping[str, Any] | None = None,
    checks: Sequence[CapacityError | None] = (),
    **policy: Any,
) -> Any:
    """Make a pool that belongs to another, and is governed by whoever governs that. The same again is a replay.

    Args:
        info: of the mutation.
        given: the mutation's input, with an `id`, made up where it is absent, and a `quota`.
        parent: what it belongs to, or why it cannot.
        kind: what is counted.
        title: its name for people.
        facts: the domain's own data on it.
        checks: refusals that were found already.
        policy: what the kernel is to know of it: further fields of `Define`.

    Returns:
        What `submit` returns.
    """
    if not isinstance(parent, Pool):
        return await submit(info, given, success=PoolSuccess, checks=[parent])
    facts = {name: parent.facts.get(name) for name in ("owner_id", "organization_id")} | dict(facts or {})
    policy = {"title": title, "quota": given.quota, "parent_id": parent.id} | policy
    pool_id = kind.pool_id(given.id or str(uuid.uuid4()))
    command = Define(kind=kind, pool_id=pool_id, pool_facts=facts, definition=policy | facts, **policy)
    return await submit(info, given, command, success=PoolSuccess, checks=[at_least("quota", given.quota, 0), *checks])


def header_key_of(info: Info) -> str | None:
    """The X-Idempotency-Key header, where the document has a single mutation."""
    return info.context.header_key if len(info.operation.selection_set.selections) == 1 else None


async def holder_of(info: Info, holder: str | None, pool_id: str | None = None) -> str:
    """For whom a mutation is: the caller; or whom a service or an admin names, or the pool's organiser.

    Raises:
        Unauthenticated: without a login.
        Forbidden: when somebody else names another.
    """
    caller = info.context.caller
    if caller.holder is None:
        raise Unauthenticated
    if holder is None or holder == caller.holder:
        return caller.holder
    if caller.role not in ("service", "admin"):
        pool = await info.context.reads.find_pool(pool_id) if pool_id else None
        if pool is None or not caller.may_audit(pool):
            raise Forbidden
    return holder


async def governed(info: Info, kind: PoolKind, ref: str, *, field: str = "ref") -> Governed:
    """A pool that the caller may govern, or the refusal of an id, named by its field, that is none or finds nothing.

    Raises:
        Unauthenticated: without a login.
        Forbidden: to who governs nothing, or not this.
    """
    caller = info.context.caller
    caller.require("admin", "director", "organizer")
    if kind not in caller.governs:
        raise Forbidden
    if not is_id(ref):
        return InvalidInputError(field=field, message=f"{field} must be 1 to {LONGEST_ID} printable characters")
    pool = await info.context.reads.find_pool(kind.pool_id(ref))
    if pool is None:
        return not_found(ref)
    if not caller.may_audit(pool):
        raise Forbidden
    return pool


def fingerprint(given: Any, actor: str | None) -> str:
    """SHA-256 in hex of what was asked and by whom: the fields that differ from their defaults, without the key."""
    defaults = _defaults(cast(Hashable, type(given)))
    asked = {name: value for name, default in defaults if (value := getattr(given, name)) != default}
    return hashlib.sha256(orjson.dumps([actor, asked], option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


@cache
def _defaults(input_type: Hashable) -> list[tuple[str, Any]]:
    """The names and defaults of an input type's fields but for the key."""
    fields = dataclasses.fields(cast(Any, input_type))
    return [(field.name, field.default) for field in fields if field.name != "idempotency_key"]


def unfit_texts(given: Any) -> Iterator[InvalidInputError]:
    """The refusals of an input's ids that are no ids and texts that are no texts."""
    for name, is_an_id in _texts(cast(Hashable, type(given))).items():
        value = getattr(given, name)
        if not isinstance(value, str):
            continue
        field = to_camel_case(name)
        if is_an_id and not is_id(value):
            yield InvalidInputError(field=field, message=f"{field} must be 1 to {LONGEST_ID} printable characters")
        elif not is_an_id and not is_text(value):
            yield InvalidInputError(
                field=field, message=f"{field} must be at most {LONGEST_TEXT} characters, and no control characters"
            )


@cache
def _texts(input_type: Hashable) -> dict[str, bool]:
    """The names of an input type's text fields, and whether each is an id."""
    definition = get_object_definition(cast(type, input_type), strict=True)
    found = {}
    for field in definition.fields:
        kind = field.type.of_type if isinstance(field.type, StrawberryOptional) else field.type
        if kind in (str, strawberry.ID) and field.python_name != "idempotency_key":
            found[field.python_name] = kind is strawberry.ID
    return found
