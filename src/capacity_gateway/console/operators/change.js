// Another limit: first what it would do, computed by the gateway itself and undone, and only then for good.

import { all, ask, change, newKey, page } from "./api.js";
import { action, confirmed, h, labelled } from "./dom.js";
import { bar, count, link, many, name, summary, whose } from "./words.js";

const limit = (pool) => (pool.quota === null ? "no limit" : count(pool.quota));
const fits = (pool, claim) => pool.available === null || claim.quantity <= pool.available + pool.oversellMax;
const NAMED = 10;

/** The first of them by name, and how many more there are. */
function listed(claims, number) {
  const names = claims.slice(0, NAMED).map((claim) => `${whose(claim)} (${claim.quantity})`);
  return names.join(", ") + (number > names.length ? ` and ${count(number - names.length)} more` : "");
}

/** What would become of one pool, in sentences. */
function told({ before, after, offers, waiting }) {
  const lost = waiting.filter((claim) => fits(before, claim) && !fits(after, claim));
  const won = waiting.filter((claim) => !fits(before, claim) && fits(after, claim));
  const over = after.available < 0 ? -after.available : 0;
  const offered = offers.length && after.waitlist.offered - before.waitlist.offered;
  const line = after.waitlist?.waiting ?? waiting.length;
  const lines = [
    over > after.oversellMax &&
      `It would be ${count(over)} over its limit. Nobody is thrown out, and nobody gets in until there is room again.`,
    offered > 0 && `${many(offered, "offer")} would go out: ${listed(offers, offered)}.`,
    lost.length > 0 && `${many(lost.length, "request")} would no longer fit: ${listed(lost, lost.length)}.`,
    won.length > 0 && `${many(won.length, "request")} would fit then: ${listed(won, won.length)}.`,
    line > 0 && `${count(line)} would wait, ${whose(waiting[0])} next.`,
  ].filter(Boolean);
  if (over <= after.oversellMax && offered + lost.length + won.length === 0) lines.unshift("Nobody is affected.");
  return h(
    "section",
    { className: "effect" },
    h("h3", {}, name(before)),
    h(
      "p",
      {},
      `Limit ${limit(before)} → `,
      h("b", {}, limit(after)),
      `. Now ${summary(before)}; then ${summary(after)}.`,
    ),
    bar(before),
    bar(after),
    h(
      "ul",
      {},
      lines.map((line) => h("li", {}, line)),
    ),
  );
}

/** The changes that the form asks for, as the API takes them. */
async function asked(pool, fields, others) {
  const { way, quota, spaces, other, oversell, below } = fields;
  const number = (field) => {
    const value = Number(field.value);
    if (field.value === "" || !Number.isInteger(value) || value < 0) throw new Error("Give a whole number, 0 or more.");
    return value;
  };
  const allowBelowUse = below.checked;
  const self = { kind: pool.kind, ref: pool.ref, allowBelowUse };
  if (way() === "unlimited") return [{ ...self, unlimited: true }];
  if (way() === "limit") return [{ ...self, quota: number(quota), oversellMax: number(oversell) }];
  const to = others.find((each) => each.id === other.value);
  if (!to) throw new Error("Choose where they are to go.");
  const moved = number(spaces);
  if (moved > pool.quota) throw new Error(`There are only ${count(pool.quota)} here.`);
  const { quota: there } = await ask("Pool", { kind: to.kind, ref: to.ref });
  return [
    { ...self, quota: pool.quota - moved },
    { kind: to.kind, ref: to.ref, quota: there + moved },
  ];
}

async function otherPools(pool) {
  const pools = await all(async (after) => page(await ask("Pools", { kind: pool.kind, first: 100, after })));
  return pools.filter((each) => each.id !== pool.id && each.mayGovern && each.quota !== null);
}

/** Ask for a reason, and change what was looked at; not where a limit has changed since. */
async function apply(pool, changes, shown) {
  const note = h("input", { maxLength: 500, autocomplete: "off" });
  const steps =
    changes.length > 1 &&
    h("p", {}, "This is done in two steps: first the places are taken from here, then they are added there.");
  const why = labelled("Why (kept in the history)", note);
  if (!(await confirmed(`Change ${name(pool)}?`, [steps, why], "Change it"))) return;
  const now = await ask("WhatIf", { changes });
  if (shown.some((each, n) => each.before.quota !== now.pools?.[n].before.quota)) {
    throw new Error("Somebody has changed a limit meanwhile. Look again at what would happen.");
  }
  for (const [n, each] of changes.entries()) {
    try {
      await change("SetQuota", { ...each, note: note.value || null, idempotencyKey: newKey() });
    } catch (error) {
      throw n === 0 ? error : new Error(`The places are taken from here, but not yet added there: ${error.message}`);
    }
  }
  location.hash = link(pool); // whose history begins with it
}

