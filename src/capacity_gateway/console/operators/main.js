// Which page is shown: the part of the address behind the #.

import { offered, signIn, signOut, token, who } from "./api.js";
import { board } from "./board.js";
import { check } from "./check.js";
import { action, h, labelled } from "./dom.js";
import { watchNothing } from "./live.js";
import { poolPage } from "./pool.js";

const main = document.getElementById("main");
const nav = document.querySelector("nav");
let shown = 0; // what came later is not overwritten by what was asked for earlier

function loginPage() {
  const field = h("textarea", { rows: 4, required: true, autocomplete: "off" });
  const enter = (text) => {
    signIn(text);
    show();
  };
  const form = h(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        enter(field.value);
      },
    },
    labelled("Your token", field, "It stays in this tab, and is gone when you close it."),
    h("button", { className: "primary" }, "Sign in"),
  );
  return h(
    "div",
    { className: "narrow" },
    h("h1", {}, "Capacity"),
    h("p", {}, "How many places there are, who has them, and where they went. Sign in with the token of your account."),
    form,
    Object.keys(offered).length > 0 &&
      h(
        "section",
        {},
        h("h2", {}, "Or try it with a demo login"),
        h(
          "p",
          { className: "buttons" },
          Object.entries(offered).map(([role, text]) =>
            h("button", { type: "button", className: "plain", onclick: () => enter(text) }, role),
          ),
        ),
      ),
  );
}

function header() {
  const { sub, role } = who();
  nav.hidden = !token();
  const at = location.hash.startsWith("#/check") ? "#/check" : "#/";
  for (const each of nav.children) {
    if (each.getAttribute("href") === at) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  document
    .getElementById("who")
    .replaceChildren(
      ...(token()
        ? [h("span", {}, `${sub ?? "?"}${role ? ` · ${role}` : ""}`), action("Sign out", signOut, "plain")]
        : []),
    );
}

function route() {
  const [, first, ...rest] = location.hash.split("/").map(decodeURIComponent);
  if (first === "check") return check();
  if (first === "pool") return poolPage(...rest);
  return board();
}

async function show() {
  const turn = (shown += 1);
  watchNothing();
  header();
  let content;
  try {
    content = token() ? await route() : loginPage();
  } catch (error) {
    content = h("div", { className: "narrow" }, h("h1", {}, "That did not work"), h("p", {}, error.message));
  }
  if (turn !== shown) return;
  main.replaceChildren(content);
  document.title = `${main.querySelector("h1").textContent} · Capacity`;
}

document.querySelector(".skip").onclick = (event) => {
  event.preventDefault(); // the part of the address behind the # is the page's
  main.focus();
};
addEventListener("hashchange", async () => {
  await show();
  main.focus();
  scrollTo(0, 0);
});
addEventListener("signedout", show);
show();
