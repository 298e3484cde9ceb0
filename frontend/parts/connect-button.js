import { h } from "../dom.js";

/** A button that begins a login. If that fails, it leads to the failure page. */
export function connectButton({ oauth, navigate }, { label, returnTo }) {
  async function connect() {
    button.disabled = true;
    button.textContent = "Opening Airtable…";
    try {
      await oauth.connect({ returnTo });
    } catch (failure) {
      navigate("/login-failure", { state: { ...failure, from: returnTo } });
    }
  }

  const button = h("button", { class: "primary", type: "button", onclick: connect }, label);
  return button;
}
