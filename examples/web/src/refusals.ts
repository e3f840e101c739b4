// Every refusal there can be, in words for a visitor. One that the schema gets tomorrow is an error of the compiler.

import type {
  AcceptOfferMutation,
  ConfirmTicketsMutation,
  DeclineOfferMutation,
  HoldTicketsMutation,
  JoinSessionMutation,
  LeaveSessionMutation,
  ReleaseTicketsMutation,
  ShortageCause,
} from "./generated.js";

type Outcome = NonNullable<
  | HoldTicketsMutation["holdTickets"]
  | ConfirmTicketsMutation["confirmTickets"]
  | ReleaseTicketsMutation["releaseTickets"]
  | JoinSessionMutation["joinSession"]
  | AcceptOfferMutation["acceptOffer"]
  | DeclineOfferMutation["declineOffer"]
  | LeaveSessionMutation["leaveSession"]
>;
type Success = { __typename: "OrderSuccess" | "SessionJoined" | "SessionWaiting" | "SessionLeft" };
/** A busy gateway is none: it is asked again until there is an answer. */
export type Refusal = Exclude<Outcome, Success | { __typename: "GatewayBusyError" }>;

export function assertNever(forgotten: never): never {
  throw new Error(`Nobody has thought of ${JSON.stringify(forgotten)}`);
}

function hope(cause: ShortageCause): string {
  switch (cause) {
    case "CONFIRMED":
      return "";
    case "HELD":
      return " Some are held by others at the moment, and may come free again.";
    case "OFFERED":
      return " Some are offered to people who wait, and may come free again.";
    default:
      return assertNever(cause);
  }
}

const day = (text: string) => new Date(text).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });

export function explain(refusal: Refusal): string {
  switch (refusal.__typename) {
    case "InsufficientCapacityError": {
      const left = refusal.available > 0 ? `Only ${refusal.available} left of` : "There is nothing left of";
      return `${left} ${refusal.pool.title}, and you asked for ${refusal.requested}.${hope(refusal.cause)}`;
    }
    case "PoolClosedError":
      return refusal.opensAt ? `It opens on ${day(refusal.opensAt)}.` : "It is closed at the moment.";
    case "PerHolderLimitError":
      return `One person may have ${refusal.limit}, and you have ${refusal.current}.`;
    case "NotEligibleError":
      return refusal.requirement === "registration"
        ? "This is for those who have a ticket to the event."
        : `This needs a ${refusal.requirement}.`;
    case "HoldExpiredError":
      return "Your time has run out, and it was given to others.";
    case "OfferUnavailableError":
      return "There is no offer for you any more.";
    case "InvalidTransitionError":
      return "That is not possible any more; here is how it stands now.";
    case "NotFoundError":
      return "There is no such thing here any more.";
    case "InvalidInputError":
      return `${refusal.message}.`;
    case "IdempotencyConflictError":
      return "Something else was asked for before. Please choose again.";
    default:
      return assertNever(refusal);
  }
}
