from enum import Enum


class RetryAdvice(str, Enum):
    NEVER = "NEVER"
    NEW_KEY = "NEW_KEY"
    SAME_KEY = "SAME_KEY"
