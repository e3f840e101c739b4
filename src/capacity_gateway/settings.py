"""Every knob of the gateway, read once from the environment (prefix CAPACITY_)."""

import hmac
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal

from limits import RateLimitItem, parse
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
UNITS = {"s": "second", "min": "minute", "m": "minute", "h": "hour", "d": "day"}
SECRET_BYTES_MIN = 32  # of the hash that it signs with; a shorter one can be guessed from a token


def default_data_dir() -> Path:
    """The folder for the embedded database and its secrets when CAPACITY_DATA_DIR names none.

    Returns:
        `.capacity` in the checkout. As root under a closed folder, such as a home, a folder below
        /var/lib instead: PostgreSQL then runs as a system user, and no home is opened to it.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "pyproject.toml").is_file():
        checkout = Path.cwd()
    closed = any(not folder.stat().st_mode & 0o001 for folder in (checkout, *checkout.parents))
    if os.name == "posix" and os.geteuid() == 0 and closed:
        return Path("/var/lib/capacity-gateway") / str(checkout).strip("/").replace("/", "-") / "data"
    return checkout / ".capacity"


@dataclass(frozen=True, eq=False)
class Limits:
    """How much a document may ask for; what is measured by one is remembered with it."""

    tokens_max: int
    depth_max: int
    aliases_max: int
    root_fields_max: int
    actions_max: int
    """Mutations, or subscriptions."""
    directives_max: int
    variables_max: int


def read_rate(text: str) -> RateLimitItem | None:
    """A rate as the setting gives it; ValueError where it is none."""
    if text == "off":
        return None
    number, _, unit = text.partition("/")
    if not number.strip("0"):
        raise ValueError("a rate is such as 100/s, or off")
    return parse(f"{number}/{UNITS.get(unit.strip(), unit)}")


class Settings(BaseSettings):
    """The settings as the environment gives them."""

    model_config = SettingsConfigDict(env_prefix="CAPACITY_", env_ignore_empty=True)

    database_url: str | None = None
    """The application role's address; none = the embedded database."""
    admin_database_url: str | None = None
    """The owner's address, for migrate, repair, import and doctor; none = CAPACITY_DATABASE_URL."""
    host: str = "127.0.0.1"
    """Where to listen; 0.0.0.0 = on every address of this machine."""
    port: int = 8000
    """On which port; 0 = any that is free."""
    data_dir: Path = Field(default_factory=default_data_dir)
    """The folder of the embedded database and of what is made up once; none = `.capacity` in the checkout."""
    seed_demo: bool | None = None
    """Load the demo data? None: into the embedded database only."""
    jwt_secret: str | None = None
    """The HS256 secret; none = one made once in the data folder, and refused in production."""
    jwt_jwks: str | None = None
    """A JSON Web Key Set, file or http(s) URL: logins signed with RS256 or ES256 by one of its keys hold too."""
    jwt_jwks_cooldown_seconds: float = Field(default=30.0, ge=0)
    """A set at a URL is fetched again when a login names an unknown key, but not more often than this."""
    jwt_audience: str | None = None
    """The `aud` that logins must have; none = it is not looked at."""
    jwt_issuer: str | None = None
    """The `iss` that logins must have; none = it is not looked at."""
    offer_secret: str | None = None
    """Signs the offer tokens of older clients; none = a key made from the HS256 secret, where there is one."""
    metrics_token: str | None = None
    """What who reads `/metrics` shows as a bearer token; none = it is for this machine alone."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """How the log is written: JSON, one object a line, or plain text; `auto` = text on a terminal, else JSON."""
    log_requests: bool = False
    """Log a line for every operation: what it was, what came of it and how long it took."""
    tracing: bool = False
    """Trace by OpenTelemetry, to where the OTEL_* variables say; needs `pip install capacity-gateway[tracing]`."""
    seal_secret: str | None = None
    """Signs what `repair` seals; none = a key made from the HS256 secret, where there is one."""
    webhooks: bool = True
    """Deliver to webhooks from this process; of several that do, one delivers to a webhook at a time."""
    webhook_secret: str | None = None
    """The secrets of webhooks are made from it; none = from the HS256 secret, where there is one."""
    webhooks_anywhere: bool = False
    """Let webhooks go to http, and to addresses that are not public; for trying out."""
    webhook_timeout_seconds: float = Field(default=10.0, gt=0)
    """How long a receiver may take to answer. After twice as long others take over from a gateway that has died."""
    webhook_retry_seconds: float = Field(default=1.0, gt=0)
    """The pause after a first failure; each further one doubles it, up to an hour."""
    allowed_origins: str = ""
    """Origins besides the gateway's own from which pages may ask, with commas between.

    `*` stands for any part of a host's name or a port: `https://*.example.org, http://localhost:*`.
    """
    default_tenant: str = "00000000-0000-0000-0000-000000000001"
    """Whose pools these are where a login names no tenant."""
    heartbeat_seconds: int = Field(default=15, ge=1)
    """How often a place that is kept alive is heard of; it is given back after three times of silence."""
    sweeper: bool = True
    """Tidy in the background what has run out; nothing depends on it but tidiness and the time of offers."""
    idempotency_days: int = Field(default=30, ge=1)
    """How long refusals are kept, in days. What was done keeps its key and its answer for ever."""
    deadline_seconds: float = Field(default=3.0, gt=0)
    """How long a call may take; then it is answered that the gateway is busy."""
    rate_limit: str = "off"
    """How often a holder may ask for an operation, such as 100/s or 1000/min; an anonymous caller's address counts."""
    sockets_max: int = Field(default=8192, ge=1)
    """Sockets and streams of events at a time; what is asked by single requests has room besides."""
    sockets_per_holder_max: int = Field(default=100, ge=1)
    """Those of one holder, or of one address where nobody has logged in."""
    receive_seconds: float = Field(default=10.0, gt=0)
    """How long a request may take to come in, from its first byte to its last."""
    headers_max: int = Field(default=64, ge=1)
    """Headers of a request."""
    header_bytes_max: int = Field(default=16 * 1024, ge=1024)
    """Its first line and its headers."""
    body_bytes_max: int = Field(default=64 * 1024, ge=1024)
    """Its body; likewise a message on a socket."""
    nesting_max: int = Field(default=64, ge=1)
    """Arrays and objects within each other in its body."""
    tokens_max: int = Field(default=1000, ge=1)
    """Tokens of a document."""
    depth_max: int = Field(default=12, ge=1)
    """Fields within each other in it."""
    aliases_max: int = Field(default=30, ge=0)
    """Aliases in it."""
    root_fields_max: int = Field(default=10, ge=1)
    """Root fields of a query."""
    actions_max: int = Field(default=1, ge=1)
    """Mutations in a document, or subscriptions."""
    directives_max: int = Field(default=20, ge=0)
    """Directives in a document."""
    variables_max: int = Field(default=50, ge=0)
    """Variables of it."""
    trusted_documents: Path | None = None
    """A folder of .graphql files, or a JSON file of documents by the SHA-256 of their texts: then no others are run."""
    production: bool = False
    """No introspection, no GraphiQL, no secret made up on the spot."""

    @field_validator("rate_limit")
    @classmethod
    def _rate_is_known(cls, value: str) -> str:
        read_rate(value)
        return value

    def rate(self) -> RateLimitItem | None:
        """The rate limit; None where there is none."""
        return read_rate(self.rate_limit)

    def limits(self) -> Limits:
        """The limits on a document."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})

    def origins(self) -> str:
        """The allowed origins as a regular expression."""
        given = (re.escape(origin.strip()) for origin in self.allowed_origins.split(","))
        return "|".join(origin.replace(r"\*", r"[\w.-]+") for origin in given if origin) or "(?!)"

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of an origin may ask."""
        return re.fullmatch(self.origins(), origin) is not None

    def checking_secret(self) -> str | None:
        """The HS256 secret to check logins with; None in production where a key set stands in for one."""
        return None if self.production and self.jwt_jwks and not self.jwt_secret else self.signing_secret()

    def seal_key(self) -> bytes | None:
        """The key that ledgers are sealed with; None in production where there is no secret to make it from."""
        secret = self.seal_secret or self.checking_secret()
        return hmac.digest(secret.encode(), b"a seal of a ledger", "sha256") if secret else None

    def webhook_key(self) -> bytes | None:
        """The key that the secrets of webhooks are made from; None in production where there is no secret."""
        secret = self.webhook_secret or self.checking_secret()
        return hmac.digest(secret.encode(), b"the secrets of webhooks", "sha256") if secret else None

    def signing_secret(self) -> str:
        """The HS256 secret, made once per data folder where none is set.

        Raises:
            RuntimeError: in production, where it must be set, and not be short.
        """
        if self.jwt_secret:
            if self.production and len(self.jwt_secret.encode()) < SECRET_BYTES_MIN:
                raise RuntimeError(f"CAPACITY_JWT_SECRET must have at least {SECRET_BYTES_MIN} bytes in production")
            return self.jwt_secret
        if self.production:
            raise RuntimeError("CAPACITY_JWT_SECRET must be set in production")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        file = self.data_dir / "jwt-secret"
        if not file.exists():
            made = file.with_suffix(f".{os.getpid()}")
            made.touch(mode=0o600)
            made.write_text(secrets.token_urlsafe(48))
            with suppress(FileExistsError):  # of two first starters one wins, and both read the winner's
                os.link(made, file)
            made.unlink()
        return file.read_text()


@cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
