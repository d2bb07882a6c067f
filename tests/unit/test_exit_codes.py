"""Exit codes that users and other programs see."""

import signal

import pytest

from dag_factory.exit_codes import ExitCode, from_returncode, signal_name, to_returncode


def test_the_documented_numbers_stay():
    numbers = {each.name: each.value for each in ExitCode}
    assert numbers == {"UNAVAILABLE": 69, "OS_ERROR": 71, "LOCKED": 75, "CONFIG_ERROR": 78}


@pytest.mark.parametrize(
    ("returncode", "exit_code"),
    [(0, 0), (1, 1), (-signal.SIGKILL, 137), (-signal.SIGTERM, 143), (255, 255)],
)
def test_a_signal_is_128_plus_its_number(returncode, exit_code):
    assert from_returncode(returncode) == exit_code
    assert to_returncode(exit_code) == returncode


def test_a_signal_without_a_name_has_its_number():
    assert signal_name(signal.SIGKILL) == "SIGKILL"
    assert signal_name(40) == "signal 40"
