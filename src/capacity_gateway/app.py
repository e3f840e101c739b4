"""The Starlette application: GraphQL, and what operators ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from functools import partial

from cross_web import HTTPException
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from capacity_gateway import graphiql, operators
from capacity_gateway.answers import JSON, refuse
from capacity_gateway.deliveries import Deliveries
from capacity_gateway.downloads import download_ledger
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import CONNECTION_LOST, Database, NoConnection, application_url
from capacity_gateway.kernel.feed import Feed
from capacity_gateway.kernel.sweeper import Sweeper
from capacity_gateway.kernel.webhooks import Webhooks
from capacity_gateway.login import offered_tokens
from capacity_gateway.logs import write_logs
from capacity_gateway.metrics import Metrics
from capacity_gateway.posting import Poster
from capacity_gateway.settings import Settings
from capacity_gateway.streaming import StreamingEndpoint

UNANSWERABLE = (*CONNECTION_LOST, NoConnection)


class LastingFiles(StaticFiles):
    """Files whose URLs change with their contents, so that they may be kept for ever."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """The file, with its long life."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


class Cors(CORSMiddleware):
    """Tells browsers which pages may ask; all others are told what the endpoint would tell them."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser may send for a page, or that the page's origin is not allowed."""
        if not self.is_allowed_origin(request_headers["origin"]):
            return refuse(HTTPException(403, "CSRF"), JSON)
        return super().preflight_response(request_headers)


def application(settings: Settings, database_url: str) -> Starlette:
    """The gateway over one database.

    Args:
        settings: all knobs.
        database_url: of the application role, or of an owner or superuser, out of which the role is taken.
    """
    write_logs(settings.log_format)
    traced = tracing_of(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.enter_context(traced)
            url = await application_url(database_url)
            app.state.stopping = False
            app.state.database = await stack.enter_async_context(Database.open(url))
            writing = await stack.enter_async_context(Database.open(url))  # so that reads do not hold up changes
            capacity = Capacity(writing, deadline_seconds=settings.deadline_seconds)
            feed = app.state.feed = Feed(app.state.database, capacity)
            stack.push_async_callback(stop, asyncio.create_task(feed.run()))
            app.state.endpoint = StreamingEndpoint(settings, app.state.database, capacity, feed)
            app.state.metrics = Metrics(settings, app.state.database, capacity)
            if settings.webhooks and (key := settings.webhook_key()):
                webhooks = Webhooks(app.state.database, key, anywhere=settings.webhooks_anywhere)
                poster = Poster(timeout_seconds=settings.webhook_timeout_seconds, anywhere=settings.webhooks_anywhere)
                await stack.enter_async_context(poster)
                deliveries = Deliveries(webhooks, poster, retry_seconds=settings.webhook_retry_seconds)
                stack.push_async_callback(stop, asyncio.create_task(deliveries.run()))
            if settings.sweeper:
                sweeper = Sweeper(app.state.database, capacity, idempotency_days=settings.idempotency_days)
                stack.push_async_callback(stop, asyncio.create_task(sweeper.run()))
            yield

    routes = [
        Route("/graphql", GraphQLRoute()),
        WebSocketRoute("/graphql", GraphQLRoute()),
        Route("/graphql/stream", EventsRoute()),
        Route("/ledgers/{kind}/{ref:path}", download_ledger),
        Route("/", lambda _: RedirectResponse("/graphql")),
        Mount("/console/assets/{digest}", LastingFiles(directory=operators.ASSETS)),
        Route("/console", partial(console, settings)),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]
    if not settings.production:
        routes.insert(0, Mount("/graphql/assets", LastingFiles(directory=graphiql.ASSETS)))
    cors = Middleware(
        Cors,
        allow_origin_regex=settings.origins(),
        allow_credentials=True,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
    )
    return Starlette(routes=routes, lifespan=lifespan, middleware=[cors])


async def stop(task: asyncio.Task[None]) -> None:
    """End a background task, and wait until it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def tracing_of(settings: Settings) -> AbstractContextManager[None]:
    """Traces what is done within, where that is wanted; RuntimeError where what it takes is not installed."""
    if not settings.tracing:
        return nullcontext()
    try:
        from capacity_gateway.tracing import tracing  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise RuntimeError("CAPACITY_TRACING takes what `pip install capacity-gateway[tracing]` installs") from error
    return tracing()


class GraphQLRoute:
    """Hands over to the endpoint that the lifespan made."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or all of a WebSocket."""
        await scope["app"].state.endpoint(scope, receive, send)


class EventsRoute:
    """The same, for server-sent events."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one operation."""
        await scope["app"].state.endpoint.stream(scope, receive, send)


async def console(settings: Settings, request: Request) -> Response:
    """The page for those who run the gateway."""
    return HTMLResponse(
        operators.page(offered_tokens(settings, request.url.hostname)),
        headers={"content-security-policy": operators.CONTENT_SECURITY_POLICY, "cache-control": "no-store"},
    )


async def healthz(_: Request) -> Response:
    """Is the process alive?"""
    return PlainTextResponse("alive\n")


async def readyz(request: Request) -> Response:
    """May it take traffic? 503 with the reasons when not: it stops, database away or unsafe, no key for logins."""
    state = request.app.state
    if state.stopping:
        return JSONResponse({"ready": False, "problems": ["the gateway is stopping"]}, 503)
    try:
        problems = await state.database.unsafe_settings()
    except UNANSWERABLE:
        problems = ["the database does not answer"]
    problems += await state.endpoint.login.problems()
    return JSONResponse({"ready": not problems, "problems": problems}, 503 if problems else 200)


async def metrics(request: Request) -> Response:
    """What is counted, for who may watch."""
    answer: Response = await request.app.state.metrics(request)
    return answer