function opening(pool) {
  const closed = Boolean(pool.closedAt);
  const turn = async () => {
    const body = h(
      "p",
      {},
      closed ? "People can get in again." : "Nobody gets in any more; giving places back still works.",
    );
    const verb = closed ? "Open" : "Close";
    if (!(await confirmed(`${verb} ${name(pool)}?`, body, verb))) return;
    await change(closed ? "OpenPool" : "ClosePool", {
      kind: pool.kind,
      ref: pool.ref,
      idempotencyKey: newKey(),
    });
    location.hash = link(pool);
  };
  return h(
    "section",
    {},
    h("h2", {}, closed ? "It is closed" : "Close it"),
    h(
      "p",
      { className: "lead" },
      closed ? "Nobody gets in until it is opened again." : "For a while nobody gets in. Who has a place keeps it.",
    ),
    action(closed ? "Open …" : "Close …", turn, "plain"),
  );
}

export async function changePage(pool) {
  const others = await otherPools(pool);
  const input = (value) => h("input", { type: "number", min: 0, max: 2147483647, step: 1, value });
  const choice = (value, text) =>
    h(
      "label",
      { className: "choice" },
      h("input", { type: "radio", name: "way", value, checked: value === "limit" }),
      text,
    );
  const form = h("form", { onsubmit: (event) => event.preventDefault() });
  const fields = {
    way: () => form.elements.way.value,
    quota: input(pool.quota ?? ""),
    oversell: input(pool.oversellMax),
    spaces: input(""),
    other: h(
      "select",
      {},
      h("option", { value: "" }, "…"),
      others.map((each) => h("option", { value: each.id }, `${name(each)} (${limit(each)})`)),
    ),
    below: h("input", { type: "checkbox" }),
  };
  const result = h("div", { className: "result", role: "status" });
  const parts = {
    limit: h(
      "div",
      { className: "filters" },
      labelled("New limit", fields.quota),
      labelled("Overbooking", fields.oversell, "How many more may get in than there are"),
    ),
    move: h("div", { className: "filters" }, labelled("How many", fields.spaces), labelled("Where to", fields.other)),
    unlimited: h("p", { className: "lead" }, "Everybody gets in, and everybody who waits is offered a place."),
  };
  const refresh = () => {
    result.replaceChildren();
    for (const [each, part] of Object.entries(parts)) part.hidden = each !== fields.way();
  };
  const look = async () => {
    result.replaceChildren();
    const changes = await asked(pool, fields, others);
    const found = await ask("WhatIf", { changes });
    if (found.code === "QUOTA_BELOW_USE") {
      throw new Error(`${found.message.split(";")[0]}. Tick “Even below what is taken” to see what would happen then.`);
    }
    if (found.code) throw new Error(found.message);
    result.replaceChildren(
      h("h2", {}, "What would happen"),
      h("p", { className: "lead" }, "Nothing has changed yet."),
      ...found.pools.map(told),
      action("Do it …", () => apply(pool, changes, found.pools), "primary"),
    );
  };
  form.append(
    h(
      "fieldset",
      {},
      h("legend", {}, "What do you want to do?"),
      choice("limit", "Raise or lower the limit"),
      pool.quota !== null && others.length > 0 ? choice("move", "Move some to another pool") : "",
      pool.quota !== null ? choice("unlimited", "Lift the limit") : "",
    ),
    ...Object.values(parts),
    h("label", { className: "choice" }, fields.below, "Even below what is taken (nobody is thrown out)"),
    action("Show what would happen", look, "primary"),
  );
  form.querySelector(".action button").type = "submit"; // so that Enter in a field presses it
  form.onchange = refresh;
  refresh();
  return h(
    "div",
    {},
    h(
      "section",
      {},
      h("h2", {}, "Another limit"),
      h("p", { className: "lead" }, "You see who would be affected before anything changes."),
      form,
      result,
    ),
    opening(pool),
  );
}
