/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** How far a claim has come: waiting, held, confirmed, released; or held, expired. */
export type ClaimState =
  /** Taken for good. */
  | 'CONFIRMED'
  /** The hold ran out. */
  | 'EXPIRED'
  /** Taken until expiresAt, unless confirmed. */
  | 'HELD'
  /** Given back. */
  | 'RELEASED'
  /** Asked for; nothing taken yet. */
  | 'WAITING';

/** An order; all its lines are held or none. */
export type HoldTicketsInput = {
  /** To which event. */
  eventId: string | number;
  /** Where to reach the buyer. */
  guestEmail?: string | null | undefined;
  /** The buyer's name. */
  guestName?: string | null | undefined;
  /** The buyer's telephone number. */
  guestPhone?: string | null | undefined;
  /** For whom; for role service. */
  holder?: string | number | null | undefined;
  /** Sent again with the same key, this is done once. */
  idempotencyKey: string;
  /** What is bought. */
  lines: Array<TicketLineInput>;
};

/** Somebody who wants a seat. */
export type JoinSessionInput = {
  /** For whom; for role service and organisers. */
  holder?: string | number | null | undefined;
  /** Sent again with the same key, this is done once. */
  idempotencyKey?: string | null | undefined;
  /** Queue when it is full. */
  orWait?: boolean;
  /** A group takes its seats together. */
  quantity?: number;
  /** In which session. */
  sessionId: string | number;
  /** Where to queue; organisers only, for anybody else it goes by his ticket's name. */
  tier?: WaitlistTier | null | undefined;
};

/** An order. */
export type OrderRefInput = {
  /** Sent again with the same key, this is done once. */
  idempotencyKey?: string | null | undefined;
  /** Which. */
  orderId: string | number;
};

/** How far an order has come. */
export type OrderStatus =
  /** Called off before it was paid for. */
  | 'CANCELLED'
  /** Paid for. */
  | 'COMPLETED'
  /** Not paid for in time. */
  | 'EXPIRED'
  /** Its tickets are held. */
  | 'PENDING'
  /** Given back after it was paid for. */
  | 'REFUNDED';

/** What the gateway counts. One pool per (tenant, kind, ref). */
export type PoolKind =
  /** Visitors inside an expo booth, with a queue. */
  | 'BOOTH'
  /** Places in a breakout room. */
  | 'BREAKOUT_ROOM'
  /** Spaces of a competition, taken by studios' reservations. */
  | 'COMPETITION'
  /** Registrations to an event. */
  | 'EVENT'
  /** Places in a huddle. */
  | 'HUDDLE'
  /** Seats of a session, with a waitlist. */
  | 'SESSION'
  /** Concurrent viewers of a stream. */
  | 'STREAM'
  /** Tickets of one type. */
  | 'TICKET_TYPE';

/** A session, for somebody. */
export type SessionRefInput = {
  /** For whom; for role service and organisers. */
  holder?: string | number | null | undefined;
  /** Sent again with the same key, this is done once. */
  idempotencyKey?: string | null | undefined;
  /** Which. */
  sessionId: string | number;
};

/** What stands in the way. */
export type ShortageCause =
  /** It is taken for good. */
  | 'CONFIRMED'
  /** It is held, and may come free. */
  | 'HELD'
  /** It is offered to who waits, and may come free. */
  | 'OFFERED';

/** So many tickets of a type. */
export type TicketLineInput = {
  /** How many. */
  quantity: number;
  /** Of which type. */
  ticketTypeId: string | number;
};

/** Who is offered a seat first; within a tier, first come, first served. */
export type WaitlistTier =
  /** Before the rest. */
  | 'PREMIUM'
  /** Everybody. */
  | 'STANDARD'
  /** Before all others. */
  | 'VIP';

export type PageQueryVariables = Exact<{
  event: string | number;
}>;


export type PageQuery = { capacityEvent: { name: string, pool: { ref: string, quota: number | null, held: number, confirmed: number, available: number | null, version: number, closedAt: string | null, waitlist: { waiting: number } | null }, ticketTypes: Array<{ id: string, name: string, price: number, currency: string, pool: { ref: string, quota: number | null, held: number, confirmed: number, available: number | null, version: number, closedAt: string | null, waitlist: { waiting: number } | null } }>, sessions: Array<{ id: string, title: string, pool: { ref: string, asOf: string, quota: number | null, held: number, confirmed: number, available: number | null, version: number, closedAt: string | null, mine: { state: ClaimState, position: number | null, expiresAt: string | null } | null, waitlist: { waiting: number } | null } }> } | null };

