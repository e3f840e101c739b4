// Making and filling elements. Texts of others only ever become text.

/** An element with properties, listeners (`onclick`), attributes (`aria-…`, `data-…`, `for`) and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A label above a field, with a line of help below. */
export function labelled(text, field, help) {
  return h("label", { className: "field" }, h("span", {}, text), field, help && h("small", {}, help));
}

/** A button that shows that it is at work, and says below itself what has gone wrong. */
export function action(text, work, className = "") {
  const trouble = h("span", { className: "trouble", role: "alert" });
  const button = h("button", { type: "button", className }, text);
  button.onclick = async () => {
    trouble.textContent = "";
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      trouble.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  };
  return h("span", { className: "action" }, button, trouble);
}

/** A list that is read page by page; `read(after)` gives `{ rows, next }`, and `show(rows)` an element. */
export async function paged(place, read, show) {
  const turn = async (after, earlier) => {
    const { rows, next } = await read(after);
    const buttons = [
      earlier && action("First page", () => turn()),
      next && action("Next page", () => turn(next, true)),
    ].filter(Boolean);
    place.replaceChildren(show(rows), ...(buttons.length ? [h("p", { className: "pages" }, buttons)] : []));
  };
  await turn();
}

/** Ask before something is changed; `body` may have fields. True when the answer is yes. */
export function confirmed(question, body, yes) {
  const dialog = document.querySelector("dialog");
  return new Promise((answer) => {
    dialog.replaceChildren(
      h("h2", { id: "question" }, question),
      h("div", {}, body),
      h(
        "p",
        { className: "buttons" },
        h("button", { type: "button", className: "plain", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "button", className: "primary", onclick: () => dialog.close("yes") }, yes),
      ),
    );
    dialog.returnValue = "";
    dialog.onclose = () => answer(dialog.returnValue === "yes");
    dialog.showModal();
  });
}
