from typing import Annotated, Literal, Optional, Union

from pydantic import Field

from .base_model import BaseModel
from .enums import RetryAdvice


class Approve(BaseModel):
    approve: Optional[
        Annotated[
            Union[
                "ApproveApproveReservationSuccess",
                "ApproveApproveInsufficientCapacityError",
                "ApproveApproveInvalidTransitionError",
                "ApproveApproveNotFoundError",
                "ApproveApproveInvalidInputError",
                "ApproveApprovePoolClosedError",
                "ApproveApproveIdempotencyConflictError",
                "ApproveApproveGatewayBusyError",
            ],
            Field(discriminator="typename__"),
        ]
    ]


class ApproveApproveReservationSuccess(BaseModel):
    typename__: Literal["ReservationSuccess"] = Field(alias="__typename")
    replayed: bool
    reservation: "ApproveApproveReservationSuccessReservation"
    pool: "ApproveApproveReservationSuccessPool"


class ApproveApproveReservationSuccessReservation(BaseModel):
    id: str
    spaces_confirmed: int = Field(alias="spacesConfirmed")


class ApproveApproveReservationSuccessPool(BaseModel):
    title: Optional[str]
    available: Optional[int]


class ApproveApproveInsufficientCapacityError(BaseModel):
    typename__: Literal["InsufficientCapacityError"] = Field(alias="__typename")
    requested: int
    available: int
    code: str
    message: str
    retry: RetryAdvice
    retry_after_ms: Optional[int] = Field(alias="retryAfterMs")


class ApproveApproveInvalidTransitionError(BaseModel):
    typename__: Literal["InvalidTransitionError"] = Field(alias="__typename")
    code: str
    message: str
    retry: RetryAdvice
    retry_after_ms: Optional[int] = Field(alias="retryAfterMs")


class ApproveApproveNotFoundError(BaseModel):
    typename__: Literal["NotFoundError"] = Field(alias="__typename")
    code: str
    message: str
    retry: RetryAdvice
    retry_after_ms: Optional[int] = Field(alias="retryAfterMs")


class ApproveApproveInvalidInputError(BaseModel):
    typename__: Literal["InvalidInputError"] = Field(alias="__typename")
    code: str
    message: str
    retry: RetryAdvice
    retry_after_ms: Optional[int] = Field(alias="retryAfterMs")


class ApproveApprovePoolClosedError(BaseModel):
    typename__: Literal["PoolClosedError"] = Field(alias="__typename")
    code: str
    message: str
    retry: RetryAdvice
    retry_after_ms: Optional[int] = Field(alias="retryAfterMs")


class ApproveApproveIdempotencyConflictError(BaseModel):
    typename__: Literal["IdempotencyConflictError"] = Field(alias="__typename")
    code: str
    message: str
    retry: RetryAdvice
    retry_after_ms: Optional[int] = Field(alias="retryAfterMs")


class ApproveApproveGatewayBusyError(BaseModel):
    typename__: Literal["GatewayBusyError"] = Field(alias="__typename")
    code: str
    message: str
    retry: RetryAdvice
    retry_after_ms: Optional[int] = Field(alias="retryAfterMs")


Approve.model_rebuild()
ApproveApproveReservationSuccess.model_rebuild()
