"""The HTTP side: routes, their callers, refused requests, the error body, and the server."""
