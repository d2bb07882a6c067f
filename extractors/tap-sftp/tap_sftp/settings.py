"""The tap's settings, as a schema."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_sftp.entries import FORMAT_OPTIONS
from tap_sftp.values import TYPE_PATTERN

SECRET_SETTINGS = ("password", "private_key", "private_key_passphrase")

_COLUMN = th.ObjectType(
    th.Property(
        "name", th.StringType(min_length=1), required=True, description="Name of the column"
    ),
    th.Property(
        "type",
        th.StringType(pattern=TYPE_PATTERN),
        description="string, integer, number, boolean, date or datetime; date and datetime may be "
        "followed by a format, as in `date %d.%m.%Y`. For xml also strings",
    ),
    th.Property(
        "start", th.IntegerType(minimum=1), description="fixed_width: first character, from 1"
    ),
    th.Property(
        "width", th.IntegerType(minimum=1), description="fixed_width: number of characters"
    ),
    th.Property(
        "decimals",
        th.IntegerType(minimum=0),
        description="Number of last digits that are decimals, if numbers have no decimal point",
    ),
    th.Property(
        "path",
        th.StringType(min_length=1),
        description="xml: path relative to the record, as in Amt, Amt/@Ccy or ../Acct/Id",
    ),
    additional_properties=False,
)

_ENTRY = th.ObjectType(
    th.Property(
        "name", th.StringType(min_length=1), required=True, description="Name of the stream"
    ),
    th.Property(
        "path",
        th.StringType(min_length=1),
        required=True,
        description="Path of the files, which may contain *, ? and [...]; relative to the login "
        "folder unless it begins with /",
    ),
    th.Property(
        "format",
        th.StringType(allowed_values=[*FORMAT_OPTIONS]),
        required=True,
        description="csv, fixed_width, xlsx or xml; the files may be packed with gzip or zip",
    ),
    th.Property(
        "columns",
        th.ArrayType(_COLUMN),
        description="fixed_width and xml: all columns; csv and xlsx: the columns that are not text",
    ),
    th.Property(
        "primary_keys",
        th.ArrayType(th.StringType),
        description="Columns that identify a row; by default, its file and its number in the file",
    ),
    th.Property("encoding", th.StringType, description="Encoding of text files; utf-8 if not set"),
    th.Property(
        "delimiter",
        th.StringType(min_length=1, max_length=1),
        description="csv: separator of columns; a comma if not set",
    ),
    th.Property(
        "decimal",
        th.StringType(allowed_values=[".", ","]),
        description="Decimal separator of numbers; a point if not set",
    ),
    th.Property(
        "header_row",
        th.IntegerType(minimum=0),
        description="csv and xlsx: number of the row with the names of the columns, 1 if not set; "
        "0 if there is none, and columns names them all",
    ),
    th.Property(
        "line_pattern",
        th.StringType,
        description="fixed_width: a regular expression; only lines that contain a match are rows",
    ),
    th.Property(
        "sheet", th.StringType, description="xlsx: name of the sheet; the first if not set"
    ),
    th.Property(
        "record",
        th.StringType,
        description="xml: path from the root to the elements that are rows, such as Document/Ntry",
    ),
    additional_properties=False,
)

SETTINGS = th.PropertiesList(
    th.Property(
        "host",
        th.StringType(min_length=1),
        required=True,
        title="Host",
        description="Host name or address of the server",
    ),
    th.Property(
        "port",
        th.IntegerType(minimum=1, maximum=65535),
        default=22,
        title="Port",
        description="Port of the server",
    ),
    th.Property(
        "username",
        th.StringType(min_length=1),
        required=True,
        title="User name",
        description="User to log in as; permission to read is enough",
    ),
    th.Property(
        "password",
        th.StringType,
        secret=True,
        title="Password",
        description="Password of that user, instead of or in addition to a private key",
    ),
    th.Property(
        "private_key",
        th.StringType,
        secret=True,
        title="Private key",
        description="Private key of that user, as the text of an OpenSSH key file",
    ),
    th.Property(
        "private_key_passphrase",
        th.StringType,
        secret=True,
        title="Passphrase",
        description="Passphrase of the private key, if it is encrypted",
    ),
    th.Property(
        "host_key",
        th.StringType,
        title="Host key",
        description="The server's public key, such as ssh-ed25519 AAAAC3...; while it changes, "
        "several keys, one per line",
    ),
    th.Property(
        "known_hosts",
        th.StringType,
        title="Known hosts",
        description="Path of a known_hosts file, if host_key is not set; ~/.ssh/known_hosts by "
        "default",
    ),
    th.Property(
        "files",
        th.ArrayType(_ENTRY),
        required=True,
        title="Files",
        description="Which files are read, and how; each entry is a stream",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="Files last changed before this time are not read; all are read if not set",
    ),
    th.Property(
        "settle_seconds",
        th.IntegerType(minimum=0),
        default=60,
        title="Settle seconds",
        description="Files changed less than this many seconds ago may be incomplete and are left "
        "for the next sync",
    ),
).to_dict()
