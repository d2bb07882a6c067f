"""How tap-sftp reads each format, and what it says of what it cannot read."""

from __future__ import annotations

import datetime
import gzip
import io
import re
import tracemalloc
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from tap_sftp import packing
from tap_sftp.entries import OWN_COLUMNS, Entry
from tap_sftp.errors import TapSftpError
from tap_sftp.formats import lines, xml
from tap_sftp.reading import Reader, header

from tests.connectors.servers.sftp_files import zipped

NOON = datetime.datetime(2026, 1, 31, 12)  # noqa: DTZ001 - as spreadsheets have it
XML_BOMB = b"""<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]><a><b>&y;</b></a>"""


def read(content: bytes, **entry: Any) -> list[dict]:
    """Return the records of a file, less the tap's own columns."""
    return [
        {name: value for name, value in record.items() if name not in OWN_COLUMNS}
        for record in records(content, **entry)
    ]


def records(content: bytes, **config: Any) -> Iterator[dict]:
    entry = Entry.from_config({"name": "drops", "path": "*", **config})
    names = [*entry.types]
    if entry.has_header:
        names = [*dict.fromkeys([*header(io.BytesIO(content), "f", entry), *names])]
    return Reader(entry, names).records(io.BytesIO(content), "f")


def refusal(content: bytes, **entry: Any) -> str:
    """Return what the tap says of a file that it cannot read."""
    with pytest.raises(TapSftpError) as error:
        list(records(content, **entry))
    assert "\n" not in str(error.value)
    said = str(error.value).removesuffix(
        "; correct the file and send it again, or change the entry drops in files"
    )
    assert said != str(error.value)
    return said


def column(kind: str, **options: Any) -> dict[str, Any]:
    return {"name": "v", "type": kind, **options}


def workbook(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


# Values


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "007", "007"),
        ("integer", "-007", -7),
        ("integer", "12-", -12),
        ("integer", "5.00", 5),
        ("number", "+1.50", "1.50"),
        ("number", "12345678901234567890.12", "12345678901234567890.12"),
        ("boolean", "Yes", True),
        ("boolean", "0", False),
        ("date", "2026-01-31", "2026-01-31"),
        ("date %d.%m.%Y", "31.01.2026", "2026-01-31"),
        ("date", "2026-01-31T10:00:00", "2026-01-31"),
        ("datetime", "2026-01-31T10:00:00", "2026-01-31T10:00:00+00:00"),
        ("datetime", "2026-01-31T10:00:00-05:00", "2026-01-31T10:00:00-05:00"),
        ("datetime %d/%m/%y %H:%M", "31/01/26 10:05", "2026-01-31T10:05:00+00:00"),
        ("number", "", None),
    ],
)
def test_text_becomes_a_value(kind, text, value):
    (row,) = read(f"k,v\nx,{text}\n".encode(), format="csv", columns=[column(kind)])
    assert (str(row["v"]) if kind == "number" and value else row["v"]) == value


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("integer", "1.5", "is not a whole number"),
        ("integer", "x", "is not a number"),
        ("number", "1,5", "is not a number"),
        ("number", "NaN", "is not a number"),
        ("number", "-5-", "is not a number"),
        ("number", "1e5", "is not a number"),
        ("boolean", "maybe", "is neither true nor false"),
        ("date", "31.01.2026", "is not a date like 2026-01-31"),
        ("date %d.%m.%Y", "30.02.2026", "is not a date like %d.%m.%Y"),
        ("datetime", "yesterday", "is not a time like 2026-01-31T12:00:00Z"),
    ],
)
def test_text_of_another_kind_is_refused_and_not_repeated(kind, text, said):
    content = f'k,v\nx,\nx,"{text}"\n'.encode()
    assert refusal(content, format="csv", columns=[column(kind)]) == f"f:3: column v {said}"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.234,5", "1234.5"), ("1234,50", "1234.50"), ("1.234", "1234"), (",5", "0.5"), ("7", "7")],
)
def test_a_comma_separates_decimals_if_the_settings_say_so(text, value):
    options = {"format": "csv", "delimiter": ";", "decimal": ",", "columns": [column("number")]}
    (row,) = read(f"v\n{text}\n".encode(), **options)
    assert str(row["v"]) == value
    assert refusal(b"v\n1.5\n", **options) == "f:2: column v is not a number"


