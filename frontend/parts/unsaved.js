import { confirm } from "./confirm.js";

const QUESTION = {
  title: "Discard your changes?",
  text: "What you changed in this record isn't saved yet.",
  yes: "Discard changes",
  no: "Keep editing",
};

/**
 * Ask once before unsaved changes are lost.
 *
 * @param {() => boolean} isUnsaved
 * @returns {(act: () => void) => Promise<void>} Does it at once, or after the person has agreed.
 */
export function createQuestion(isUnsaved) {
  let isAsking = false;

  return async function ifDiscarded(act) {
    if (isAsking) return;
    isAsking = true;
    const agreed = !isUnsaved() || await confirm(QUESTION);
    isAsking = false;
    if (agreed) act();
  };
}

/**
 * The browser asks before the page is left with unsaved changes. In browsers with the Navigation API, `leave` is called
 * instead of going back or forward to another path of this app.
 *
 * @param {() => boolean} isUnsaved
 * @param {() => void} leave
 * @returns {() => void} Stops it.
 */
export function watchLeaving(isUnsaved, leave) {
  /** @type {any} */
  const navigation = /** @type {any} */ (globalThis).navigation;

  /** @param {BeforeUnloadEvent} event */
  function onUnload(event) {
    if (!isUnsaved()) return;
    event.preventDefault();
    event.returnValue = ""; // for browsers before 2023
  }

  /** @param {any} event */
  function onNavigate(event) {
    if (event.navigationType !== "traverse" || !event.cancelable || !isUnsaved()) return;
    event.preventDefault();
    leave();
  }

  addEventListener("beforeunload", onUnload);
  navigation?.addEventListener("navigate", onNavigate);
  return () => {
    removeEventListener("beforeunload", onUnload);
    navigation?.removeEventListener("navigate", onNavigate);
  };
}
