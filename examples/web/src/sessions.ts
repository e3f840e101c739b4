// Seats in sessions; when there is none, a place in the line, and an offer that holds a seat for a while.

import { ask, change, newKey, watch, watchOffers } from "./gateway.js";
import {
  AcceptOfferDocument,
  DeclineOfferDocument,
  JoinSessionDocument,
  LeaveSessionDocument,
  PageDocument,
  type ClaimState,
  type PageQuery,
  type PlacesFragment,
} from "./generated.js";
import { countDown, stop } from "./countdown.js";
import { announce, copy, find, onPress, showPlaces, showState } from "./page.js";
import { assertNever, explain, type Refusal } from "./refusals.js";

type Session = NonNullable<PageQuery["capacityEvent"]>["sessions"][number];
type State = "OUT" | "FULL" | "GONE" | "WAITING" | "OFFERED" | "IN";

const AT_MOST_EVERY_MS = 1000;
const shown = new Map<string, (now: Session) => void>();

function words({ quota, held, confirmed, available, closedAt, waitlist }: PlacesFragment) {
  if (closedAt) return "Closed at the moment";
  if (available === null) return "There is a seat for everybody";
  const line = waitlist?.waiting ? `, ${waitlist.waiting} in line` : "";
  if (available > 0) return `${available} of ${quota} seats left${line}`;
  return `Full: ${confirmed} taken${held ? `, ${held} offered` : ""}${line}`;
}

function stateOf(mine: ClaimState | undefined, { available, waitlist, closedAt }: PlacesFragment): State {
  switch (mine) {
    case undefined:
    case "RELEASED":
    case "EXPIRED":
      if (closedAt) return "GONE";
      if (waitlist?.waiting) return "FULL";
      if (available === null || available > 0) return "OUT";
      return waitlist ? "FULL" : "GONE";
    case "WAITING":
      return "WAITING";
    case "HELD":
      return "OFFERED";
    case "CONFIRMED":
      return "IN";
    default:
      return assertNever(mine);
  }
}

type Outcome = Refusal | { __typename: "SessionJoined" | "SessionWaiting" | "SessionLeft" };

function said(outcome: Outcome, title: string): string {
  switch (outcome.__typename) {
    case "SessionJoined":
      return `You have a seat in ${title}.`;
    case "SessionWaiting":
      return `You are in line for ${title}.`;
    case "SessionLeft":
      return `Your seat in ${title} goes to somebody else.`;
    default:
      return explain(outcome);
  }
}

/** The sessions of an event, live, and what this login has of them. */
export function showSessions(eventId: string, sessions: Session[]) {
  const refresh = async () => {
    const event = await ask(PageDocument, { event: eventId });
    for (const session of event?.sessions ?? []) shown.get(session.id)?.(session);
  };
  let due: number | undefined;
  const refreshSoon = () => {
    due ??= setTimeout(() => {
      due = undefined;
      refresh().catch((error: Error) => announce(error.message));
    }, AT_MOST_EVERY_MS * Math.random()); // not all who wait at the same moment
  };
  find("#sessions").replaceChildren(...sessions.map((session) => row(session, refresh, refreshSoon)));
  watchOffers(refreshSoon);
  return refresh;
}

function row(session: Session, refresh: () => Promise<void>, refreshSoon: () => void): HTMLElement {
  const place = copy("#session");
  const clock = find(".left", place);
  find(".name", place).textContent = session.title;
  let { pool } = session;
  let { mine } = pool;

  const show = () => {
    showPlaces(place, pool, words(pool));
    find(".position", place).textContent = String(mine?.position ?? "");
    showState(place, stateOf(mine?.state, pool));
  };
  shown.set(session.id, (now) => {
    if (now.pool.version >= pool.version) pool = now.pool;
    if (now.pool.mine?.state === "HELD" && mine?.state === "WAITING") announce(`A seat in ${session.title} is yours to take.`);
    mine = now.pool.mine;
    show();
    stop(clock);
    if (mine?.state === "HELD" && mine.expiresAt) countDown(clock, mine.expiresAt, now.pool.asOf, refreshSoon);
  });
  shown.get(session.id)!(session);
  watch("SESSION", pool, (now) => {
    pool = { ...pool, ...now };
    show();
    if (mine) refreshSoon(); // this may have moved the line
  });

  const sessionId = session.id;
  const does = (name: string, work: (idempotencyKey: string) => Promise<Outcome>) =>
    onPress(find<HTMLButtonElement>(name, place), async () => {
      const outcome = await work(newKey());
      await refresh();
      find(".name", place).focus();
      announce(said(outcome, session.title));
    });
  const join = (idempotencyKey: string) => change(JoinSessionDocument, { sessionId, orWait: true, idempotencyKey });
  const leave = (idempotencyKey: string) => change(LeaveSessionDocument, { sessionId, idempotencyKey });
  does(".join", join);
  does(".line-up", join);
  does(".give-up", leave);
  does(".leave", leave);
  does(".accept", (idempotencyKey) => change(AcceptOfferDocument, { sessionId, idempotencyKey }));
  does(".decline", (idempotencyKey) => change(DeclineOfferDocument, { sessionId, idempotencyKey }));
  return place;
}