def test_a_key_must_not_be_empty():
    said = refusal(b"k,v\n1,\n,x\n", format="csv", primary_keys=["k"])
    assert said == "f:3: column k is empty, but it is one of primary_keys"


# CSV


def test_csv_with_quotes_and_line_ends_in_values():
    rows = list(records(b'\xef\xbb\xbfa,b\r\n"1\n2","say ""x"""\r\n\r\n3,4\r\n', format="csv"))
    assert [(row["_row"], row["a"], row["b"]) for row in rows] == [
        (2, "1\n2", 'say "x"'),
        (5, "3", "4"),
    ]


def test_csv_below_other_lines_and_with_a_delimiter_at_the_end_of_lines():
    content = b"Export of 2026\n\na|b|\n1|2|\n|||\n"
    rows = read(content, format="csv", delimiter="|", header_row=3)
    assert rows == [{"a": "1", "b": "2"}]


def test_csv_without_a_header():
    options = {"format": "csv", "header_row": 0, "columns": [{"name": "a"}, column("integer")]}
    assert read(b"x,1\ny,2\n", **options) == [{"a": "x", "v": 1}, {"a": "y", "v": 2}]
    assert refusal(b"x,1\ny\n", **options) == "f:2: has 1 columns, but the header has 2"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n1\n", "f:3: has 1 columns, but the header has 2"),
        (b"a,b\n1,2,3\n", "f:2: has 3 columns, but the header has 2"),
        (b'a,b\n1,"2\n3,4\n', "f:2: is not valid CSV: unexpected end of data"),
        (b'a,b\n1,"2"x\n', "f:2: is not valid CSV: ',' expected after '\"'"),
        (b"a,a\n1,2\n", "f:1: has several columns named a; rename them"),
        (b"a,,b\n1,2,3\n", "f:1: has a column without a name; set header_row or columns"),
        (
            b"a,_row\n1,2\n",
            "f:1: has a column _row, a name that is reserved for a column of the tap",
        ),
        (b"a\nx\n\xe9\n", "f:3: is not utf-8; set encoding to the file's, such as cp1252"),
    ],
)
def test_csv_that_is_refused(content, said):
    assert refusal(content, format="csv") == said


def test_a_wrong_byte_is_found_far_down_the_file():
    content = b"a\n" + b"x\n" * 50_000 + b"\xe9\n" + b"x\n" * 50_000
    assert refusal(content, format="csv").startswith("f:50002: is not utf-8;")


def test_a_header_that_is_not_there_is_refused():
    options = {"format": "csv", "header_row": 5}
    assert refusal(b"a\nb\n", **options) == "f has no row 5, which is set as header_row"


def test_a_file_without_a_key_is_refused():
    said = refusal(b"a\nx\n", format="csv", primary_keys=["id"])
    assert said == "f has no column id, which is one of primary_keys"


def test_utf_16_is_read():
    assert read(
        "a\té\n1\tü\n".encode("utf-16"), format="csv", encoding="utf-16", delimiter="\t"
    ) == [{"a": "1", "é": "ü"}]


def test_a_file_without_line_ends_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_LENGTH", 1000)
    said = refusal(b"a\n" + b"x" * 5000, format="csv")
    assert said == "f:2: is longer than 1000 characters; is it a text file?"


# Fixed width


FIXED = {
    "format": "fixed_width",
    "columns": [
        {"name": "id", "start": 1, "width": 3, "type": "integer"},
        {"name": "text", "start": 4, "width": 5},
        column("number", start=9, width=6, decimals=2),
    ],
}


