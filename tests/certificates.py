"""Self-signed certificates."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path


def self_signed_certificate(directory: Path) -> Path:
    """Create a file with a key and a self-signed certificate for 127.0.0.1 and localhost."""
    file = directory / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(file), "-out", f"{file}.crt"),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@contextmanager
def https_server(certificate: Path) -> Iterator[str]:
    """Serve TLS handshakes with this certificate, and nothing else. Yields the URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_shake_hands, args=(listener, context), daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # until the listener is shut down
        while True:
            client, _ = listener.accept()
            with closing(client), suppress(OSError):
                context.wrap_socket(client, server_side=True).close()
