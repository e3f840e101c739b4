"""Every knob of the gateway, read once from the environment (prefix CAPACITY_)."""

import os
import re
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
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


class Settings(BaseSettings):
    """The settings as the environment gives them."""

    model_config = SettingsConfigDict(env_prefix="CAPACITY_", env_ignore_empty=True)

    database_url: str | None = None
    """The application role's address; none = the embedded database."""
    admin_database_url: str | None = None
    """The owner's address, for migrate and repair; none = database_url."""
    host: str = "127.0.0.1"
    port: int = 8000
    data_dir: Path = Field(default_factory=default_data_dir)
    seed_demo: bool | None = None
    """Load the demo data? None: into the embedded database only."""
    jwt_secret: str | None = None
    """The HS256 secret; none = one made once in data_dir."""
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
    allowed_origins: str = ""
    """Origins besides the gateway's own from which pages may ask, with commas between.

    `*` stands for any part of a host's name or a port: `https://*.example.org, http://localhost:*`.
    """
    default_tenant: str = "00000000-0000-0000-0000-000000000001"
    heartbeat_seconds: int = Field(default=15, ge=1)
    """How often a place that is kept alive is heard of; it is given back after three times of silence."""
    sweeper: bool = True
    """Tidy in the background what has run out; nothing depends on it but tidiness and the time of offers."""
    idempotency_days: int = Field(default=30, ge=1)
    """How long refusals are kept, in days. What was done keeps its key and its answer for ever."""
    deadline_seconds: float = Field(default=3.0, gt=0)
    trusted_documents: Path | None = None
    """A folder of .graphql files, or a JSON file of documents by the SHA-256 of their texts: then no others are run."""
    production: bool = False
    """No introspection, no GraphiQL, no secret made up on the spot."""

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
