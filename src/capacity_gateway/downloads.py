"""Ledgers as files over HTTP: `/ledgers/KIND/REF?format=csv` or `jsonl`, for whoever may read them whole."""

from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from capacity_gateway.kernel.context import Context
from capacity_gateway.kernel.errors import BadUserInput, Busy, Forbidden, Unauthenticated
from capacity_gateway.kernel.pools import Pool
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.ledger_file import FileFormat, written

STATUSES: dict[type[GraphQLError], int] = {Unauthenticated: 401, Forbidden: 403, Busy: 503}


async def download_ledger(request: Request) -> Response:
    """The file, streamed; or why there is none, in the form of GraphQL's errors."""
    context: Context = await request.app.state.endpoint.get_context(request, Response())
    try:
        form = FileFormat(request.query_params.get("format", FileFormat.CSV.value))
        kind = PoolKind(request.path_params["kind"].lower())
        pool = await _pool(context, kind.pool_id(request.path_params["ref"]))
    except ValueError as error:
        return _refusal(BadUserInput(str(error)), 400)
    except (Unauthenticated, Forbidden, Busy) as error:
        return _refusal(error, STATUSES[type(error)])
    finally:
        await context.close()
    if pool is None:
        return _refusal(GraphQLError("There is nothing here", extensions={"code": "NOT_FOUND"}), 404)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in pool.id)
    disposition = f'attachment; filename="{name}.{form.value}"'
    return StreamingResponse(
        written(context.reads, pool, form), media_type=form.media_type, headers={"content-disposition": disposition}
    )


async def _pool(context: Context, pool_id: str) -> Pool | None:
    """The pool of an id, if there is one.

    Raises:
        Unauthenticated: without a login that holds.
        Forbidden: to who may not read its whole ledger.
    """
    if context.caller.holder is None:
        raise context.no_login or Unauthenticated
    pool = await context.reads.find_pool(pool_id)
    if pool is not None and not context.caller.may_audit(pool):
        raise Forbidden
    return pool


def _refusal(error: GraphQLError, status: int) -> Response:
    return JSONResponse({"errors": [error.formatted]}, status)
