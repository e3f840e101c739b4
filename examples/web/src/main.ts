// A ticket page: what there is, live; an order with its time; seats, and the line for them.

import { ask, signIn, signOut, token } from "./gateway.js";
import { PageDocument } from "./generated.js";
import { announce, find } from "./page.js";
import { showSessions } from "./sessions.js";
import { refreshOrder, showTickets } from "./tickets.js";

async function start() {
  const id = new URLSearchParams(location.search).get("event") ?? "demo-summit";
  const event = await ask(PageDocument, { event: id });
  if (!event) return announce("There is no such event.");
  document.title = event.name;
  find("#name").textContent = event.name;
  const refreshSessions = showSessions(id, event.sessions);
  await showTickets(id, event);
  find("#event").hidden = false;
  const refresh = async () => {
    await refreshOrder();
    await refreshSessions();
  };
  document.onvisibilitychange = () => document.visibilityState === "visible" && refresh(); // the device may have slept
}

find("#sign-in").hidden = Boolean(token());
find("#sign-out").hidden = !token();
find("#sign-out").onclick = signOut;
find<HTMLFormElement>("#sign-in").onsubmit = (submitted) => {
  submitted.preventDefault();
  signIn(find<HTMLTextAreaElement>("#token").value);
};
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  announce((event.reason as Error).message);
});
if (token()) start();
