"""Runs the statements of standard input, one a line and in JSON, through Snowflake's connector.

It is a process of its own because the connector is a package of the loader, not of the tests.
"""

import json
import os
import sys

import snowflake.connector

connection = snowflake.connector.connect(**json.loads(os.environ["SNOWFLAKE_ACCOUNT_JSON"]))
for line in sys.stdin:
    try:
        rows = connection.cursor().execute(json.loads(line)).fetchall()
        answer = {"rows": rows}
    except snowflake.connector.errors.Error as error:
        answer = {"error": str(error)}
    print(json.dumps(answer, default=str), flush=True)
