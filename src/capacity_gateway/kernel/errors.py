"""Top-level errors: what no union can hold. Everything a mutation can foresee is in its union instead."""

from graphql import GraphQLError


class Unauthenticated(GraphQLError):
    """There is no login, or it does not hold."""

    def __init__(self, message: str = "Log in first") -> None:
        super().__init__(message, extensions={"code": "UNAUTHENTICATED"})


class Forbidden(GraphQLError):
    """The caller has no right to this."""

    def __init__(self, message: str = "You may not do this") -> None:
        super().__init__(message, extensions={"code": "FORBIDDEN"})


class BadUserInput(GraphQLError):
    """An argument of a query is wrong, such as a cursor."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "BAD_USER_INPUT"})


class Busy(GraphQLError):
    """A read could not be done now."""

    def __init__(self, retry_after_ms: int = 250) -> None:
        self.retry_after_ms = retry_after_ms
        super().__init__(
            "The gateway is busy; try again shortly",
            extensions={"code": "BUSY", "retryAfterMs": retry_after_ms},
        )


class LimitExceeded(GraphQLError):
    """The answer would be too large."""

    def __init__(self) -> None:
        super().__init__("The answer would be too large", extensions={"code": "LIMIT_EXCEEDED"})
