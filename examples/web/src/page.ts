// What all parts of the page need of it.

import type { PlacesFragment } from "./generated.js";

/** An element that the page or a template has. */
export function find<Kind extends HTMLElement = HTMLElement>(selector: string, within: ParentNode = document): Kind {
  const found = within.querySelector<Kind>(selector);
  if (!found) throw new Error(`The page has no ${selector}`);
  return found;
}

/** A copy of what is in a template. */
export const copy = (template: string) =>
  find<HTMLTemplateElement>(template).content.firstElementChild!.cloneNode(true) as HTMLElement;

/** Whether the numbers are of now. */
export const live = (text: string) => void (find("#live").textContent = text);

/** Whether something is being tried again. */
export const busy = (isBusy: boolean) => void (find("#busy").hidden = !isBusy);

/** Say something to everybody, also to who does not see the page. */
export const announce = (text: string) => void (find("#said").textContent = text);

/** Whatever is not of this state is hidden: an element names its states in `data-when`. */
export function showState(place: HTMLElement, state: string) {
  place.dataset.state = state;
  for (const each of place.querySelectorAll<HTMLElement>("[data-when]"))
    each.hidden = !each.dataset.when!.split(" ").includes(state);
}

/** Do something when a button is pressed, one press at a time; what goes wrong is said. */
export function onPress(button: HTMLButtonElement, work: () => Promise<void>) {
  button.onclick = async () => {
    button.disabled = true;
    announce("");
    await work().catch((error: Error) => announce(error.message));
    button.disabled = false;
  };
}

/** The numbers of a pool, in words and as a bar. */
export function showPlaces(place: HTMLElement, { quota, held, confirmed, available }: PlacesFragment, words: string) {
  place.classList.toggle("gone", available !== null && available <= 0);
  place.classList.toggle("few", available !== null && available > 0 && available * 10 <= quota!);
  find(".words", place).textContent = words;
  const bar = find(".bar", place);
  bar.hidden = !quota;
  bar.style.setProperty("--sold", String(confirmed / (quota || 1)));
  bar.style.setProperty("--held-part", String(held / (quota || 1)));
}
