"""Whether a port is free. `deploy/local/install` runs this file before anything is installed."""

import errno
import socket
import sys

_OTHERS = 100


def port_problem(host: str, port: int) -> str | None:
    """Return why a server cannot listen on a port, and which port to use; `None` if it can."""
    if not 0 < port < 2**16:
        return f"port {port} does not exist; choose another: PORT=8081"
    error = _error(host, port)
    if error is None:
        return None
    if error.errno != errno.EADDRINUSE:
        return f"port {port} of {host} cannot be used: {error}; choose another: PORT=8081"
    others = range(port + 1, min(port + 1 + _OTHERS, 2**16))
    free = next((each for each in others if _error(host, each) is None), None)
    hint = f"PORT={free}" if free else "PORT=..."
    return f"port {port} is in use by another program; choose another: {hint}"


def _error(host: str, port: int) -> OSError | None:
    """Return the error of a server that would listen on a port."""
    with socket.socket() as server, socket.socket() as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, port))
        except OSError as error:
            return error
        # macOS lets a server take a port of one address while another has that of all addresses.
        client.settimeout(1)
        is_taken = client.connect_ex((host, port)) == 0
        return OSError(errno.EADDRINUSE, "in use") if is_taken else None


if __name__ == "__main__":
    given = sys.argv[1]
    if not given.isdecimal():
        sys.exit(f"make up: PORT must be a number such as 8081, not {given!r}")
    if problem := port_problem("127.0.0.1", int(given)):
        sys.exit(f"make up: {problem}")
