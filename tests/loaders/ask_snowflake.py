"""Runs the statements of standard input, one a line and in JSON, through Snowflake's connector.

It stands in a process of its own because the connector is a package of the loader, not of the tests.
"""

import json
import os
import sys

import snowflake.connector


def connect():
    account = json.loads(os.environ["SNOWFLAKE_ACCOUNT_JSON"])
    if key := account.pop("private_key", None):
        account["private_key"] = key  # The connector takes base64 of DER, as the loader does.
    return snowflake.connector.connect(**account)


connection = connect()
for line in sys.stdin:
    try:
        rows = connection.cursor().execute(json.loads(line)).fetchall()
        answer = {"rows": rows}
    except snowflake.connector.errors.Error as error:
        answer = {"error": str(error)}
    print(json.dumps(answer, default=str), flush=True)
