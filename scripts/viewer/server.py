"""Where pages are served from: viser, of the extra `view`, and a port that is ours before anything is computed."""

import contextlib
import io
import socket
from types import ModuleType
from typing import Any

from genesis.errors import GenesisValueError, optional_import


def library() -> ModuleType:
    """viser.

    Raises:
        GenesisImportError: The extra `view` is not installed.
    """
    with optional_import("viser", "view", "to show anything in a browser"):
        import viser
    return viser


def check_port(host: str, port: int) -> None:
    """Raises GenesisValueError unless a server could listen there now. Port 0: any free one."""
    if not 0 <= port <= 65535:
        raise GenesisValueError(f"port must be from 0 (any free one) to 65535, got {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        raise GenesisValueError(
            f"host and port must be free to listen on, got {host}:{port} ({error}). Choose another --port, or --host."
        ) from error


def start(host: str, port: int, label: str) -> Any:
    """A `viser.ViserServer` that listens exactly there.

    Raises:
        GenesisImportError: The extra `view` is not installed.
        GenesisValueError: The port is taken.
    """
    viser = library()
    check_port(host, port)
    with contextlib.redirect_stdout(io.StringIO()):  # its banner
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    if port not in (0, server.get_port()):
        stop(server)
        raise GenesisValueError(f"port must be free, got {port}, which was taken meanwhile. Choose another --port.")
    server.gui.configure_theme(show_logo=False, show_share_button=False, brand_color=(40, 110, 150))
    return server


def stop(server: Any) -> None:
    """Lets go of the port."""
    with contextlib.redirect_stdout(io.StringIO()):
        server.stop()
