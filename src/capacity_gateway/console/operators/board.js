// All pools, with bars that move as places are taken and given back.

import { all, ask, page } from "./api.js";
import { h, labelled, paged } from "./dom.js";
import { watch, watchNothing } from "./live.js";
import { KINDS, bar, chips, link, name, numbers, summary } from "./words.js";

const ON_A_PAGE = 24; // each is watched, and a socket takes 50

function card(pool) {
  const body = h("div", {});
  const fill = (now) => body.replaceChildren(h("p", { className: "summary" }, summary(now)), bar(now), numbers(now));
  const element = h(
    "li",
    { className: "card" },
    h("h2", {}, h("a", { href: link(pool) }, name(pool))),
    h("p", { className: "chips" }, chips(pool)),
    body,
  );
  fill(pool);
  watch(pool, (now) => {
    fill(now);
    element.querySelector(".chips").replaceChildren(...chips(now).filter(Boolean));
    element.classList.remove("changed");
    requestAnimationFrame(() => element.classList.add("changed"));
  });
  return element;
}

const cards = (pools) =>
  pools.length
    ? h("ul", { className: "cards" }, pools.map(card))
    : h("p", { className: "nothing" }, "There is nothing to count here yet.");

/** The pools of an event: its own, its stream's, its sessions' with their rooms, its tickets' and booths'. */
async function ofEvent(id, kind) {
  const event = await ask("Event", { id });
  if (!event) return [];
  const inside = [...event.sessions, ...event.ticketTypes, ...event.booths];
  const pools = inside.flatMap((part) => [part.pool, ...(part.breakoutRooms ?? [])]);
  pools.unshift(event.pool, ...(event.stream ? [event.stream] : []));
  return pools.filter((pool) => !kind || pool.kind === kind);
}

export async function board() {
  const place = h("div", {});
  const events = await all(async (after) => page(await ask("Pools", { kind: "EVENT", first: 100, after })));
  const option = (value, text) => h("option", { value }, text);
  const kind = h(
    "select",
    {},
    option("", "Everything"),
    Object.entries(KINDS).map(([k, text]) => option(k, text)),
  );
  const event = h(
    "select",
    {},
    option("", "Any event"),
    events.map((pool) => option(pool.ref, name(pool))),
  );
  kind.value = sessionStorage.getItem("kind") ?? "";
  event.value = sessionStorage.getItem("event") ?? "";
  if (event.selectedIndex < 0) event.value = "";

  const fill = async () => {
    sessionStorage.setItem("kind", kind.value);
    sessionStorage.setItem("event", event.value);
    const found = event.value ? await ofEvent(event.value, kind.value) : null;
    await paged(
      place,
      async (after) => {
        watchNothing();
        if (found) {
          const start = after ?? 0;
          const next = start + ON_A_PAGE < found.length ? start + ON_A_PAGE : null;
          return { rows: found.slice(start, start + ON_A_PAGE), next };
        }
        return page(await ask("Pools", { kind: kind.value || null, first: ON_A_PAGE, after }));
      },
      cards,
    );
  };
  kind.onchange = fill;
  event.onchange = fill;
  await fill();

  return h(
    "div",
    {},
    h("h1", {}, "Pools"),
    h(
      "p",
      { className: "lead" },
      "A pool is anything of which there is a limited number. ",
      h("b", { className: "confirmed" }, "Confirmed"),
      " places are promised for good, ",
      h("b", { className: "held" }, "held"),
      " ones for a while, and the rest is ",
      h("b", { className: "free" }, "free"),
      ". The numbers move by themselves.",
    ),
    h("div", { className: "filters" }, labelled("Show", kind), labelled("At", event)),
    place,
  );
}