export type ChangesSubscriptionVariables = Exact<{
  kind: PoolKind;
  ref: string | number;
  after?: number | null | undefined;
}>;


export type ChangesSubscription = { capacityChanged: { pool: { quota: number | null, held: number, confirmed: number, available: number | null, version: number, closedAt: string | null, waitlist: { waiting: number } | null } } };

export type OffersSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type OffersSubscription = { waitlistOffer: { expiresAt: string } };

export type HoldTicketsMutationVariables = Exact<{
  input: HoldTicketsInput;
}>;


export type HoldTicketsMutation = { holdTickets:
    | { __typename: 'GatewayBusyError', message: string, retryAfterMs: number | null }
    | { __typename: 'IdempotencyConflictError', message: string, retryAfterMs: number | null }
    | { __typename: 'InsufficientCapacityError', requested: number, available: number, cause: ShortageCause, message: string, retryAfterMs: number | null, pool: { title: string | null } }
    | { __typename: 'InvalidInputError', message: string, retryAfterMs: number | null }
    | { __typename: 'NotFoundError', message: string, retryAfterMs: number | null }
    | { __typename: 'OrderSuccess', pool: { asOf: string }, order: { id: string, status: OrderStatus, expiresAt: string | null, lines: Array<{ name: string, price: number, currency: string, quantity: number }> } }
    | { __typename: 'PerHolderLimitError', limit: number, current: number, message: string, retryAfterMs: number | null }
    | { __typename: 'PoolClosedError', opensAt: string | null, message: string, retryAfterMs: number | null }
   | null };

export type ConfirmTicketsMutationVariables = Exact<{
  input: OrderRefInput;
}>;


export type ConfirmTicketsMutation = { confirmTickets:
    | { __typename: 'GatewayBusyError', message: string, retryAfterMs: number | null }
    | { __typename: 'HoldExpiredError', message: string, retryAfterMs: number | null }
    | { __typename: 'IdempotencyConflictError', message: string, retryAfterMs: number | null }
    | { __typename: 'InvalidInputError', message: string, retryAfterMs: number | null }
    | { __typename: 'InvalidTransitionError', message: string, retryAfterMs: number | null }
    | { __typename: 'NotFoundError', message: string, retryAfterMs: number | null }
    | { __typename: 'OrderSuccess', pool: { asOf: string }, order: { id: string, status: OrderStatus, expiresAt: string | null, lines: Array<{ name: string, price: number, currency: string, quantity: number }> } }
   | null };

export type ReleaseTicketsMutationVariables = Exact<{
  input: OrderRefInput;
}>;


export type ReleaseTicketsMutation = { releaseTickets:
    | { __typename: 'GatewayBusyError', message: string, retryAfterMs: number | null }
    | { __typename: 'HoldExpiredError', message: string, retryAfterMs: number | null }
    | { __typename: 'IdempotencyConflictError', message: string, retryAfterMs: number | null }
    | { __typename: 'InvalidInputError', message: string, retryAfterMs: number | null }
    | { __typename: 'InvalidTransitionError', message: string, retryAfterMs: number | null }
    | { __typename: 'NotFoundError', message: string, retryAfterMs: number | null }
    | { __typename: 'OrderSuccess', pool: { asOf: string }, order: { id: string, status: OrderStatus, expiresAt: string | null, lines: Array<{ name: string, price: number, currency: string, quantity: number }> } }
   | null };

export type JoinSessionMutationVariables = Exact<{
  input: JoinSessionInput;
}>;


export type JoinSessionMutation = { joinSession:
    | { __typename: 'GatewayBusyError', message: string, retryAfterMs: number | null }
    | { __typename: 'IdempotencyConflictError', message: string, retryAfterMs: number | null }
    | { __typename: 'InsufficientCapacityError', requested: number, available: number, cause: ShortageCause, message: string, retryAfterMs: number | null, pool: { title: string | null } }
    | { __typename: 'InvalidInputError', message: string, retryAfterMs: number | null }
    | { __typename: 'NotEligibleError', requirement: string, message: string, retryAfterMs: number | null }
    | { __typename: 'NotFoundError', message: string, retryAfterMs: number | null }
    | { __typename: 'PoolClosedError', opensAt: string | null, message: string, retryAfterMs: number | null }
    | { __typename: 'SessionJoined' }
    | { __typename: 'SessionWaiting' }
   | null };

