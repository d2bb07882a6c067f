"""Whether a port is free. `deploy/local/install` runs this file before anything is installed."""

import socket
import sys

_OTHERS = 100


def port_problem(host: str, port: int) -> str | None:
    """Return why a server cannot listen on a port, and which port to use; `None` if it can."""
    if not 0 < port < 2**16:
        return f"port {port} does not exist; choose another: PORT=8081"
    if _is_free(host, port):
        return None
    others = range(port + 1, min(port + 1 + _OTHERS, 2**16))
    free = next((each for each in others if _is_free(host, each)), None)
    hint = f"PORT={free}" if free else "PORT=..."
    return f"port {port} is in use by another program; choose another: {hint}"


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as server, socket.socket() as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, port))
        except OSError:
            return False
        # macOS lets a server take a port of one address while another has that of all addresses.
        client.settimeout(1)
        return client.connect_ex((host, port)) != 0


if __name__ == "__main__":
    given = sys.argv[1]
    if not given.isdecimal():
        sys.exit(f"make up: PORT must be a number such as 8081, not {given!r}")
    if problem := port_problem("127.0.0.1", int(given)):
        sys.exit(f"make up: {problem}")
