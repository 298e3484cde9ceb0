"""Three sample bases of a small company. Every simulator starts with the same data and ids."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airtable_oauth.simulator.attachments import Attachment

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_COLOURS = ("gray", "blue", "yellow", "green", "purple", "orange")
_FIRST_DAY = date(2026, 1, 5)
_PEOPLE = {
    name: f"{name.split()[0].lower()}@example.com"
    for name in ("Mina Okafor", "Jonas Lind", "Priya Raman", "Tomás Vega")
}


def identifier(prefix: str, *path: object) -> str:
    """An id in Airtable's format, a prefix and fourteen characters, derived from `path`."""
    number = int.from_bytes(hashlib.sha256(repr(path).encode()).digest())
    return prefix + "".join(_ALPHABET[number // 62**place % 62] for place in range(14))


@dataclass(frozen=True)
class Field:
    """A field of a table."""

    id: str
    name: str
    type: str
    options: dict[str, Any] | None = None

    def schema(self) -> dict[str, Any]:
        """The description that the Web API returns."""
        described = {"id": self.id, "name": self.name, "type": self.type}
        return described if self.options is None else described | {"options": self.options}


@dataclass
class Record:
    """A record. `cells` holds the non-empty cells by field name."""

    id: str
    created_time: str
    cells: dict[str, Any]


@dataclass
class Table:
    """A table. Its first field is the primary field."""

    id: str
    name: str
    fields: Sequence[Field]
    records: list[Record] = field(default_factory=list)

    def schema(self) -> dict[str, Any]:
        """The description that the Web API returns."""
        return {
            "id": self.id,
            "name": self.name,
            "primaryFieldId": self.fields[0].id,
            "fields": [column.schema() for column in self.fields],
            "views": [{"id": identifier("viw", self.id), "name": "Grid view", "type": "grid"}],
        }


@dataclass
class Base:
    """A base."""

    id: str
    name: str
    tables: Sequence[Table]


def sample_bases() -> list[Base]:
    """Fresh copies of the three bases."""
    return [_product_launch(), _content_calendar(), _inventory()]


def _product_launch() -> Base:
    base = "Product launch"
    milestones = _table(
        base,
        "Milestones",
        {
            "Name": "singleLineText",
            "Due": "date",
            "Progress": "percent",
            "Confidence": "rating",
            "Reached": "checkbox",
        },
        [
            ("Private beta", _day(18), 1, 5, True),
            ("Pricing page live", _day(40), 0.8, 4, None),
            ("Public launch", _day(63), 0.35, 3, None),
            ("First 100 customers", _day(110), 0.04, 2, None),
        ],
    )
    tasks = _table(
        base,
        "Tasks",
        {
            "Task": "singleLineText",
            "Status": _choices("To do", "In progress", "In review", "Done"),
            "Owner": "singleCollaborator",
            "Due": "date",
            "Estimate (h)": "number",
            "Blocked": "checkbox",
            "Milestone": _link(milestones),
            "Notes": "multilineText",
        },
        [
            ("Write the launch announcement", "In progress", 0, 44, 6, None, 2, "Two versions."),
            ("Record the product tour", "To do", 1, 49, 12, None, 2, None),
            ("Load-test the sign-up flow", "In review", 2, 38, 8, None, 2, "Goal: 200 a minute."),
            ("Agree on list prices", "Done", 3, 24, 3, None, 1, None),
            ("Translate the pricing page", "In progress", 0, 36, 5, True, 1, "Waits for prices."),
            ("Invite the beta group", "Done", 1, 12, 2, None, 0, None),
            ("Collect beta feedback", "Done", 2, 17, 10, None, 0, "Summary in the shared folder."),
            ("Set up the status page", "To do", 3, 55, 4, None, 2, None),
        ],
        lambda row: (*row[:2], _person(row[2]), _day(row[3]), *row[4:6], [row[6]], row[7]),
        links={"Milestone": milestones},
    )
    return Base(identifier("app", base), base, [tasks, milestones])


def _content_calendar() -> Base:
    base = "Content calendar"
    authors = _table(
        base,
        "Authors",
        {"Name": "singleLineText", "Email": "email", "Phone": "phoneNumber", "Site": "url"},
        [
            (name, email, f"+1 555 010{number}", f"https://example.com/{name.split()[0].lower()}")
            for number, (name, email) in enumerate(_PEOPLE.items())
        ],
    )
    articles = _table(
        base,
        "Articles",
        {
            "Headline": "singleLineText",
            "Stage": _choices("Idea", "Draft", "Editing", "Scheduled", "Published"),
            "Topics": _choices("How-to", "News", "Customers", "Engineering", many=True),
            "Author": _link(authors),
            "Publish at": "dateTime",
            "Words": "number",
            "Files": "multipleAttachments",
            "Summary": "multilineText",
        },
        [
            ("Five habits of calm on-call teams", "Published", ("How-to", "Engineering"), 2, 9),
            ("What we learned from 40 interviews", "Scheduled", ("Customers",), 0, 30),
            ("A field guide to webhooks", "Editing", ("How-to", "Engineering"), 3, 37),
            ("Now in Portuguese", "Published", ("News",), 1, 14),
            ("How Northwind plans its seasons", "Draft", ("Customers",), 0, 51),
            ("Why we moved our clocks to UTC", "Idea", ("Engineering",), 2, None),
        ],
        lambda row: (
            *row[:2],
            list(row[2]),
            [row[3]],
            None if row[4] is None else f"{_day(row[4])}T09:00:00.000Z",
            len(row[0]) * 31,
            _files(base, row[0], "cover.svg", "outline.txt") if row[1] != "Idea" else None,
            f"{row[0]}: the outline, the sources and the picture ideas.",
        ),
        links={"Author": authors},
    )
    return Base(identifier("app", base), base, [articles, authors])


def _inventory() -> Base:
    base = "Inventory and orders"
    products = _table(
        base,
        "Products",
        {
            "Product": "singleLineText",
            "SKU": "singleLineText",
            "Price": {"type": "currency", "options": {"precision": 2, "symbol": "€"}},
            "In stock": "number",
            "Rating": {"type": "rating", "options": {"icon": "star", "max": 5}},
            "Discontinued": "checkbox",
            "Photos": "multipleAttachments",
        },
        [
            ("Desk lamp, brass", "LMP-014", 79.0, 42, 5, None),
            ("Desk lamp, black", "LMP-015", 69.0, 8, 4, None),
            ("Walnut pen tray", "TRY-003", 34.5, 120, 5, None),
            ("Linen notebook A5", "NTB-021", 14.9, 310, 4, None),
            ("Felt laptop sleeve 14″", "SLV-140", 49.0, 0, 3, True),
            ("Monitor shelf, oak", "SHF-007", 119.0, 17, 4, None),
        ],
        lambda row: (*row, _files(base, row[1], f"{row[1].lower()}.svg")),
    )
    orders = _table(
        base,
        "Orders",
        {
            "Order": "singleLineText",
            "Customer": "singleLineText",
            "Product": _link(products),
            "Quantity": "number",
            "Total": {
                "type": "formula",
                "options": {
                    "isValid": True,
                    "result": {"type": "currency", "options": {"precision": 2, "symbol": "€"}},
                },
            },
            "Status": _choices("New", "Paid", "Shipped", "Returned"),
            "Ordered": "date",
        },
        [
            (
                f"#{1000 + number}",
                ("Northwind", "Fabrikam", "Contoso", "Tailspin", "Adventure Works")[number % 5],
                [number % 6],
                1 + number * 7 % 9,
                (1 + number * 7 % 9) * products.records[number % 6].cells["Price"],
                ("Shipped", "Paid", "Shipped", "New", "Shipped", "Returned")[number % 6],
                _day(number // 2),
            )
            for number in range(140)
        ],
        links={"Product": products},
    )
    return Base(identifier("app", base), base, [products, orders])


def _table(
    base: str,
    name: str,
    columns: dict[str, Any],
    rows: Sequence[tuple[Any, ...]],
    cells: Any = lambda row: row,
    links: dict[str, Table] | None = None,
) -> Table:
    """Build a table from its rows. A link cell holds positions in the linked table."""
    fields = [
        Field(
            identifier("fld", base, name, title),
            title,
            kind if isinstance(kind, str) else kind["type"],
            None if isinstance(kind, str) else kind["options"],
        )
        for title, kind in columns.items()
    ]
    table = Table(identifier("tbl", base, name), name, fields)
    for number, row in enumerate(rows):
        values = dict(zip(columns, cells(row), strict=True))
        for title, target in (links or {}).items():
            values[title] = [target.records[position].id for position in values[title]]
        created = datetime.combine(_FIRST_DAY, datetime.min.time(), UTC) + timedelta(hours=number)
        table.records.append(
            Record(
                identifier("rec", base, name, number),
                created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                {title: value for title, value in values.items() if value is not None},
            )
        )
    return table


def _files(base: str, of: str, *names: str) -> list[Attachment]:
    kinds = {"svg": "image/svg+xml", "txt": "text/plain"}
    return [
        Attachment(identifier("att", base, of, name), name, kinds[name.rpartition(".")[2]])
        for name in names
    ]


def _choices(*names: str, many: bool = False) -> dict[str, Any]:
    choices = [
        {"id": identifier("sel", name), "name": name, "color": f"{colour}Light2"}
        for name, colour in zip(names, itertools.cycle(_COLOURS), strict=False)
    ]
    return {"type": "multipleSelects" if many else "singleSelect", "options": {"choices": choices}}


def _link(table: Table) -> dict[str, Any]:
    return {"type": "multipleRecordLinks", "options": {"linkedTableId": table.id}}


def _person(number: int) -> dict[str, str]:
    name, email = list(_PEOPLE.items())[number]
    return {"id": identifier("usr", name), "email": email, "name": name}


def _day(number: int) -> str:
    return (_FIRST_DAY + timedelta(days=number)).isoformat()
