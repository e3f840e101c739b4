"""A stand-in for the gateway: the contract's schema, and five competitions without a database."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
import uvicorn
from graphql import build_schema, graphql
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from capacity_gateway import graphiql

CONTRACT = build_schema((Path(__file__).parents[1] / "contract" / "gateway.graphql").read_text("utf-8"))
POOL = {"quota": 600, "held": 0, "confirmed": 0, "available": 600, "version": 0}
NAMES = ("EMPWR Dance - London", "St. Catharines #1", "St. Catharines #2", "QA Automation Event", "2025")
ANSWERS = {"competitions": {"edges": [{"node": {"name": name, "pool": POOL}} for name in NAMES]}}
TOKENS = {role: f"token-of-{role}" for role in ("director", "studio", "admin", "attendee")}


async def _page(_: Request) -> Response:
    return HTMLResponse(
        graphiql.page(TOKENS), headers={"content-security-policy": graphiql.CONTENT_SECURITY_POLICY}
    )


async def _answer(request: Request) -> Response:
    asked = await request.json()
    answer = await graphql(
        CONTRACT, asked["query"], ANSWERS, None, asked.get("variables"), asked.get("operationName")
    )
    return JSONResponse(answer.formatted)


@pytest_asyncio.fixture(scope="session")
async def gateway_url() -> AsyncIterator[str]:
    """The address of a server that is up while the tests run."""
    app = Starlette(
        routes=[
            Route("/graphql", _page),
            Route("/graphql", _answer, methods=["POST"]),
            Mount("/graphql/assets", StaticFiles(directory=graphiql.ASSETS)),
        ]
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, ws="none", log_level="warning"))
        serving = asyncio.create_task(server.serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving
