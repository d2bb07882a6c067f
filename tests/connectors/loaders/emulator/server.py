"""fakesnow's server with a user stage: enough of Snowflake for target-snowflake.

    python server.py PORT

It listens on 127.0.0.1, and keeps files in TMPDIR. `POST /fail-next` with a regular expression lets
the next statement that matches fail, as one that a person has cancelled does.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from typing import Any
from uuid import uuid4

import fakesnow.server as fakesnow
import snowflake.connector.errors
import user_stage
import uvicorn
from fakesnow.dialect import parse_one
from sqlglot import Expr, exp
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

QUERY = "/queries/v1/query-request"
# Of COPY's answer, as https://docs.snowflake.com/en/sql-reference/sql/copy-into-table has it.
COPIED = ("file", "status", "rows_parsed", "rows_loaded", "error_limit", "errors_seen")
to_fail: list[re.Pattern[str]] = []


async def fail_next(request: Request) -> Response:
    """Remember which statement is to fail."""
    to_fail.append(re.compile((await request.body()).decode(), re.IGNORECASE | re.DOTALL))
    return Response()


async def query(request: Request) -> Response:
    """Answer one statement, and every error as Snowflake would: with 200."""
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    asked = json.loads(body)
    if to_fail and to_fail[0].search(asked["sqlText"]):
        del to_fail[0]
        return refused("SQL execution canceled", "000604", "57014")
    try:
        answer = await answered(request, asked, parse_one(asked["sqlText"]))
    except snowflake.connector.errors.ProgrammingError as error:
        return refused(str(error.msg))
    except Exception as error:  # noqa: BLE001 - the connector would send it again for ten minutes
        return refused(f"emulator: {error!r}")
    if answer.status_code >= 500:
        return refused(json.loads(answer.body)["message"])
    return answer


async def answered(request: Request, asked: dict[str, Any], statement: Expr) -> Response:
    """Answer what concerns the user stage, and leave the rest to fakesnow."""
    connection = fakesnow.to_conn(fakesnow.to_token(request))
    match statement:
        case exp.Put():
            return JSONResponse({"success": True, "data": user_stage.upload(statement)})
        case exp.Command() if statement.name.upper() == "REMOVE":
            return rows(("name", "result"), user_stage.remove(statement))
        case exp.Drop() if statement.args["kind"] == "FILE FORMAT":
            user_stage.drop_file_format(connection, statement)
            return rows(("status",), [["dropped"]])
        case exp.Merge() | exp.Copy() if user_stage.source(statement):
            return await loaded(request, asked, statement)
    return await fakesnow.query_request(request_with(request, asked))


async def loaded(request: Request, asked: dict[str, Any], statement: Expr) -> Response:
    """Answer a load from the stage."""
    connection = fakesnow.to_conn(fakesnow.to_token(request))
    copy, name = isinstance(statement, exp.Copy), user_stage.source(statement).this.name
    table = statement.this.find(exp.Table)
    if connection.schema is None:  # fakesnow's MERGE needs one.
        namespace = f"use schema {table.args['catalog'].sql()}.{table.args['db'].sql('snowflake')}"
        await run_in_threadpool(connection.cursor().execute, namespace)
    with user_stage.readable(connection, statement) as readable:
        sql = readable.sql("snowflake")
        answer = await fakesnow.query_request(request_with(request, {**asked, "sqlText": sql}))
    if copy and answer.status_code == 200 and json.loads(answer.body)["success"]:
        count = json.loads(answer.body)["data"]["rowset"][0][0]
        return rows(COPIED, [[name, "LOADED", count, count, "1", "0"]])
    return answer


def request_with(request: Request, asked: dict[str, Any]) -> Request:
    """Return a request with another body."""
    scope = dict(request.scope)
    scope["headers"] = [each for each in scope["headers"] if each[0] != b"content-encoding"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(asked).encode(), "more_body": False}

    return Request(scope, receive)


def rows(names: tuple[str, ...], values: list[list[str]]) -> Response:
    """Return an answer of texts and numbers."""
    numbers = {"rows_parsed", "rows_loaded", "error_limit", "errors_seen"}
    types = [
        {
            "name": name,
            "type": "fixed" if name in numbers else "text",
            "nullable": True,
            "length": 1000,
            "byteLength": 4000,
            "precision": 38 if name in numbers else None,
            "scale": 0 if name in numbers else None,
        }
        for name in names
    ]
    data = {
        "parameters": [],
        "rowtype": types,
        "rowset": values,
        "total": len(values),
        "returned": len(values),
        "queryId": str(uuid4()),
        "queryResultFormat": "json",
    }
    return JSONResponse({"success": True, "data": data})


def refused(message: str, code: str = "002003", state: str = "42000") -> Response:
    """Return the answer to a statement that failed."""
    data = {"errorCode": code, "sqlState": state}
    return JSONResponse({"success": False, "code": code, "message": message, "data": data})


own = [
    Route(QUERY, query, methods=["POST"]),
    Route("/fail-next", fail_next, methods=["POST"]),
]
app = Starlette(routes=[*own, *(each for each in fakesnow.routes if each.path != QUERY)])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
