/**
 * Show a dialog above the page. The person leaves it with Escape, with the system's "back" gesture, or with a click
 * outside it that began outside it too: a selection of text that ends there does not count.
 *
 * @param {HTMLDialogElement} dialog
 * @param {() => void} onLeave The person wants to leave. The dialog stays until it is closed.
 * @returns {(fallback?: string) => void} Closes it. The focus returns to where it was or, if that is gone, to the
 *   element that this selector finds.
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
    event.preventDefault(); // otherwise some browsers close it on the second time in any case
    onLeave();
  });
  dialog.addEventListener("cancel", (event) => {
    if (event.target !== dialog) return;
    event.preventDefault();
    onLeave();
  });
  (document.querySelector("main") ?? document.body).append(dialog); // it goes with the view that it belongs to
  dialog.showModal();

  return function close(fallback) {
    dialog.close();
    dialog.remove();
    if (fallback === undefined) return;
    const target = opener instanceof HTMLElement && opener !== document.body && opener.isConnected
      ? opener
      : document.querySelector(fallback);
    if (target instanceof HTMLElement) target.focus();
  };
}

/** @param {HTMLElement} dialog @param {MouseEvent} event */
function isOutside(dialog, { target, clientX: x, clientY: y }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return target === dialog && (x < left || x > right || y < top || y > bottom);
}
