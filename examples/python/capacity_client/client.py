from typing import Any

from .approve import Approve
from .async_base_client import AsyncBaseClient
from .input_types import ApproveInput


def gql(q: str) -> str:
    return q


class CapacityClient(AsyncBaseClient):
    async def approve(self, input: ApproveInput, **kwargs: Any) -> Approve:
        query = gql("""
            mutation Approve($input: ApproveInput!) {
              approve(input: $input) {
                __typename
                ... on ReservationSuccess {
                  replayed
                  reservation {
                    id
                    spacesConfirmed
                  }
                  pool {
                    title
                    available
                  }
                }
                ... on InsufficientCapacityError {
                  requested
                  available
                }
                ... on CapacityError {
                  code
                  message
                  retry
                  retryAfterMs
                }
              }
            }
            """)
        variables: dict[str, object] = {"input": input}
        response = await self.execute(
            query=query, operation_name="Approve", variables=variables, **kwargs
        )
        data = self.get_data(response)
        return Approve.model_validate(data)
