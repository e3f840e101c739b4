// Counter against ledger: what is off is named, the entry that a reservation lacks can be written, and the rest repaired.

import { ask, change, newKey, page } from "./api.js";
import { action, confirmed, h, labelled, paged } from "./dom.js";
import { count, link, many, name, signed, time } from "./words.js";

const ROWS = 50;
const MENDABLE = ["DRIFT", "ORPHAN", "CLAIMS_DISAGREE"]; // by further entries; the rest is for the database's owner

async function backfill(orphan, done) {
  const note = h("input", { maxLength: 500, autocomplete: "off" });
  const body = [
    h(
      "p",
      {},
      `An entry over ${many(orphan.quantity, "place")} is added to the history, counting from when they were taken. Nobody gains or loses a place.`,
    ),
    labelled("Why (kept in the history)", note),
  ];
  if (!(await confirmed("Write the missing entry?", body, "Write it"))) return;
  await change("Backfill", { reservationId: orphan.claimId, note: note.value || null });
  await done();
}

async function repair(pool, done) {
  const note = h("input", { maxLength: 500, autocomplete: "off" });
  const body = [
    h(
      "p",
      {},
      "What people have counts: the history gets an entry for each place that it cannot explain, and the counter is set to the places that people have. Nobody gains or loses one. If that is more than the limit, it is recorded as overbooked.",
    ),
    labelled("Why (kept in the history)", note),
  ];
  if (!(await confirmed(`Repair ${name(pool)}?`, body, "Repair it"))) return;
  const { kind, ref } = pool;
  await change("RepairPool", { kind, ref, note: note.value || null, idempotencyKey: newKey() });
  await done();
}

const orphanItem = (pool, done) => (orphan) =>
  h(
    "li",
    {},
    `${pool.kind === "COMPETITION" ? "Reservation" : "Claim"} `,
    h("code", {}, orphan.subject ?? orphan.claimId),
    ` has ${many(orphan.quantity, "place")}`,
    orphan.since && [" since ", time(orphan.since)],
    ", and no entry says so. ",
    pool.kind === "COMPETITION" && action("Write the missing entry …", () => backfill(orphan, done), "primary"),
  );

function finding(found, done) {
  const { pool, discrepancy, orphans, problems } = found;
  const open = problems.filter((problem) => !problem.sealed);
  const others = open.filter(({ kind }) => !["DRIFT", "ORPHAN"].includes(kind));
  const mendable = open.every(({ kind }) => MENDABLE.includes(kind));
  return h(
    "li",
    { className: "card off" },
    h("h3", {}, h("a", { href: link(pool, "check") }, name(pool))),
    discrepancy !== 0 &&
      found.actualAvailable !== null &&
      h(
        "p",
        {},
        `The counter says ${count(found.actualAvailable)} are free; the history adds up to ${count(found.expectedAvailable)}. `,
        h("b", {}, `Off by ${signed(discrepancy)}.`),
      ),
    discrepancy !== 0 && found.actualAvailable === null && h("p", {}, h("b", {}, `Off by ${signed(discrepancy)}.`)),
    orphans.length > 0 && h("ul", {}, orphans.map(orphanItem(pool, done))),
    others.length > 0 &&
      h(
        "ul",
        {},
        others.map((problem) => h("li", {}, `${problem.message}.`)),
      ),
    mendable &&
      pool.mayGovern &&
      h("p", {}, "All of this can be mended at once: ", action("Repair …", () => repair(pool, done), "plain")),
    !mendable &&
      h(
        "p",
        {},
        "This has to be looked into by whoever runs the gateway: ",
        h("code", {}, "capacity-gateway repair --dry-run"),
        ".",
      ),
  );
}

/** What is off, and how many pools are right. */
export function findings(rows, done) {
  const isOff = (found) => found.problems.some((problem) => !problem.sealed); // what is sealed was looked into
  const off = rows.filter(isOff);
  const right = rows.filter((found) => !isOff(found));
  const entries = rows.reduce((sum, found) => sum + found.ledgerEntryCount, 0);
  const said = off.length
    ? `${many(off.length, "pool is", "pools are")} off, ${count(right.length)} add up.`
    : `${right.length === 1 ? "It adds up" : `All ${count(right.length)} add up`}: every number is explained by the ${many(entries, "entry", "entries")} of the history, and none was changed.`;
  return h(
    "div",
    {},
    h("p", { className: off.length ? "verdict off" : "verdict right", role: "status" }, said),
    off.length > 0 &&
      h(
        "ul",
        { className: "cards" },
        off.map((found) => finding(found, done)),
      ),
    right.length > 1 &&
      h(
        "details",
        {},
        h("summary", {}, "Which add up"),
        h(
          "ul",
          {},
          right.map(({ pool }) => h("li", {}, h("a", { href: link(pool) }, name(pool)))),
        ),
      ),
  );
}

export async function check() {
  const place = h("div", {});
  const fill = () =>
    paged(
      place,
      async (after) => page(await ask("Check", { first: ROWS, after })),
      (rows) => findings(rows, fill),
    );
  try {
    await fill();
  } catch (error) {
    if (error.code !== "FORBIDDEN") throw error;
    place.append(
      h(
        "p",
        {},
        "This login may not check everything at once. Whoever organises an event checks its pools one by one, on their own pages.",
      ),
    );
  }
  return h(
    "div",
    {},
    h("h1", {}, "Does everything add up?"),
    h(
      "p",
      { className: "lead" },
      "For every pool the counter is compared with its history. When they differ, something was counted without an entry.",
    ),
    place,
  );
}
