// The gateway, as this page talks to it: every request is sent until it is settled, and no change is missed.

import { createClient } from "graphql-ws/client";
import {
  ChangesDocument,
  OffersDocument,
  type ChangesSubscription,
  type OffersSubscription,
  type PlacesFragment,
  type PoolKind,
  type TypedDocumentString,
} from "./generated.js";
import { busy, live } from "./page.js";

const address = document.querySelector<HTMLMetaElement>("meta[name=capacity-gateway]")!.content;
const LONGEST_PAUSE_MS = 10_000;

/** The login, in this tab alone. A real page has it from its own sign-in. */
export const token = () => sessionStorage.getItem("token");

export function signIn(text: string) {
  sessionStorage.setItem("token", text.trim().replace(/^bearer\s+/i, ""));
  location.reload();
}

export function signOut() {
  sessionStorage.clear();
  location.reload();
}

/** Longer each time, never shorter than the gateway asks for, and not the same for all who wait. */
const pause = (tries: number, atLeastMs = 0) => {
  const ms = Math.min(LONGEST_PAUSE_MS, 250 * 2 ** tries) * (0.5 + Math.random() / 2);
  return new Promise<void>((done) => setTimeout(done, Math.max(atLeastMs, ms)));
};

type Busy = { __typename: "GatewayBusyError" };
type Settled<Answer> = Exclude<Answer[keyof Answer], Busy>;

/**
 * What the only field of an operation comes to.
 *
 * A busy gateway, or none at all, is asked again with the very same input. So a change must carry an idempotency key:
 * whether it was done the first time or is done now, it is done once.
 */
export async function ask<Answer, Variables>(
  operation: TypedDocumentString<Answer, Variables>,
  variables: Variables,
): Promise<Settled<Answer>> {
  for (let tries = 0; ; tries += 1) {
    const { value, retryAfterMs } = await attempt(operation, variables);
    busy(value === undefined);
    if (value !== undefined) return value;
    await pause(tries, retryAfterMs);
  }
}

type Attempt<Answer> = { value?: Settled<Answer>; retryAfterMs?: number };

async function attempt<Answer, Variables>(
  operation: TypedDocumentString<Answer, Variables>,
  variables: Variables,
): Promise<Attempt<Answer>> {
  const response = await fetch(`${address}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token()}` },
    body: JSON.stringify({ query: operation, variables }),
  }).catch(() => null);
  if (!response || response.status >= 500) return {};
  const { data, errors } = await response.json();
  const { code, retryAfterMs } = errors?.[0].extensions ?? {};
  if (code === "UNAUTHENTICATED") signOut();
  if (code === "BUSY") return { retryAfterMs };
  if (errors) throw new Error(errors[0].message);
  const [value] = Object.values(data) as [Settled<Answer> | (Busy & { retryAfterMs: number | null })];
  return isBusy(value) ? { retryAfterMs: value.retryAfterMs ?? 0 } : { value };
}

const isBusy = (value: unknown): value is Busy & { retryAfterMs: number | null } =>
  (value as Partial<Busy> | null)?.__typename === "GatewayBusyError";

/** The same for a change, which comes to something unless it is not allowed. */
export async function change<Answer, Input>(
  operation: TypedDocumentString<Answer, { input: Input }>,
  input: Input & { idempotencyKey: string },
): Promise<NonNullable<Settled<Answer>>> {
  return (await ask(operation, { input }))!;
}

/** A key of one thing that somebody wants; sent again with the same key it is done once. */
export const newKey = () => crypto.randomUUID();

const socket = createClient({
  url: `${address.replace(/^http/, "ws")}/graphql`,
  connectionParams: () => ({ authorization: `Bearer ${token()}` }),
  retryAttempts: Infinity,
  shouldRetry: () => true,
  retryWait: pause,
  on: { connected: () => live("Live"), closed: () => live("Reconnecting …") },
});

/** Tell a pool after each change. After a break the socket asks again from the last version that is known here. */
export function watch(kind: PoolKind, pool: { ref: string; version: number }, tell: (now: PlacesFragment) => void) {
  const { ref } = pool;
  let { version } = pool;
  const variables = {
    kind,
    ref,
    get after() {
      return version;
    },
  };
  socket.subscribe<ChangesSubscription>(
    { query: `${ChangesDocument}`, variables },
    {
      next({ data }) {
        if (!data) return;
        version = data.capacityChanged.pool.version;
        tell(data.capacityChanged.pool);
      },
      error: () => live("Not live: reload the page."),
      complete: () => {},
    },
  );
}

/** Tell when this login is offered a seat anywhere. */
export function watchOffers(tell: () => void) {
  socket.subscribe<OffersSubscription>(
    { query: `${OffersDocument}` },
    { next: tell, error: () => live("Not live: reload the page."), complete: () => {} },
  );
}
