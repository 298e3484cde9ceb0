import { h } from "../dom.js";

/** Ends the connection, and says so only when it is done. */
export function disconnectButton({ oauth, navigate }, label) {
  async function disconnect() {
    button.disabled = true;
    try {
      await oauth.disconnect();
      navigate("/", { state: { disconnected: true } });
    } catch {
      button.disabled = false;
      message.textContent = "That did not work, and you are still connected. Try again in a moment.";
    }
  }

  const button = h("button", { type: "button", onclick: disconnect }, label);
  const message = h("p", { class: "soft", role: "alert" });
  return h("div", { class: "stack" }, button, message);
}
