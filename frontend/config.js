// The URL of the service, and where tokens are stored: on the server (sessions) or, with
// tokens: "browser", in this tab, which then calls Airtable's Web API at airtableApiUrl itself.
export const config = {
  apiUrl: "http://localhost:3000",
  tokens: "server",
  airtableApiUrl: "https://api.airtable.com",
};
