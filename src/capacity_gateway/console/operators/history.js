// Where the places went: the pool's ledger as a chart and as a table, at any instant, and as a file.

import { all, ask, ledgerFile, page } from "./api.js";
import { action, h, labelled, paged } from "./dom.js";
import { count, many, moment, reason, signed, time } from "./words.js";
import uPlot from "./vendor/uPlot.js";

const ROWS = 25;
const CHARTED = 500; // entries, the latest

const read =
  ({ kind, ref }, first, filter) =>
  async (after) =>
    page(await ask("Ledger", { kind, ref, first, after, filter }));

/** What was free after each entry, by the times that the entries count from. */
function course(pool, entries) {
  const inOrder = [...entries].sort(
    (a, b) => new Date(a.effectiveAt) - new Date(b.effectiveAt) || a.version - b.version,
  );
  const oldest = entries.at(-1);
  let free = oldest.availableAfter === null ? 0 : oldest.availableAfter - oldest.change;
  const times = [];
  const values = [];
  if (oldest.version === 1) {
    times.push(new Date(pool.openedAt) / 1000);
    values.push(free);
  }
  for (const entry of inOrder) {
    free += entry.change;
    times.push(new Date(entry.effectiveAt) / 1000);
    values.push(pool.quota === null ? -free : free);
  }
  const last = times.at(-1);
  times.push(Math.min(Date.now() / 1000, last + Math.max(60, (last - times[0]) / 10))); // it has stood so since
  values.push(values.at(-1));
  return [times, values];
}

const DAY = 86_400; // seconds

