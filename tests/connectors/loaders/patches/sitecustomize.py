"""What tests change in a loader, by variables: Python imports this when it starts.

LOADER_SNOWFLAKE_ENDPOINT: The connector goes there, and not to snowflakecomputing.com.
LOADER_CHECKPOINTS: What the SDK does every five minutes, it does after each STATE: it loads all
that it holds, and writes state.
"""

import importlib.abc
import importlib.util
import os
import sys
from urllib.parse import urlsplit


def endpoint(module):
    """Send the connector to another host: target-snowflake has no setting for it."""
    url, connection = urlsplit(os.environ["LOADER_SNOWFLAKE_ENDPOINT"]), module.SnowflakeConnection
    original = connection.__init__

    def connect(self, *args, **options):
        place = {"host": url.hostname, "port": url.port, "protocol": url.scheme}
        original(self, *args, **{**options, **place})

    connection.__init__ = connect


def checkpoints(module):
    """Let a target load and write state after each STATE."""
    original = module.Target._process_state_message

    def process(self, message):
        original(self, message)
        self.drain_all()

    module.Target._process_state_message = process


PATCHES = {
    "snowflake.connector.connection": ("LOADER_SNOWFLAKE_ENDPOINT", endpoint),
    "singer_sdk.target_base": ("LOADER_CHECKPOINTS", checkpoints),
}


class Finder(importlib.abc.MetaPathFinder):
    """Patches a module when it is imported."""

    def __init__(self, name, patch):
        self.name, self.patch = name, patch

    def find_spec(self, name, *_):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            self.patch(module)

        spec.loader.exec_module = exec_module
        return spec


for _name, (_variable, _patch) in PATCHES.items():
    if os.environ.get(_variable):
        sys.meta_path.insert(0, Finder(_name, _patch))
