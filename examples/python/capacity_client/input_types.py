from typing import Optional

from pydantic import Field

from .base_model import BaseModel


class ApproveInput(BaseModel):
    """An approval."""

    reservation_id: str = Field(alias="reservationId")
    "Of which reservation."
    spaces_confirmed: int = Field(alias="spacesConfirmed")
    "How many spaces, at least 1; they may be fewer or more than were asked for."
    allow_overbooking: bool = Field(alias="allowOverbooking", default=False)
    "Directors only: go past the quota, knowingly."
    idempotency_key: Optional[str] = Field(alias="idempotencyKey", default=None)
    "Sent again with the same key, this is done once."
