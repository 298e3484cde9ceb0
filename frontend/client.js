import { config } from "./config.js";

const options = { ...config, timeout: 15_000 };

/** The module's object for `config.tokens`. `airtable-oauth-tokens.js` is loaded only if the tokens are in the browser. */
export async function createClient() {
  if (config.tokens === "browser") {
    return (await import("./airtable-oauth-tokens.js")).createAirtableOAuthWithTokens(options);
  }
  return (await import("./airtable-oauth.js")).createAirtableOAuth(options);
}
