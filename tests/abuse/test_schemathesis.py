"""Schemathesis asks whatever the schema allows, valid and not, and finds no server error and no malformed answer."""

from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.specs.graphql import nodes

from capacity_gateway.schema import schema
from conftest import running
from subscribing import serving

EXAMPLES = 5  # of each root field
schemathesis.graphql.scalar("DateTime", nodes.String)  # type: ignore[attr-defined]
