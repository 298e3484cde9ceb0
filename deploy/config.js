// For the pages behind nginx.conf: the service is on the same origin, below /api.
export const config = {
  apiUrl: "/api",
  tokens: "server",
};