export type AcceptOfferMutationVariables = Exact<{
  input: SessionRefInput;
}>;


export type AcceptOfferMutation = { acceptOffer:
    | { __typename: 'GatewayBusyError', message: string, retryAfterMs: number | null }
    | { __typename: 'HoldExpiredError', message: string, retryAfterMs: number | null }
    | { __typename: 'IdempotencyConflictError', message: string, retryAfterMs: number | null }
    | { __typename: 'InvalidInputError', message: string, retryAfterMs: number | null }
    | { __typename: 'NotFoundError', message: string, retryAfterMs: number | null }
    | { __typename: 'OfferUnavailableError', message: string, retryAfterMs: number | null }
    | { __typename: 'SessionJoined' }
    | { __typename: 'SessionLeft' }
   | null };

export type DeclineOfferMutationVariables = Exact<{
  input: SessionRefInput;
}>;


export type DeclineOfferMutation = { declineOffer:
    | { __typename: 'GatewayBusyError', message: string, retryAfterMs: number | null }
    | { __typename: 'HoldExpiredError', message: string, retryAfterMs: number | null }
    | { __typename: 'IdempotencyConflictError', message: string, retryAfterMs: number | null }
    | { __typename: 'InvalidInputError', message: string, retryAfterMs: number | null }
    | { __typename: 'NotFoundError', message: string, retryAfterMs: number | null }
    | { __typename: 'OfferUnavailableError', message: string, retryAfterMs: number | null }
    | { __typename: 'SessionJoined' }
    | { __typename: 'SessionLeft' }
   | null };

export type LeaveSessionMutationVariables = Exact<{
  input: SessionRefInput;
}>;


export type LeaveSessionMutation = { leaveSession:
    | { __typename: 'GatewayBusyError', message: string, retryAfterMs: number | null }
    | { __typename: 'IdempotencyConflictError', message: string, retryAfterMs: number | null }
    | { __typename: 'InvalidInputError', message: string, retryAfterMs: number | null }
    | { __typename: 'InvalidTransitionError', message: string, retryAfterMs: number | null }
    | { __typename: 'NotFoundError', message: string, retryAfterMs: number | null }
    | { __typename: 'SessionLeft' }
   | null };

export type PlacesFragment = { quota: number | null, held: number, confirmed: number, available: number | null, version: number, closedAt: string | null, waitlist: { waiting: number } | null };

export type OrderedFragment = { __typename: 'OrderSuccess', pool: { asOf: string }, order: { id: string, status: OrderStatus, expiresAt: string | null, lines: Array<{ name: string, price: number, currency: string, quantity: number }> } };

type Refused_GatewayBusyError_Fragment = { __typename: 'GatewayBusyError', message: string, retryAfterMs: number | null };

type Refused_HoldExpiredError_Fragment = { __typename: 'HoldExpiredError', message: string, retryAfterMs: number | null };

type Refused_IdempotencyConflictError_Fragment = { __typename: 'IdempotencyConflictError', message: string, retryAfterMs: number | null };

type Refused_InsufficientCapacityError_Fragment = { __typename: 'InsufficientCapacityError', requested: number, available: number, cause: ShortageCause, message: string, retryAfterMs: number | null, pool: { title: string | null } };

type Refused_InvalidInputError_Fragment = { __typename: 'InvalidInputError', message: string, retryAfterMs: number | null };

type Refused_InvalidTransitionError_Fragment = { __typename: 'InvalidTransitionError', message: string, retryAfterMs: number | null };

type Refused_NotEligibleError_Fragment = { __typename: 'NotEligibleError', requirement: string, message: string, retryAfterMs: number | null };

type Refused_NotFoundError_Fragment = { __typename: 'NotFoundError', message: string, retryAfterMs: number | null };

type Refused_OfferUnavailableError_Fragment = { __typename: 'OfferUnavailableError', message: string, retryAfterMs: number | null };

type Refused_PerHolderLimitError_Fragment = { __typename: 'PerHolderLimitError', limit: number, current: number, message: string, retryAfterMs: number | null };

type Refused_PoolClosedError_Fragment = { __typename: 'PoolClosedError', opensAt: string | null, message: string, retryAfterMs: number | null };

type Refused_QuotaBelowUseError_Fragment = { __typename: 'QuotaBelowUseError', message: string, retryAfterMs: number | null };

