// Choosing tickets, and the order that holds them until they are paid for.

import { change, newKey, watch } from "./gateway.js";
import {
  ConfirmTicketsDocument,
  HoldTicketsDocument,
  ReleaseTicketsDocument,
  type HoldTicketsInput,
  type HoldTicketsMutation,
  type OrderStatus,
  type PageQuery,
  type PlacesFragment,
} from "./generated.js";
import { countDown, stop } from "./countdown.js";
import { announce, copy, find, onPress, showPlaces, showState } from "./page.js";
import { explain, type Refusal } from "./refusals.js";

type Event = NonNullable<PageQuery["capacityEvent"]>;
type TicketType = Event["ticketTypes"][number];
type Ordered = Extract<HoldTicketsMutation["holdTickets"], { __typename: "OrderSuccess" }>;

const MOST = 10;
const panel = find("#order");
const choice = find<HTMLFormElement>("#choice");

// What is wanted is written down with its key before it is sent, and sent again as it is: after a double click, a lost
// answer or a reload it is still the same order, and nothing is held twice.
const KEPT = "order";
const kept = () => JSON.parse(sessionStorage.getItem(KEPT) ?? "null") as HoldTicketsInput | null;
const keep = (input: HoldTicketsInput) => (sessionStorage.setItem(KEPT, JSON.stringify(input)), input);
const forget = () => sessionStorage.removeItem(KEPT);

function money(amount: number, currency: string) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return amount ? format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2)) : "Free";
}

function words({ quota, held, confirmed, available, closedAt }: PlacesFragment) {
  if (closedAt) return "Not on sale at the moment";
  if (available === null) return "Available";
  if (available > 0) return `${available} of ${quota} left`;
  return held > 0 ? `Sold out: ${confirmed} sold, ${held} held and may come free` : `Sold out: all ${confirmed} sold`;
}

function row(type: TicketType): HTMLElement {
  const place = copy("#ticket-type");
  const amount = find<HTMLSelectElement>("select", place);
  find(".name", place).textContent = type.name;
  find(".price", place).textContent = money(type.price, type.currency);
  amount.name = type.id;
  amount.id = find<HTMLLabelElement>("label", place).htmlFor = `amount-${type.id}`;
  amount.setAttribute("aria-describedby", (find(".words", place).id = `words-${type.id}`));
  amount.append(...Array.from({ length: MOST + 1 }, (_, number) => new Option(String(number))));
  const show = (pool: PlacesFragment) => {
    showPlaces(place, pool, words(pool));
    amount.disabled = pool.closedAt !== null || (pool.available !== null && pool.available <= 0);
    if (amount.disabled) amount.value = "0";
  };
  show(type.pool);
  watch("TICKET_TYPE", type.pool, show);
  return place;
}

/** The ticket types of an event, live, and the order of this tab. */
export async function showTickets(eventId: string, event: Event) {
  find("#ticket-types").replaceChildren(...event.ticketTypes.map(row));
  choice.onsubmit = async (submitted) => {
    submitted.preventDefault();
    const lines = [...new FormData(choice)]
      .map(([ticketTypeId, quantity]) => ({ ticketTypeId, quantity: Number(quantity) }))
      .filter(({ quantity }) => quantity > 0);
    if (!kept() && lines.length === 0) return announce("Choose how many you would like.");
    announce("");
    await hold(kept() ?? keep({ eventId, lines, idempotencyKey: newKey() }));
    find("h2", panel).focus();
  };
  onPress(find("#confirm"), () => finish("confirm"));
  onPress(find("#release"), () => finish("release"));
  find("#again").onclick = () => (forget(), showOrder(null));
  await refreshOrder();
  watch("EVENT", event.pool, () => panel.dataset.state === "UNPAID" && refreshOrder()); // it may have been paid for
}

/** How the order of this tab stands now, by sending the same again. */
export async function refreshOrder() {
  const input = kept();
  if (input) await hold(input);
  else showOrder(null);
}

async function hold(input: HoldTicketsInput) {
  const outcome = await change(HoldTicketsDocument, input);
  if (outcome.__typename === "OrderSuccess") return showOrder(outcome);
  refused(outcome);
  forget();
  showOrder(null);
}

async function finish(how: "confirm" | "release") {
  const { orderId = "" } = panel.dataset;
  const input = { orderId, idempotencyKey: `${kept()?.idempotencyKey}/${how}` };
  const outcome = await (how === "confirm"
    ? change(ConfirmTicketsDocument, input)
    : change(ReleaseTicketsDocument, input));
  if (outcome.__typename === "OrderSuccess") showOrder(outcome);
  else {
    refused(outcome);
    await refreshOrder();
  }
  find("h2", panel).focus();
}

const refused = (refusal: Refusal) => announce(explain(refusal));

type State = Exclude<OrderStatus, "PENDING"> | "FREE" | "UNPAID";

const TITLES: Record<State, string> = {
  FREE: "Held for you",
  UNPAID: "Held for you",
  COMPLETED: "They are yours",
  CANCELLED: "Given back",
  EXPIRED: "Your time ran out",
  REFUNDED: "Given back, and refunded",
};

function showOrder(found: Ordered | null) {
  const clock = find("#left");
  stop(clock);
  panel.hidden = !found;
  choice.hidden = Boolean(found);
  if (!found) return;
  const { order, pool } = found;
  const total = order.lines.reduce((sum, { price, quantity }) => sum + price * quantity, 0);
  const state: State = order.status === "PENDING" ? (total > 0 ? "UNPAID" : "FREE") : order.status;
  panel.dataset.orderId = order.id;
  find("h2", panel).textContent = TITLES[state];
  find("#lines").replaceChildren(
    ...order.lines.map(({ name, quantity, price, currency }) => {
      const line = copy("#line");
      find(".what", line).textContent = `${quantity} × ${name}`;
      find(".cost", line).textContent = money(price * quantity, currency);
      return line;
    }),
  );
  find("#order-id").textContent = order.id;
  showState(panel, state);
  if (order.expiresAt) countDown(clock, order.expiresAt, pool.asOf, refreshOrder);
}
