"""What a bank, a shop and an old ERP drop on the SFTP server: the same at every start."""

import gzip
import io
import random
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta

import openpyxl

LONG_AGO = 1_767_225_600
"""2026-01-01 in UTC: when the files were last changed."""

FILES = [
    {
        "name": "bookings",
        "path": "bank/bookings_*.txt",
        "format": "fixed_width",
        "encoding": "latin-1",
        "line_pattern": "^B",
        "columns": [
            {"name": "account", "start": 2, "width": 10},
            {"name": "booked_on", "start": 12, "width": 8, "type": "date %Y%m%d"},
            {"name": "amount", "start": 20, "width": 12, "type": "number", "decimals": 2},
            {"name": "payee", "start": 32, "width": 20},
        ],
    },
    {
        "name": "statements",
        "path": "bank/camt_*.xml",
        "format": "xml",
        "record": "Document/BkToCstmrStmt/Stmt/Ntry",
        "primary_keys": ["reference"],
        "columns": [
            {"name": "reference", "path": "NtryRef"},
            {"name": "iban", "path": "../Acct/Id/IBAN"},
            {"name": "amount", "path": "Amt", "type": "number"},
            {"name": "currency", "path": "Amt/@Ccy"},
            {"name": "booked_on", "path": "BookgDt/Dt", "type": "date"},
        ],
    },
    {
        "name": "orders",
        "path": "shop/orders_*.csv*",
        "format": "csv",
        "delimiter": ";",
        "decimal": ",",
        "primary_keys": ["order"],
        "columns": [
            {"name": "placed_at", "type": "datetime"},
            {"name": "total", "type": "number"},
            {"name": "paid", "type": "boolean"},
        ],
    },
    {
        "name": "stock",
        "path": "erp/*/stock_*.xlsx",
        "format": "xlsx",
        "sheet": "Stock",
        "header_row": 2,
        "columns": [
            {"name": "Counted", "type": "date"},
            {"name": "Pieces", "type": "integer"},
            {"name": "Price", "type": "number"},
        ],
    },
]
"""The tap's setting that reads them."""

_PAYEES = ("Müller & Söhne", "Café Zoé", "Smith Ltd", "Ångström AB")


def bookings(rows: int, seed: int = 1) -> bytes:
    """Return account bookings as a bank's mainframe writes them."""
    chance = random.Random(seed)  # noqa: S311
    lines = ["H2026010100001"]
    for _ in range(rows):
        day = date(2025, 1, 1) + timedelta(days=chance.randrange(365))
        amount = chance.randrange(-(10**7), 10**7)
        account = chance.randrange(10**9)
        lines.append(f"B{account:010}{day:%Y%m%d}{amount:012}{chance.choice(_PAYEES):<20}")
    lines.append(f"T{rows:010}")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def statement(rows: int, first: int = 1) -> bytes:
    """Return a statement in the manner of ISO 20022's camt.053."""
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>'
        "<Acct><Id><IBAN>DE02120300000000202051</IBAN></Id></Acct>\n"
    )
    entries = (
        f'<Ntry><NtryRef>R{number}</NtryRef><Amt Ccy="EUR">{number}.10</Amt>'
        "<BookgDt><Dt>2026-01-02</Dt></BookgDt></Ntry>\n"
        for number in range(first, first + rows)
    )
    return "".join([head, *entries, "</Stmt></BkToCstmrStmt></Document>"]).encode()


def orders(rows: int, first: int = 1) -> bytes:
    """Return orders as a shop exports them."""
    lines = ["order;placed_at;customer;total;paid"]
    for number in range(first, first + rows):
        customer = f'"Kunde ""{number}"";\nzu Händen"'
        lines.append(f"{number};2026-01-02T10:00:00+01:00;{customer};1.234,5{number % 10};yes")
    return "\n".join(lines).encode()


def stock(rows: int) -> bytes:
    """Return a stock list as a spreadsheet."""
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    sheet = book.create_sheet("Stock")
    sheet.append(["Stock list, all shops"])
    sheet.append(["Article", "Counted", "Pieces", "Price"])
    for number in range(1, rows + 1):
        sheet.append([f"A{number}", date(2026, 1, 2), number, number / 4])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def drops() -> Iterator[tuple[str, bytes]]:
    """Yield the path and the content of each file."""
    yield "bank/bookings_1.txt", bookings(20)
    yield "bank/bookings_2.txt", bookings(10, seed=2)
    yield "bank/camt_1.xml", statement(15)
    yield "shop/orders_1.csv", orders(5)
    yield "shop/orders_2.csv.gz", gzip.compress(orders(5, first=6), mtime=0)
    yield "shop/orders_3.csv.zip", zipped(north=orders(3, first=11), south=orders(2, first=14))
    yield "erp/north/stock_1.xlsx", stock(8)
    yield "erp/south/stock_1.xlsx", stock(4)
