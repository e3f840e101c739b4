from .approve import (
    Approve,
    ApproveApproveGatewayBusyError,
    ApproveApproveIdempotencyConflictError,
    ApproveApproveInsufficientCapacityError,
    ApproveApproveInvalidInputError,
    ApproveApproveInvalidTransitionError,
    ApproveApproveNotFoundError,
    ApproveApprovePoolClosedError,
    ApproveApproveReservationSuccess,
    ApproveApproveReservationSuccessPool,
    ApproveApproveReservationSuccessReservation,
)
from .async_base_client import AsyncBaseClient
from .base_model import BaseModel, Upload
from .client import CapacityClient
from .enums import RetryAdvice
from .exceptions import (
    GraphQLClientError,
    GraphQLClientGraphQLError,
    GraphQLClientGraphQLMultiError,
    GraphQLClientHttpError,
    GraphQLClientInvalidResponseError,
)
from .input_types import ApproveInput

__all__ = [
    "Approve",
    "ApproveApproveGatewayBusyError",
    "ApproveApproveIdempotencyConflictError",
    "ApproveApproveInsufficientCapacityError",
    "ApproveApproveInvalidInputError",
    "ApproveApproveInvalidTransitionError",
    "ApproveApproveNotFoundError",
    "ApproveApprovePoolClosedError",
    "ApproveApproveReservationSuccess",
    "ApproveApproveReservationSuccessPool",
    "ApproveApproveReservationSuccessReservation",
    "ApproveInput",
    "AsyncBaseClient",
    "BaseModel",
    "CapacityClient",
    "GraphQLClientError",
    "GraphQLClientGraphQLError",
    "GraphQLClientGraphQLMultiError",
    "GraphQLClientHttpError",
    "GraphQLClientInvalidResponseError",
    "RetryAdvice",
    "Upload",
]
