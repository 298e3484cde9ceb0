// For the pages behind nginx.conf: the service is on the same origin, below /api. frontend/config.js explains
// the fields. With tokens: "browser", allow Airtable's Web API in the connect-src of nginx.conf.
export const config = {
  apiUrl: "/api",
  tokens: "server",
};
