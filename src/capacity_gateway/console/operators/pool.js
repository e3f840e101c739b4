// One pool: how it stands, and behind four tabs where its places went, who has them, how to change it, and its check.

import { ask, page } from "./api.js";
import { changePage } from "./change.js";
import { findings } from "./check.js";
import { h, labelled, paged } from "./dom.js";
import { history } from "./history.js";
import { watch } from "./live.js";
import { STATES, bar, chips, link, many, name, numbers, summary, time, whose } from "./words.js";

const ROWS = 25;

const person = (claim) =>
  h(
    "tr",
    {},
    h("td", {}, whose(claim)),
    h("td", { className: "right" }, String(claim.quantity)),
    h("td", {}, STATES[claim.state], claim.expiresAt && claim.state === "HELD" && [" until ", time(claim.expiresAt)]),
    h("td", { "data-label": "since" }, time(claim.since)),
  );

const people = (claims, nobody) =>
  claims.length === 0
    ? h("p", { className: "nothing" }, nobody)
    : h(
        "table",
        { className: "rows" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Who", "Places", "State", "Since"].map((text) =>
              h("th", { scope: "col", className: text === "Places" ? "right" : "" }, text),
            ),
          ),
        ),
        h("tbody", {}, claims.map(person)),
      );

async function peoplePage(pool) {
  const { kind, ref } = pool;
  const line = h("div", {});
  const holders = h("div", {});
  const options = [
    ["HELD,CONFIRMED", "who have places now"],
    ["WAITING", "who have asked and wait"],
    ["RELEASED,EXPIRED", "who gave theirs back or let them run out"],
    ["", "all"],
  ];
  const which = h(
    "select",
    {},
    options.map(([value, text]) => h("option", { value }, text)),
  );
  const fill = () =>
    paged(
      holders,
      async (after) => {
        const states = which.value ? which.value.split(",") : null;
        return page((await ask("Claims", { kind, ref, states, first: ROWS, after })).claims);
      },
      (claims) => people(claims, "Nobody."),
    );
  which.onchange = fill;
  await fill();
  await paged(
    line,
    async (after) => page((await ask("Line", { kind, ref, first: ROWS, after })).line),
    (claims) =>
      h(
        "div",
        {},
        claims.length > 0 &&
          h("p", {}, "Next: ", h("b", {}, whose(claims[0])), ` for ${many(claims[0].quantity, "place")}.`),
        people(claims, "Nobody waits."),
      ),
  );
  return h(
    "div",
    {},
    h("section", {}, h("h2", {}, "Who has places"), labelled("Show those", which), holders),
    h(
      "section",
      {},
      h("h2", {}, "Who waits"),
      h(
        "p",
        { className: "lead" },
        pool.waitlist
          ? "In the order in which places are offered to them."
          : "In the order in which they asked. Nothing is given to them by itself here.",
      ),
      line,
    ),
  );
}

async function checkPage({ kind, ref }) {
  const place = h("div", {});
  const fill = async () => {
    const { rows } = page(await ask("Check", { kind, ref, first: 1 }));
    place.replaceChildren(findings(rows, fill));
  };
  await fill();
  return h("section", {}, h("h2", {}, "Does it add up?"), place);
}

const PARTS = {
  "": ["History", history],
  people: ["People", peoplePage],
  change: ["Change", changePage],
  check: ["Check", checkPage],
};

export async function poolPage(kind, ref, part = "") {
  const pool = await ask("Pool", { kind, ref });
  if (!pool)
    return h("div", { className: "narrow" }, h("h1", {}, "There is no such pool"), h("a", { href: "#/" }, "All pools"));
  const standing = h("div", { className: "standing" });
  const fill = (now) => {
    Object.assign(pool, now);
    const waiting =
      pool.waitlist &&
      h(
        "p",
        {},
        `${many(pool.waitlist.waiting, "waits", "wait")}, ${many(pool.waitlist.offered, "has an offer", "have an offer")}.`,
      );
    standing.replaceChildren(h("p", { className: "summary" }, summary(pool)), bar(pool), numbers(pool), waiting ?? "");
    marks.replaceChildren(...chips(pool).filter(Boolean));
  };
  const marks = h("p", { className: "chips" });
  fill(pool);
  watch(pool, fill);

  const tabs = Object.entries(PARTS).filter(([each]) => each === "" || pool.mayGovern);
  const nav = h(
    "nav",
    { className: "tabs", "aria-label": "About this pool" },
    tabs.map(([each, [text]]) => h("a", { href: link(pool, each), "aria-current": each === part && "page" }, text)),
  );
  let content;
  try {
    content = await (PARTS[part] ?? PARTS[""])[1](pool);
  } catch (error) {
    content = h("p", { className: "nothing" }, error.message);
  }
  return h(
    "div",
    {},
    h("p", {}, h("a", { href: "#/" }, "← All pools")),
    h("h1", {}, name(pool)),
    marks,
    standing,
    nav,
    content,
  );
}
