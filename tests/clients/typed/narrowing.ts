// What an answer may be is in its type: each member has its own fields, and a member that is forgotten is an error.
import { ApproveDocument, type ApproveMutation } from "../generated/graphql";
import type { ResultOf } from "@graphql-typed-document-node/core";

type Answer = NonNullable<ApproveMutation["approve"]>;

export function said(answer: Answer): string {
  switch (answer.__typename) {
    case "ReservationSuccess":
      return `${answer.reservation.spacesConfirmed} spaces, ${answer.pool.available ?? "any number of"} are left`;
    case "InsufficientCapacityError":
      return `${answer.requested} asked for, ${answer.available} left; ${answer.retry}`;
    case "NotFoundError":
      // @ts-expect-error - only InsufficientCapacityError has it
      return answer.requested;
    default:
      return `${answer.code}: ${answer.message}`;
  }
}

export const same: (data: ResultOf<typeof ApproveDocument>) => ApproveMutation = (data) => data;
