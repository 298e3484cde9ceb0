"""The HTTP side: who asks, what is refused, one error body, and the server."""
