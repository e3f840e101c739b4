// The time that is left, by the server's clock. The visitor's own may be hours off, and is not asked.

import { announce } from "./page.js";

const SECOND = 1000;
const LAST_CALL_SECONDS = 60;
const running = new Map<HTMLElement, number>();

/**
 * Count down on an element, and say when it is over.
 *
 * Both instants are the server's, and `asOf` was now when the answer was made; from then on a clock counts that nobody
 * can set.
 */
export function countDown(element: HTMLElement, expiresAt: string, asOf: string, over: () => void) {
  stop(element);
  const end = performance.now() + Date.parse(expiresAt) - Date.parse(asOf);
  let before = Infinity;
  const tick = () => {
    const left = Math.max(0, Math.floor((end - performance.now()) / SECOND));
    element.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (before > LAST_CALL_SECONDS && left <= LAST_CALL_SECONDS) announce(`${left} seconds left.`);
    before = left;
    if (left > 0) return;
    stop(element);
    setTimeout(over, SECOND); // the last second was rounded away
  };
  running.set(element, setInterval(tick, SECOND / 4));
  tick();
}

export function stop(element: HTMLElement) {
  clearInterval(running.get(element));
  running.delete(element);
}
