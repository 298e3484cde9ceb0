"""Checks which paths of Airtable's Web API may be requested. Pure: it performs no I/O."""

import re
import unicodedata

from airtable_oauth.errors import InvalidPath
from airtable_oauth.urls import decode_nested

_MAX_PATH_CHARACTERS = 8 * 1024
_UPLOAD_SEGMENTS = 5
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd]")
"""Control characters, line separators, and replacements for bytes that are not UTF-8."""


def require_plain_path(path: str) -> None:
    """Check that a path stays below `v0/`, however a server decodes it.

    The path is percent-encoded and has no leading slash. Table names may contain any text, even
    invisible characters, which emoji and right-to-left text need.

    Raises:
        InvalidPath: The path is longer than 8 KiB or not below `v0/`, or one of its segments is
            empty, contains control characters, or could lead out of `v0/`.
    """
    if len(path) > _MAX_PATH_CHARACTERS:
        raise InvalidPath("The path is longer than 8 KiB.")
    first, *segments = path.split("/")
    if first != "v0" or not segments or not path.isascii():
        raise InvalidPath
    if not all(_is_plain(segment) for segment in segments):
        raise InvalidPath


def refuse_dot_segments(url: str) -> None:
    """Check a URL as it was written. httpx resolves `.` and `..` before it sends a request.

    Raises:
        InvalidPath: A segment of the path is `.` or `..`.
    """
    path = re.split("[?#]", url, maxsplit=1)[0]
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise InvalidPath


def is_upload_path(path: str) -> bool:
    """Whether a path is `v0/{baseId}/{recordId}/{attachmentFieldIdOrName}/uploadAttachment`."""
    parts = path.split("/")
    return len(parts) == _UPLOAD_SEGMENTS and parts[-1] == "uploadAttachment"


def _is_plain(segment: str) -> bool:
    decoded = decode_nested(segment)
    if not decoded:
        return False
    plain = unicodedata.normalize("NFKC", decoded)
    if _REFUSED.search(plain):
        return False
    return not any(_is_dot_segment(part) for part in re.split(r"[/\\;]", plain))


def _is_dot_segment(part: str) -> bool:
    """Whether a server that ignores white space and invisible characters would see `.` or `..`."""
    return "." in part and "".join(filter(_is_visible, part)) in (".", "..")


def _is_visible(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) != "Cf"
