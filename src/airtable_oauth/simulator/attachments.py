"""Files in cells: how the Web API describes them, and the routes that serve them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_MOST_UPLOADS = 20
_LIFE_SECONDS = 2 * 3600
_COLOURS = ("#d97b4a", "#3f8f86", "#7a6bb5", "#b5893f", "#4f7fb0", "#a3566b")


@dataclass(frozen=True)
class Attachment:
    """A file in a cell."""

    id: str
    filename: str
    type: str
    data: bytes | None = None
    """The uploaded bytes, or None for a sample file."""

    @property
    def content(self) -> bytes:
        """The uploaded bytes. A sample file is a generated picture or a line of text."""
        if self.data is not None:
            return self.data
        if self.type == "image/svg+xml":
            return _picture(self.filename).encode()
        return f"{self.filename}: a sample.\n".encode()


@dataclass(frozen=True)
class Attachments:
    """Serves files at URLs that expire after two hours, as Airtable's do."""

    clock: Callable[[], float]
    url: str | None = None
    """The address that browsers use for this server; by default the origin of the request."""
    _uploaded: dict[str, Attachment] = field(default_factory=dict)
    """The 20 most recent uploads, by id. Older ones are dropped."""

    def routes(self) -> list[Route]:
        """The routes for a Starlette app."""
        return [Route("/attachments/{until:int}/{id}/{filename:path}", self._file)]

    def add(self, attachment: Attachment) -> None:
        """Start to serve an uploaded file."""
        self._uploaded[attachment.id] = attachment
        if len(self._uploaded) > _MOST_UPLOADS:
            del self._uploaded[next(iter(self._uploaded))]

    def described(self, attachment: Attachment, request: Request) -> dict[str, Any]:
        """The attachment as the Web API shows it in a cell."""
        until = int(self.clock()) + _LIFE_SECONDS
        base = self.url or str(request.base_url).removesuffix("/")
        name = quote(attachment.filename, safe="")
        place = f"{base}/attachments/{until}/{attachment.id}/{name}"
        shown = {
            "id": attachment.id,
            "url": place,
            "filename": attachment.filename,
            "size": len(attachment.content),
            "type": attachment.type,
        }
        if attachment.type.startswith("image/"):
            sizes = (("small", 36), ("large", 512), ("full", 3000))
            shown |= {"width": 600, "height": 400}
            shown["thumbnails"] = {
                name: {"url": place, "width": size * 3 // 2, "height": size} for name, size in sizes
            }
        return shown

    async def _file(self, request: Request) -> Response:
        parameters = request.path_params
        if parameters["until"] <= self.clock():
            return Response("This URL has expired.", 410)
        if parameters["id"] in self._uploaded:
            uploaded = self._uploaded[parameters["id"]]
            # Served as a download, so that a browser does not run an uploaded page.
            return Response(uploaded.content, media_type="application/octet-stream")
        kind = "image/svg+xml" if parameters["filename"].endswith(".svg") else "text/plain"
        attachment = Attachment(parameters["id"], parameters["filename"], kind)
        return Response(attachment.content, media_type=kind)


def _picture(seed: str) -> str:
    numbers = hashlib.sha256(seed.encode()).digest()
    ground, sun, hill = (_COLOURS[(numbers[0] + step) % len(_COLOURS)] for step in (0, 1, 3))
    x, y, radius = 120 + numbers[1], 90 + numbers[2] // 3, 50 + numbers[3] // 4
    top = 190 + numbers[4] // 3
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="400" viewBox="0 0 600 400">'
        f'<rect width="600" height="400" fill="{ground}"/>'
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{sun}"/>'
        f'<path d="M0 400V{top}C150 {top - 70} 300 {top + 80} 600 {top - 40}V400Z" fill="{hill}"/>'
        "</svg>"
    )
