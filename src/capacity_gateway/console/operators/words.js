// The API's words in plain ones.

import { h } from "./dom.js";

export const KINDS = {
  COMPETITION: "Competition",
  EVENT: "Event",
  TICKET_TYPE: "Tickets",
  SESSION: "Session",
  BOOTH: "Booth",
  STREAM: "Stream",
  HUDDLE: "Huddle",
  BREAKOUT_ROOM: "Breakout room",
};

export const STATES = {
  WAITING: "waiting",
  HELD: "held",
  CONFIRMED: "confirmed",
  RELEASED: "given back",
  EXPIRED: "ran out",
};

/** A ledger's reason: RESERVATION_APPROVAL becomes “Reservation approval”. */
export function reason(code) {
  const text = code.toLowerCase().replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

export const name = (pool) => pool.title ?? pool.ref;
export const link = (pool, part = "") => `#/pool/${pool.kind}/${encodeURIComponent(pool.ref)}${part && `/${part}`}`;

export const count = (number) => number.toLocaleString("en");
export const signed = (number) => (number > 0 ? `+${count(number)}` : count(number).replace("-", "−"));
export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

const DATE_TIME = { dateStyle: "medium", timeStyle: "short" };
export const moment = (when) => new Date(when).toLocaleString("en-GB", DATE_TIME);
/** A time for people, in an element that programs can read. */
export const time = (text) => h("time", { dateTime: text, title: text }, moment(text));

/** “450 free of 600”, whatever the pool is like. */
export function summary(pool) {
  if (pool.quota === null) return `${count(pool.held + pool.confirmed)} taken, no limit`;
  if (pool.available < 0) return `${count(-pool.available)} over the limit of ${count(pool.quota)}`;
  return `${count(pool.available)} free of ${count(pool.quota)}`;
}

/** A bar of what is confirmed, held and free; the same in words for who does not see it. */
export function bar(pool) {
  const whole = Math.max(pool.quota ?? 0, pool.held + pool.confirmed, 1);
  const part = (kind, number) => {
    const element = h("span", { className: kind });
    element.style.width = `${(100 * number) / whole}%`;
    return element;
  };
  const over = pool.available !== null && pool.available < 0;
  return h(
    "div",
    {
      className: over ? "bar over" : "bar",
      role: "img",
      "aria-label": `${count(pool.confirmed)} confirmed, ${count(pool.held)} held, ${summary(pool)}`,
    },
    part("confirmed", pool.confirmed),
    part("held", pool.held),
  );
}

/** The numbers below a bar. */
export function numbers(pool) {
  const number = (kind, value, word) => h("span", { className: `number ${kind}` }, h("b", {}, value), ` ${word}`);
  return h(
    "p",
    { className: "numbers" },
    number("confirmed", count(pool.confirmed), "confirmed"),
    number("held", count(pool.held), "held"),
    pool.quota === null ? number("free", "∞", "no limit") : number("free", count(Math.max(0, pool.available)), "free"),
  );
}

export const chips = (pool) => [
  h("span", { className: "chip" }, KINDS[pool.kind]),
  pool.closedAt && h("span", { className: "chip closed" }, "Closed"),
  pool.quota !== null && pool.available <= 0 && !pool.closedAt && h("span", { className: "chip full" }, "Full"),
];

/** Who a claim is of. */
export const whose = (claim) => claim.title ?? claim.holder;
