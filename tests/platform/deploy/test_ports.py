"""Which port is free, and which one to take instead."""

import socket
from contextlib import ExitStack

import pytest
from local_platform.ports import port_problem

HOST = "127.0.0.1"


def test_the_next_free_port_is_named():
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server((HOST, 0))).getsockname()[1]
        taken = {first}
        while (port := first + len(taken)) < 2**16 and len(taken) < 3:
            try:
                stack.enter_context(socket.create_server((HOST, port)))
            except OSError:
                break
            taken.add(port)
        problem = port_problem(HOST, first)
        assert problem.startswith(f"port {first} is in use by another program; choose another: ")
        assert int(problem.rpartition("=")[2]) > max(taken)


def test_a_server_on_all_addresses_has_the_port_too():
    with socket.create_server(("", 0)) as server:
        assert "is in use" in port_problem(HOST, server.getsockname()[1])


def test_an_address_of_another_machine_cannot_be_used():
    assert port_problem("192.0.2.1", 8080).startswith("port 8080 of 192.0.2.1 cannot be used: ")


@pytest.mark.parametrize("port", [0, 99999, -1])
def test_what_is_no_port_is_one_clear_line(port):
    assert port_problem(HOST, port) == f"port {port} does not exist; choose another: PORT=8081"
