"""What reading its secrets costs a task when it starts, boto3's own start included.

Run by `make bench`, against moto's server on this machine. CPU time of a process of its own, the
least of some runs; it fails where docs/secrets.md promises less.
"""

import logging
import os
import subprocess
import sys

import boto3
from moto.server import ThreadedMotoServer

RUNS = 5
COUNTS = (0, 1, 20, 100)
PROMISED = 0.5
OF_A_BATCH = 20
READ = """
import resource
import sys
from dag_factory.planning.secret_names import SecretPlan, parse_secret_name
from dag_factory.secrets.values import read_secrets
assert "boto3" not in sys.modules
before = resource.getrusage(resource.RUSAGE_SELF)
names = map(parse_secret_name, sys.argv[1:])
read_secrets([SecretPlan((each,), of_plugin=True) for each in names])
after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
"""


def cost(names: list[str], environ: dict[str, str]) -> float:
    """Return the least CPU seconds of some processes that read secrets."""
    argv = [sys.executable, "-c", READ, *names]
    return min(float(subprocess.check_output(argv, env=environ)) for _ in range(RUNS))


def main() -> int:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "NO_PROXY": host,
        }
        names = [f"acme/dev/meltano/tap-{number}" for number in range(max(COUNTS))]
        client = boto3.client("secretsmanager")
        for name in names:
            client.create_secret(Name=name, SecretString='{"token": "a token"}')
        measured = {count: cost(names[:count], dict(os.environ)) for count in COUNTS}
    finally:
        server.stop()
    print("Secrets of a task: CPU seconds")
    for count, seconds in measured.items():
        print(f"{count:3} secrets {seconds:7.3f}")
    return int(measured[OF_A_BATCH] >= PROMISED)


if __name__ == "__main__":
    sys.exit(main())