def test_fixed_places_become_columns():
    content = b"001abc  001234\r\n\r\n002\r\n003ab\n\x1a"
    assert read(content, **FIXED) == [
        {"id": 1, "text": "abc", "v": Decimal("12.34")},
        {"id": 2, "text": None, "v": None},
        {"id": 3, "text": "ab", "v": None},
    ]


def test_a_line_that_ends_within_a_number_is_refused():
    said = refusal(b"001abc  001234\n002abc  0012\n", **FIXED)
    assert said == "f:2: the line ends within column v"


def test_only_lines_that_match_are_rows():
    content = b"H20260131\n001abc  001234\nT1\n"
    (row,) = records(content, **FIXED, line_pattern=r"^\d")
    assert (row["_row"], row["id"]) == (2, 1)


def test_places_are_counted_in_characters():
    content = "001ääöü 001234\n"
    for encoding in ("utf-8", "latin-1"):
        (row,) = read(content.encode(encoding), **FIXED, encoding=encoding)
        assert (row["text"], str(row["v"])) == ("ääöü", "12.34")


# XLSX


def test_cells_become_values():
    content = workbook(
        ["n", "s", "d", "t", "b"],
        [1.5, "x", datetime.date(2026, 1, 31), NOON, True],
        [None, None, None, None, None],
        [2, 7, "2026-02-01", None, False],
    )
    kinds = {"n": "number", "d": "date", "t": "datetime", "b": "boolean"}
    columns = [{"name": name, "type": kind} for name, kind in kinds.items()]
    rows = list(records(content, format="xlsx", columns=columns))
    assert [[str(row[name]) for name in "nsdtb"] for row in rows] == [
        ["1.5", "x", "2026-01-31", "2026-01-31T12:00:00+00:00", "True"],
        ["2", "7", "2026-02-01", "None", "False"],
    ]
    assert [row["_row"] for row in rows] == [2, 4]


def test_cells_beyond_the_header_are_refused():
    said = refusal(workbook(["a"], ["x"], ["x", "y"]), format="xlsx")
    assert said == "f:3: has 2 columns, but the header has 1"


def test_a_sheet_that_is_missing_is_refused_with_those_that_are_there():
    said = refusal(workbook(["a"]), format="xlsx", sheet="Stock")
    assert said == "f has no sheet Stock; it has Sheet"


@pytest.mark.parametrize("content", [b"no spreadsheet", zipped(a=b"x"), workbook(["a"])[:-500]])
def test_what_is_no_spreadsheet_is_refused(content):
    assert re.match(
        "f(/a)? is (not an XLSX spreadsheet|a damaged)", refusal(content, format="xlsx")
    )


def test_a_spreadsheet_with_entities_is_refused():
    content, bomb = io.BytesIO(workbook(["a"], ["x"])), io.BytesIO()
    with zipfile.ZipFile(content) as good, zipfile.ZipFile(bomb, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, XML_BOMB if "sheet1" in name else good.read(name))
    said = refusal(bomb.getvalue(), format="xlsx")
    assert said == "f is not an XLSX spreadsheet, or is damaged"


# XML

ITEM = {
    "format": "xml",
    "record": "orders/order/item",
    "columns": [
        {"name": "order", "path": "../@id"},
        {"name": "customer", "path": "../customer/name"},
        {"name": "article", "path": "@article"},
        {"name": "price", "path": "price", "type": "number"},
        {"name": "tags", "path": "tags/tag", "type": "strings"},
        {"name": "text", "path": "."},
    ],
}
ORDERS = b"""<?xml version="1.0"?>
<!DOCTYPE orders SYSTEM "http://127.0.0.1:9/orders.dtd">
<orders xmlns="urn:x"><note><item article="no"/></note>
<order id="1"><customer><name>Ann</name></customer>
<item article="A"><price>1.5</price><tags><tag>x</tag><tag>y</tag></tags></item>
<other><customer><name>No</name></customer></other>
<item article="B"><price>2</price></item></order>
<order id="2"><item article="C">red <b>one</b></item></order>
</orders>"""


