"""How the older service speaks."""

import pytest

from conftest import Gateway
from domains.conftest import Do, assert_made
from dropin.conftest import weak_logins

pytestmark = pytest.mark.usefixtures("event")

CAPACITY = '{ sessionCapacity(sessionId: "s") { maximumCapacity availableSpots } }'
WEAK = ["none", "empty", "blank", "expired", "onboarding", "nonsense"]


@pytest.mark.parametrize("login", WEAK)
async def test_a_login_that_does_not_hold_is_nobody(gateway: Gateway, do: Do, login: str) -> None:
    """To the operations of the older service; it reads what everybody may read."""
    assert_made(await do("ada", "createSession", id="s", eventId="e", title="S", quota=3))

    capacity = await gateway.send(CAPACITY, headers=weak_logins(gateway)[login])

    assert capacity == {"maximumCapacity": 3, "availableSpots": 3}


@pytest.mark.parametrize("login", ["expired", "onboarding", "nonsense"])
async def test_it_is_an_error_everywhere_else(gateway: Gateway, do: Do, login: str) -> None:
    """In the same document too: the one field is answered, the other is not."""
    assert_made(await do("ada", "createSession", id="s", eventId="e", title="S", quota=3))
    both = '{ capacity(kind: SESSION, ref: "s") { quota } sessionCapacity(sessionId: "s") { maximumCapacity } }'

    answer = await gateway.post(both, headers=weak_logins(gateway)[login])

    assert answer["data"] == {"capacity": None, "sessionCapacity": {"maximumCapacity": 3}}
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
        (["capacity"], "UNAUTHENTICATED")
    ]


async def test_an_error_is_a_status_and_a_text_over_http_200(gateway: Gateway) -> None:
    """As the older service's framework made it of its exceptions."""
    response = await gateway.http.post("/graphql", json={"query": CAPACITY})

    assert response.status_code == 200
    assert response.json() == {
        "data": None,
        "errors": [
            {
                "message": "404: Session not found",
                "locations": [{"line": 1, "column": 3}],
                "path": ["sessionCapacity"],
                "extensions": {"code": "NOT_FOUND"},
            }
        ],
    }
