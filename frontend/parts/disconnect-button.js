import { h } from "../dom.js";

/** A button that ends the connection. It says so only after the service has confirmed it. */
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
