"""The tap's settings, as a schema."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_sftp.entries import OF_FORMAT
from tap_sftp.values import TYPE_PATTERN

SECRETS = ("password", "private_key", "private_key_passphrase")

_COLUMN = th.ObjectType(
    th.Property("name", th.StringType(min_length=1), required=True, description="Its name"),
    th.Property(
        "type",
        th.StringType(pattern=TYPE_PATTERN),
        description="string, integer, number, boolean, date or datetime; a date's or a datetime's "
        "format may follow, as in `date %d.%m.%Y`. For xml also strings",
    ),
    th.Property("start", th.IntegerType(minimum=1), description="fixed_width: its first place"),
    th.Property("width", th.IntegerType(minimum=1), description="fixed_width: how wide it is"),
    th.Property(
        "decimals",
        th.IntegerType(minimum=0),
        description="How many last digits of a number are decimals, where no point marks them",
    ),
    th.Property(
        "path",
        th.StringType(min_length=1),
        description="xml: where it is from the record on, as in Amt, Amt/@Ccy or ../Acct/Id",
    ),
    additional_properties=False,
)

_ENTRY = th.ObjectType(
    th.Property("name", th.StringType(min_length=1), required=True, description="Of the stream"),
    th.Property(
        "path",
        th.StringType(min_length=1),
        required=True,
        description="Which files: a path with *, ? and [...], from the folder of the login on, or "
        "from / on",
    ),
    th.Property(
        "format",
        th.StringType(allowed_values=[*OF_FORMAT]),
        required=True,
        description="csv, fixed_width, xlsx or xml, each also packed with gzip or zip",
    ),
    th.Property(
        "columns",
        th.ArrayType(_COLUMN),
        description="All columns of fixed_width and xml; of csv and xlsx those that are not text",
    ),
    th.Property(
        "primary_keys",
        th.ArrayType(th.StringType),
        description="Columns that identify a row; if not set, its file and its number in it",
    ),
    th.Property("encoding", th.StringType, description="Of text; utf-8 if not set"),
    th.Property(
        "delimiter",
        th.StringType(min_length=1, max_length=1),
        description="csv: what separates columns; a comma if not set",
    ),
    th.Property(
        "decimal",
        th.StringType(allowed_values=[".", ","]),
        description="What separates the decimals of a number; a point if not set",
    ),
    th.Property(
        "header_row",
        th.IntegerType(minimum=0),
        description="csv and xlsx: the row with the names of the columns, 1 if not set; 0 if "
        "there is none, and columns tells them all",
    ),
    th.Property(
        "line_pattern",
        th.StringType,
        description="fixed_width: a regular expression; only lines in which it is found are rows",
    ),
    th.Property(
        "sheet", th.StringType, description="xlsx: name of the sheet; the first if not set"
    ),
    th.Property(
        "record",
        th.StringType,
        description="xml: path from the root to the elements that are rows, as in Document/Ntry",
    ),
    additional_properties=False,
)

SETTINGS = th.PropertiesList(
    th.Property(
        "host", th.StringType(min_length=1), required=True, title="Host", description="The server"
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
        description="Who logs in; the right to read is enough",
    ),
    th.Property(
        "password",
        th.StringType,
        secret=True,
        title="Password",
        description="Password of that user, alone or beside a private key",
    ),
    th.Property(
        "private_key",
        th.StringType,
        secret=True,
        title="Private key",
        description="Text of a private key of that user, as OpenSSH has it",
    ),
    th.Property(
        "private_key_passphrase",
        th.StringType,
        secret=True,
        title="Passphrase",
        description="What unlocks the private key, if it is locked",
    ),
    th.Property(
        "host_key",
        th.StringType,
        title="Host key",
        description="The server's public key, as in ssh-ed25519 AAAAC3...; several, a line each, "
        "while it changes",
    ),
    th.Property(
        "known_hosts",
        th.StringType,
        title="Known hosts",
        description="Path of a known_hosts file, if host_key is not set; ~/.ssh/known_hosts if "
        "neither is",
    ),
    th.Property(
        "files",
        th.ArrayType(_ENTRY),
        required=True,
        title="Files",
        description="Which files are read, and how: one stream an entry",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="Files last changed before are not read; all are, if not set",
    ),
    th.Property(
        "settle_seconds",
        th.IntegerType(minimum=0),
        default=60,
        title="Settle seconds",
        description="Files changed less than this ago may be half uploaded: the next sync reads "
        "them",
    ),
).to_dict()