def test_records_and_what_is_around_them_become_rows():
    rows = read(ORDERS, **ITEM)
    assert [[row["order"], row["customer"], row["article"], row["tags"]] for row in rows] == [
        ["1", "Ann", "A", ["x", "y"]],
        ["1", "Ann", "B", []],
        ["2", None, "C", []],
    ]
    assert [row["price"] and str(row["price"]) for row in rows] == ["1.5", "2", None]
    assert rows[2]["text"] == "red one"


def test_a_row_does_not_see_what_comes_after_it():
    options = {"format": "xml", "record": "r/i", "columns": [column("string", path="../day")]}
    document = b"<r><day>1</day><i/><day>2</day></r>"
    assert read(document, **options) == [{"v": "1"}]


def test_the_root_can_be_the_record():
    options = {"format": "xml", "record": "a", "columns": [column("string", path="b/c")]}
    assert read(b"<a><b><c>x</c></b></a>", **options) == [{"v": "x"}]


def test_no_record_stays_in_memory():
    options = {"format": "xml", "record": "r/i", "columns": [column("string", path=".")]}
    document = (
        b"<r><skip>" + b"<s><t>x</t></s>" * 20_000 + b"</skip>" + b"<i>x</i>" * 9_000 + b"</r>"
    )
    tracemalloc.start()
    try:
        rows = sum(1 for _ in records(document, **options))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 9_000
    assert most < 3 * 2**20


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (XML_BOMB, "f declares XML entities, which may be an attack and are not supported; ask"),
        (ORDERS[:-30], "f is not well-formed XML at line 8, after record 2"),
        (b"", "f is not well-formed XML at line 1, after record 0"),
        (
            ORDERS.replace(b"<price>2</price>", b"<price>2</price><price>3</price>"),
            "f:2: column price occurs 2 times; set its type to strings, or extend the path in",
        ),
        (b'<?xml version="1.0" encoding="nope"?><orders/>', "f has an encoding that the XML"),
    ],
)
def test_xml_that_is_refused(content, said):
    assert refusal(content, **ITEM).startswith(said)


def test_an_element_without_an_end_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(xml, "MAX_RECORD_SIZE", 2**20)
    content = b"<orders><order>" + b"x" * 2**22
    assert refusal(content, **ITEM) == "f has an element of over 1 MB; is record correct?"


# Archives


def test_all_members_of_an_archive_are_read():
    content = zipped(**{"in/a.csv": b"v\n1\n", "b.csv": b"v\n2\n"})
    rows = list(records(content, format="csv"))
    assert [(row["_file"], row["v"]) for row in rows] == [("f/in/a.csv", "1"), ("f/b.csv", "2")]


def test_a_bad_row_in_an_archive_is_told_with_its_member():
    assert refusal(zipped(a=b"v\n1,2\n"), format="csv").startswith("f/a:2: has 2 columns")


@pytest.mark.parametrize("cut", [12, 40, 200])
def test_an_archive_that_is_cut_short_is_refused(cut):
    rows = b"v\n" + b"".join(b"%d\n" % (n * n) for n in range(5000))
    for content in (gzip.compress(rows), zipped(a=rows)):
        assert "damaged or incomplete archive" in refusal(content[:-cut], format="csv")


def test_an_archive_that_is_a_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(packing, "MAX_UNPACKED_SIZE", 10_000)
    monkeypatch.setattr(packing, "MAX_SPREADSHEET_SIZE", 10_000)
    rows = b"v\n" + b"1\n" * 50_000
    for content in (gzip.compress(rows), zipped(a=rows)):
        assert "as a zip bomb does" in refusal(content, format="csv")
    sheet = workbook(["v"], *([n] for n in range(1000)))
    for content in (sheet, gzip.compress(sheet), zipped(a=sheet)):
        assert "as a zip bomb does" in refusal(content, format="xlsx")


def test_an_archive_with_a_password_is_refused():
    content = bytearray(zipped(a=b"v\n1\n"))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    assert refusal(bytes(content), format="csv") == (
        "f is an archive with a password, which is not supported"
    )
