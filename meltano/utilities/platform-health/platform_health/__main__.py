"""Run the commands with `python -m platform_health`."""

from platform_health.cli import main

main()