/** The texts below a chart: days, with the time where they are close together and the year where they are not. */
function days(_, instants, __, ___, between) {
  const date = (at) => new Date(at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const year = (at) => String(new Date(at * 1000).getFullYear());
  const hour = (at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return instants.map((at, n) => {
    const below = between < DAY ? date : year;
    const first = n === 0 || below(at) !== below(instants[n - 1]);
    return `${between < DAY ? hour(at) : date(at)}${first ? `\n${below(at)}` : ""}`;
  });
}

/** What was free, over time; a click tells `pick` the instant, in seconds. */
function chart(pool, entries, pick) {
  const place = h("div", { className: "chart", "aria-hidden": "true" });
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const axis = (more) => ({
    stroke: () => color("--soft"),
    grid: { stroke: () => color("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui",
    ...more,
  });
  const draw = () => {
    place.replaceChildren();
    const drawn = new uPlot(
      {
        width: place.clientWidth,
        height: 220,
        cursor: { y: false },
        legend: { show: true },
        scales: { y: { range: (_, low, high) => [Math.min(0, low), Math.max(high, 1)] } },
        axes: [axis({ space: 90, values: days }), axis({ size: 52 })],
        series: [
          { label: "When", value: (_, at) => (at ? moment(at * 1000) : "–") },
          {
            label: pool.quota === null ? "Taken" : "Free",
            stroke: () => color("--confirmed"),
            fill: () => color("--wash"),
            width: 2,
            paths: uPlot.paths.stepped({ align: 1 }),
            points: { show: entries.length < 40 },
          },
        ],
      },
      course(pool, entries),
      place,
    );
    drawn.over.onclick = () => pick(drawn.posToVal(drawn.cursor.left, "x"));
  };
  let width = 0;
  new ResizeObserver(() => {
    if (place.clientWidth && place.clientWidth !== width) {
      width = place.clientWidth;
      draw();
    }
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => place.isConnected && draw());
  return place;
}

function row(entry, search) {
  const subject =
    entry.subject &&
    h(
      "button",
      { type: "button", className: "link", title: entry.subject, onclick: () => search(entry.subject) },
      entry.subjectTitle ?? entry.subject,
    );
  return h(
    "tr",
    { className: "entry" },
    h("td", { className: "when" }, time(entry.effectiveAt)),
    h("td", { className: "what" }, reason(entry.reason), entry.note && h("small", {}, entry.note)),
    h("td", { className: "for" }, subject ?? "–"),
    h("td", { className: "by", "data-label": "by" }, entry.actor ?? "the gateway"),
    h("td", { className: "change right" }, signed(entry.change)),
    h(
      "td",
      { className: "after right", "data-label": "free after" },
      entry.availableAfter === null ? "–" : count(entry.availableAfter),
    ),
  );
}

const table = (entries, search) =>
  entries.length === 0
    ? h("p", { className: "nothing" }, "No entries.")
    : h(
        "table",
        { className: "rows" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["When", "What", "For", "By", "Change", "Free after"].map((text, n) =>
              h("th", { scope: "col", className: n > 3 ? "right" : "" }, text),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          entries.map((entry) => row(entry, search)),
        ),
      );

/** Ask for any instant, and hear how the pool stood then; `pick` asks for one in seconds. */
function instant({ kind, ref }) {
  const field = h("input", { type: "datetime-local", step: 1 });
  const answer = h("p", { className: "answer", role: "status" });
  const show = async () => {
    if (!field.value) throw new Error("Choose a day and a time.");
    const { at } = await ask("At", { kind, ref, time: new Date(field.value).toISOString() });
    const numbers = `${count(at.confirmed)} confirmed, ${count(at.held)} held, ${at.quota === null ? "no limit" : `${signed(at.available)} free of ${count(at.quota)}`}`;
    answer.replaceChildren(
      "At ",
      time(at.time),
      `: ${numbers.replace("+", "")} (after ${many(at.version, "entry", "entries")}).`,
    );
  };
  const button = action("Show", show, "plain");
  const pick = (at) => {
    const here = new Date(at * 1000);
    here.setMinutes(here.getMinutes() - here.getTimezoneOffset());
    field.value = here.toISOString().slice(0, 19);
    button.querySelector("button").click();
  };
  const place = h("div", {}, h("div", { className: "filters" }, labelled("How did it stand then?", field), button), answer);
  return { place, pick };
}

/** All entries as a file, the oldest first, as `capacity-gateway verify` takes it. */
async function save(pool, format) {
  const url = URL.createObjectURL(await ledgerFile(pool, format));
  h("a", { href: url, download: `${pool.id.replace(/[^\w-]+/g, "-")}.${format}` }).click();
  URL.revokeObjectURL(url);
}

export async function history(pool) {
  const latest = await all(read(pool, 100, null), CHARTED);
  const place = h("div", {});
  const subject = h("input", { type: "search", autocomplete: "off" });
  const actor = h("input", { type: "search", autocomplete: "off" });
  const fill = async () => {
    const filter = { subject: subject.value.trim() || null, actor: actor.value.trim() || null };
    const search = (text) => {
      subject.value = text;
      fill();
    };
    await paged(place, read(pool, ROWS, filter), (entries) => table(entries, search));
  };
  const form = h(
    "form",
    {
      className: "filters",
      onsubmit: (event) => {
        event.preventDefault();
        fill();
      },
    },
    labelled("For (id of a reservation, an order …)", subject),
    labelled("By (login)", actor),
    h("button", { className: "plain" }, "Search"),
  );
  await fill();
  const then = instant(pool);
  return h(
    "div",
    {},
    h(
      "section",
      {},
      h("h2", {}, "Where the places went"),
      latest.length > 0 && chart(pool, latest, then.pick),
      latest.length > 0 &&
        h(
          "p",
          { className: "lead" },
          latest.length >= CHARTED ? `The latest ${count(CHARTED)} entries. ` : "",
          "Click to see how it stood at that instant. Drag over a stretch of time to look closer, double-click to see all of it.",
        ),
      then.place,
    ),
    h("section", {}, h("h2", {}, "Each change"), form, place),
    pool.mayGovern &&
      h(
        "section",
        {},
        h("h2", {}, "Take it with you"),
        h(
          "p",
          { className: "lead" },
          "All entries, the oldest first, each with its hash: with ",
          h("code", {}, "capacity-gateway verify"),
          " anybody can check that none was changed or left out.",
        ),
        h(
          "p",
          { className: "buttons" },
          action("CSV", () => save(pool, "csv"), "plain"),
          action("JSON Lines", () => save(pool, "jsonl"), "plain"),
        ),
      ),
  );
}
