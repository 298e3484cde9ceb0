// Where this page finds the service and Airtable's Web API.
export const config = {
  apiUrl: "http://localhost:3000",
  airtableApiUrl: "https://api.airtable.com",
  tokens: "browser",
};
