"""What fakesnow lacks and target-snowflake needs: the user stage, `@~`, and loads from it.

Statements are read and rewritten as sqlglot's trees: a stage in a FROM becomes a table of its rows.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from fakesnow.fakes import FakeSnowflakeConnection
from fakesnow.transforms.file_format import lookup_file_format
from sqlglot import Expr, exp

ROOT = Path(tempfile.mkdtemp(prefix="user-stage-"))
_STAGE = "@~/"
_ROW, _ORDER = "STAGED_ROW", "STAGED_ORDER"


def folder(path: str) -> Path:
    """Return where the files of a path of the stage are."""
    path = path.strip("'")
    found = (ROOT / path.removeprefix(_STAGE)).resolve()
    if not path.startswith(_STAGE) or ROOT not in found.parents:
        msg = f"no path of a user stage: {path}"
        raise ValueError(msg)
    return found


def upload(statement: exp.Put) -> dict[str, Any]:
    """Return the answer to PUT: the connector itself copies the file."""
    target = folder(statement.args["target"].name)
    target.mkdir(parents=True, exist_ok=True)
    return {
        "stageInfo": {"locationType": "LOCAL_FS", "location": f"{target}/", "creds": {}},
        "src_locations": [statement.this.name.removeprefix("file://")],
        "parallel": 4,
        "autoCompress": True,
        "sourceCompression": "auto_detect",
        "overwrite": False,
        "command": "UPLOAD",
    }


def remove(statement: exp.Command) -> list[list[str]]:
    """Remove the files of a path, and return the rows of REMOVE's answer."""
    place = folder(statement.expression.name)
    files = sorted(each.name for each in place.glob("*"))
    shutil.rmtree(place, ignore_errors=True)
    return [[name, "removed"] for name in files]


def drop_file_format(connection: FakeSnowflakeConnection, statement: exp.Drop) -> None:
    """Forget a file format."""
    table = statement.find(exp.Table)
    connection._duck_conn.execute(
        "DELETE FROM _fs_global._fs_information_schema._fs_file_formats"
        " WHERE database_name = ? AND schema_name = ? AND name = ?",
        [_stored(table.args["catalog"]), _stored(table.args["db"]), _stored(table.this)],
    )


def source(statement: Expr) -> exp.Table | None:
    """Return the stage that a statement reads from, if it does."""
    found = (each for each in statement.find_all(exp.Table) if each.this.name.startswith(_STAGE))
    return next(found, None)


@contextlib.contextmanager
def readable(connection: FakeSnowflakeConnection, statement: Expr) -> Iterator[Expr]:
    """Give a statement that reads tables in the place of the stage, and drop them at the end.

    Args:
        connection: The session.
        statement: A MERGE or a COPY from the user stage.

    Yields:
        A MERGE, or an INSERT in the place of the COPY.
    """
    stage = source(statement)
    # Snowflake refuses a format that is not there.
    lookup_file_format(connection._duck_conn, _format(statement, stage), None, None)
    target = statement.this.find(exp.Table)
    staged, selected = (_beside(target, name) for name in ("STAGED", "SELECTED"))
    try:
        _create_staged(connection, staged, folder(stage.this.name))
        query = stage.parent_select
        stage.replace(staged.copy())
        _name_columns(query)
        # fakesnow's MERGE cannot bind a JSON path of a source that is no table.
        _run(connection, f"CREATE TABLE {_sql(selected)} AS {_sql(query)}")
        if isinstance(statement, exp.Copy):
            columns = ", ".join(_sql(each) for each in statement.this.expressions)
            insert = f"INSERT INTO {_sql(target)} ({columns}) SELECT * FROM {_sql(selected)}"  # noqa: S608 - a test's own names
            yield exp.maybe_parse(insert, dialect="snowflake")
        else:
            alias = statement.args["using"].args["alias"]
            statement.set("using", exp.alias_(selected.copy(), alias.this, table=True))
            yield statement
    finally:
        for table in (staged, selected):
            _run(connection, f"DROP TABLE IF EXISTS {_sql(table)}")


def _format(statement: Expr, stage: exp.Table) -> str:
    if isinstance(statement, exp.Copy):
        return next(each for each in statement.find_all(exp.Property)).args["value"].name
    return _sql(stage.args["format"])


def _name_columns(query: exp.Select) -> None:
    """Name what Snowflake calls `$1`, and the order of the lines, which it calls SEQ8()."""
    for each in [*query.find_all(exp.Parameter)]:
        each.replace(exp.column(_ROW))
    for each in [*query.find_all(exp.Seq8)]:
        each.replace(exp.column(_ORDER))


def _create_staged(connection: FakeSnowflakeConnection, table: exp.Table, place: Path) -> None:
    files = [str(each) for each in sorted(place.glob("*"))]
    source = f"read_json_objects({files}, format = 'newline_delimited')"
    connection._duck_conn.execute(
        f"CREATE TABLE {table.sql('duckdb')} AS"  # noqa: S608 - names of our own
        f" SELECT json AS {_ROW}, row_number() OVER () AS {_ORDER} FROM {source}"
    )


def _beside(table: exp.Table, name: str) -> exp.Table:
    """Return a table of a new name in the schema of another, with the names as they are stored."""
    parts = (_stored(table.args["db"]), _stored(table.args["catalog"]))
    return exp.table_(f"{name}_{uuid4().hex.upper()}", *parts, quoted=True)


def _stored(identifier: exp.Identifier) -> str:
    return identifier.name if identifier.quoted else identifier.name.upper()


def _sql(part: Expr) -> str:
    return part.sql("snowflake")


def _run(connection: FakeSnowflakeConnection, sql: str) -> None:
    connection.cursor().execute(sql)