type Refused_RefundExceedsClaimError_Fragment = { __typename: 'RefundExceedsClaimError', message: string, retryAfterMs: number | null };

export type RefusedFragment =
  | Refused_GatewayBusyError_Fragment
  | Refused_HoldExpiredError_Fragment
  | Refused_IdempotencyConflictError_Fragment
  | Refused_InsufficientCapacityError_Fragment
  | Refused_InvalidInputError_Fragment
  | Refused_InvalidTransitionError_Fragment
  | Refused_NotEligibleError_Fragment
  | Refused_NotFoundError_Fragment
  | Refused_OfferUnavailableError_Fragment
  | Refused_PerHolderLimitError_Fragment
  | Refused_PoolClosedError_Fragment
  | Refused_QuotaBelowUseError_Fragment
  | Refused_RefundExceedsClaimError_Fragment
;

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const PlacesFragmentDoc = new TypedDocumentString(`
    fragment Places on Pool {
  quota
  held
  confirmed
  available
  version
  closedAt
  waitlist {
    waiting
  }
}
    `, {"fragmentName":"Places"}) as unknown as TypedDocumentString<PlacesFragment, unknown>;
export const OrderedFragmentDoc = new TypedDocumentString(`
    fragment Ordered on OrderSuccess {
  __typename
  pool {
    asOf
  }
  order {
    id
    status
    expiresAt
    lines {
      name
      price
      currency
      quantity
    }
  }
}
    `, {"fragmentName":"Ordered"}) as unknown as TypedDocumentString<OrderedFragment, unknown>;
export const RefusedFragmentDoc = new TypedDocumentString(`
    fragment Refused on CapacityError {
  __typename
  message
  retryAfterMs
  ... on InsufficientCapacityError {
    requested
    available
    cause
    pool {
      title
    }
  }
  ... on PoolClosedError {
    opensAt
  }
  ... on PerHolderLimitError {
    limit
    current
  }
  ... on NotEligibleError {
    requirement
  }
}
    `, {"fragmentName":"Refused"}) as unknown as TypedDocumentString<RefusedFragment, unknown>;
export const PageDocument = new TypedDocumentString(`
    query Page($event: ID!) {
  capacityEvent(id: $event) {
    name
    pool {
      ref
      ...Places
    }
    ticketTypes {
      id
      name
      price
      currency
      pool {
        ref
        ...Places
      }
    }
    sessions {
      id
      title
      pool {
        ref
        asOf
        ...Places
        mine {
          state
          position
          expiresAt
        }
      }
    }
  }
}
    fragment Places on Pool {
  quota
  held
  confirmed
  available
  version
  closedAt
  waitlist {
    waiting
  }
}`) as unknown as TypedDocumentString<PageQuery, PageQueryVariables>;
export const ChangesDocument = new TypedDocumentString(`
    subscription Changes($kind: PoolKind!, $ref: ID!, $after: Int) {
  capacityChanged(kind: $kind, ref: $ref, after: $after) {
    pool {
      ...Places
    }
  }
}
    fragment Places on Pool {
  quota
  held
  confirmed
  available
  version
  closedAt
  waitlist {
    waiting
  }
}`) as unknown as TypedDocumentString<ChangesSubscription, ChangesSubscriptionVariables>;
export const OffersDocument = new TypedDocumentString(`
    subscription Offers {
  waitlistOffer {
    expiresAt
  }
}
    `) as unknown as TypedDocumentString<OffersSubscription, OffersSubscriptionVariables>;
