/**
 * Scroll a table's head and body sideways together. They are two scroll containers, because a head inside the body's
 * could not be sticky to the page.
 *
 * @param {HTMLElement} frame Gets `data-before` and `data-after` while there is more on that side.
 * @param {HTMLElement} head
 * @param {HTMLElement} body
 */
export function scrollTogether(frame, head, body) {
  function mark() {
    const at = Math.abs(body.scrollLeft); // negative where the page is written from right to left
    frame.toggleAttribute("data-before", at > 1);
    frame.toggleAttribute("data-after", at < body.scrollWidth - body.clientWidth - 1);
  }

  /** @param {HTMLElement} from @param {HTMLElement} to */
  const follow = (from, to) => from.addEventListener("scroll", () => {
    if (to.scrollLeft !== from.scrollLeft) to.scrollLeft = from.scrollLeft;
    mark();
  }, { passive: true });

  follow(head, body);
  follow(body, head);
  new ResizeObserver(mark).observe(body);
}
