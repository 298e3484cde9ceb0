/**
 * Show a dialog above the page. The person leaves it with Escape, with the system's "back" gesture, or with a click
 * outside it that began outside it too: a selection of text that ends there does not count.
 *
 * @param {HTMLDialogElement} dialog
 * @param {() => void} onLeave The person wants to leave. The dialog stays until it is closed.
 * @returns {(...fallbacks: string[]) => void} Closes it. The focus returns to where it was. If that is gone, it
 *   goes to the first element that one of the selectors `fallbacks`, tried in order, finds.
 */
export function showModal(dialog, onLeave) {
  const opener = document.activeElement;
  let beganOutside = false;

  dialog.addEventListener("pointerdown", (event) => {
    beganOutside = isOutside(dialog, event);
  });
  dialog.addEventListener("click", (event) => {
    if (beganOutside && isOutside(dialog, event)) onLeave();
    beganOutside = false;
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
    event.preventDefault(); // otherwise some browsers close it at the second Escape in any case
    onLeave();
  });
  dialog.addEventListener("cancel", (event) => {
    if (event.target !== dialog) return;
    event.preventDefault();
    onLeave();
  });
  (document.querySelector("main") ?? document.body).append(dialog); // it goes with the view that it belongs to
  dialog.showModal();

  return function close(...fallbacks) {
    dialog.close(); // it returns the focus to an element that is still there
    dialog.remove();
    if (opener !== document.body && opener?.isConnected) return;
    const target = fallbacks.map((selector) => document.querySelector(selector)).find((found) => found !== null);
    if (target instanceof HTMLElement) target.focus();
  };
}

/** @param {HTMLElement} dialog @param {MouseEvent} event */
function isOutside(dialog, { target, clientX: x, clientY: y }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return target === dialog && (x < left || x > right || y < top || y > bottom);
}