export const HoldTicketsDocument = new TypedDocumentString(`
    mutation HoldTickets($input: HoldTicketsInput!) {
  holdTickets(input: $input) {
    ...Ordered
    ...Refused
  }
}
    fragment Ordered on OrderSuccess {
  __typename
  pool {
    asOf
  }
  order {
    id
    status
    expiresAt
    lines {
      name
      price
      currency
      quantity
    }
  }
}
fragment Refused on CapacityError {
  __typename
  message
  retryAfterMs
  ... on InsufficientCapacityError {
    requested
    available
    cause
    pool {
      title
    }
  }
  ... on PoolClosedError {
    opensAt
  }
  ... on PerHolderLimitError {
    limit
    current
  }
  ... on NotEligibleError {
    requirement
  }
}`) as unknown as TypedDocumentString<HoldTicketsMutation, HoldTicketsMutationVariables>;
export const ConfirmTicketsDocument = new TypedDocumentString(`
    mutation ConfirmTickets($input: OrderRefInput!) {
  confirmTickets(input: $input) {
    ...Ordered
    ...Refused
  }
}
    fragment Ordered on OrderSuccess {
  __typename
  pool {
    asOf
  }
  order {
    id
    status
    expiresAt
    lines {
      name
      price
      currency
      quantity
    }
  }
}
fragment Refused on CapacityError {
  __typename
  message
  retryAfterMs
  ... on InsufficientCapacityError {
    requested
    available
    cause
    pool {
      title
    }
  }
  ... on PoolClosedError {
    opensAt
  }
  ... on PerHolderLimitError {
    limit
    current
  }
  ... on NotEligibleError {
    requirement
  }
}`) as unknown as TypedDocumentString<ConfirmTicketsMutation, ConfirmTicketsMutationVariables>;
export const ReleaseTicketsDocument = new TypedDocumentString(`
    mutation ReleaseTickets($input: OrderRefInput!) {
  releaseTickets(input: $input) {
    ...Ordered
    ...Refused
  }
}
    fragment Ordered on OrderSuccess {
  __typename
  pool {
    asOf
  }
  order {
    id
    status
    expiresAt
    lines {
      name
      price
      currency
      quantity
    }
  }
}
fragment Refused on CapacityError {
  __typename
  message
  retryAfterMs
  ... on InsufficientCapacityError {
    requested
    available
    cause
    pool {
      title
    }
  }
  ... on PoolClosedError {
    opensAt
  }
  ... on PerHolderLimitError {
    limit
    current
  }
  ... on NotEligibleError {
    requirement
  }
}`) as unknown as TypedDocumentString<ReleaseTicketsMutation, ReleaseTicketsMutationVariables>;
export const JoinSessionDocument = new TypedDocumentString(`
    mutation JoinSession($input: JoinSessionInput!) {
  joinSession(input: $input) {
    __typename
    ...Refused
  }
}
    fragment Refused on CapacityError {
  __typename
  message
  retryAfterMs
  ... on InsufficientCapacityError {
    requested
    available
    cause
    pool {
      title
    }
  }
  ... on PoolClosedError {
    opensAt
  }
  ... on PerHolderLimitError {
    limit
    current
  }
  ... on NotEligibleError {
    requirement
  }
}`) as unknown as TypedDocumentString<JoinSessionMutation, JoinSessionMutationVariables>;
export const AcceptOfferDocument = new TypedDocumentString(`
    mutation AcceptOffer($input: SessionRefInput!) {
  acceptOffer(input: $input) {
    __typename
    ...Refused
  }
}
    fragment Refused on CapacityError {
  __typename
  message
  retryAfterMs
  ... on InsufficientCapacityError {
    requested
    available
    cause
    pool {
      title
    }
  }
  ... on PoolClosedError {
    opensAt
  }
  ... on PerHolderLimitError {
    limit
    current
  }
  ... on NotEligibleError {
    requirement
  }
}`) as unknown as TypedDocumentString<AcceptOfferMutation, AcceptOfferMutationVariables>;
export const DeclineOfferDocument = new TypedDocumentString(`
    mutation DeclineOffer($input: SessionRefInput!) {
  declineOffer(input: $input) {
    __typename
    ...Refused
  }
}
    fragment Refused on CapacityError {
  __typename
  message
  retryAfterMs
  ... on InsufficientCapacityError {
    requested
    available
    cause
    pool {
      title
    }
  }
  ... on PoolClosedError {
    opensAt
  }
  ... on PerHolderLimitError {
    limit
    current
  }
  ... on NotEligibleError {
    requirement
  }
}`) as unknown as TypedDocumentString<DeclineOfferMutation, DeclineOfferMutationVariables>;
export const LeaveSessionDocument = new TypedDocumentString(`
    mutation LeaveSession($input: SessionRefInput!) {
  leaveSession(input: $input) {
    __typename
    ...Refused
  }
}
    fragment Refused on CapacityError {
  __typename
  message
  retryAfterMs
  ... on InsufficientCapacityError {
    requested
    available
    cause
    pool {
      title
    }
  }
  ... on PoolClosedError {
    opensAt
  }
  ... on PerHolderLimitError {
    limit
    current
  }
  ... on NotEligibleError {
    requirement
  }
}`) as unknown as TypedDocumentString<LeaveSessionMutation, LeaveSessionMutationVariables>;