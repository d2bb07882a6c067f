"""Fills a new Tryton database with a small shop, through Tryton's own client library.

It runs in the environment of the server, not in that of the tests; tryton_source.py starts it:
python tryton_seed.py CONFIG DATABASE
"""

import gc
import random
import sys
from datetime import date
from decimal import Decimal
from unittest.mock import patch

import proteus
from proteus import Model
from trytond.cli import admin
from trytond.model import ModelStorage

PARTIES = 6
PRODUCTS = 4
SALES = 3
TODAY = date(2026, 3, 2)
# What the README of tap-tryton asks for: read, and nothing else.
READABLE = [
    "account.invoice",
    "account.invoice.line",
    "party.address",
    "party.party",
    "product.list_price",
    "product.product",
    "product.template",
    "sale.line",
    "sale.sale",
]


def create_database(config: str, database: str) -> None:
    """Do what the command trytond-admin does; its password comes from the environment."""
    what = ["--update", "sale", "--activate-dependencies", "--email", "a@example.com"]
    sys.argv = ["trytond-admin", "--config", config, "--database", database, *what]
    # Half the time would go to checking data that come with the modules, as released.
    with patch.object(ModelStorage, "_validate", classmethod(lambda *_, **__: None)):
        admin.main()


def set_up_accounting() -> None:
    """Make the company, its chart of accounts and a fiscal year."""
    from trytond.modules.account.tests import tools as account  # noqa: PLC0415
    from trytond.modules.account_invoice.tests import tools as invoice  # noqa: PLC0415
    from trytond.modules.company.tests import tools as company  # noqa: PLC0415

    company.create_company(currency="EUR")
    account.create_chart()
    year = account.create_fiscalyear(today=(date(2026, 1, 1), date(2026, 12, 31)))
    invoice.set_fiscalyear_invoice_sequences(year).click("create_period")
    tax = account.create_tax(Decimal("0.19"))
    tax.save()
    accounts = account.get_accounts()
    goods = Model.get("product.category")(name="Goods", accounting=True)
    goods.account_expense = accounts["expense"]
    goods.account_revenue = accounts["revenue"]
    goods.customer_taxes.append(tax)
    goods.save()


def create_parties(chance: random.Random) -> list[Model]:
    """Make customers with an address each; the last of them is inactive."""
    germany = Model.get("country.country")(name="Germany", code="DE")
    germany.save()
    parties = []
    for number in range(PARTIES):
        party = Model.get("party.party")(name=f"Customer {number} GmbH & Söhne")
        (address,) = party.addresses
        address.street = f"Hauptstraße {chance.randint(1, 99)}"
        address.postal_code, address.city = f"{chance.randint(10000, 99999)}", "Köln"
        address.country = germany
        party.save()
        parties.append(party)
    parties[-1].active = False
    parties[-1].save()
    return parties[:-1]


def create_products(chance: random.Random) -> list[Model]:
    """Make goods and services with a price."""
    (unit,) = Model.get("product.uom").find([("name", "=", "Unit")])
    (category,) = Model.get("product.category").find([("accounting", "=", True)])
    products = []
    for number in range(PRODUCTS):
        template = Model.get("product.template")(name=f"Product {number}", code=f"P{number}")
        template.default_uom = unit
        template.type = "goods" if number % 2 else "service"
        template.salable = True
        template.list_price = Decimal(chance.randint(100, 99999)) / 100
        template.account_category = category
        template.save()
        products.extend(template.products)
    return products


def create_sales(chance: random.Random, parties: list[Model], products: list[Model]) -> None:
    """Make drafts, quotations and sales; Tryton makes invoices of these, and the last is posted."""
    for number in range(SALES):
        sale = Model.get("sale.sale")(party=chance.choice(parties), sale_date=TODAY)
        sale.invoice_method = "order"
        for product in chance.sample(products, chance.randint(1, 3)):
            line = sale.lines.new()
            line.product = product
            line.quantity = float(chance.randint(1, 9))
        sale.save()
        for step in ["quote", "confirm"][: number % 3]:
            sale.click(step)
    sale.reload()
    (invoice,) = sale.invoices
    invoice.invoice_date = TODAY
    invoice.click("post")


def create_users() -> dict[str, str]:
    """Make who reads, and who may read nothing; return a key for each and for the administrator."""
    group = Model.get("res.group")(name="Data team")
    group.save()
    for name in READABLE:
        access = Model.get("ir.model.access")(model=name, group=group, perm_read=True)
        access.perm_write = access.perm_create = access.perm_delete = False
        access.save()
    users = {"admin": Model.get("res.user").find([("login", "=", "admin")])[0]}
    for login, groups in (("data", [group]), ("nobody", [])):
        user = Model.get("res.user")(login=login, name=login)
        user.groups.extend(groups)
        user.companies.extend(Model.get("company.company").find())
        user.company = user.companies[0]
        user.save()
        users[login] = user
    keys = {}
    for login, user in users.items():
        application = Model.get("res.user.application")(user=user, application="rest")
        application.save()
        keys[login] = application.key
    return keys


def main(file: str, database: str) -> None:
    """Create and fill a database, and print the keys of its users."""
    gc.disable()
    create_database(file, database)
    proteus.config.set_trytond(database=database, config_file=file)
    set_up_accounting()
    chance = random.Random(7)  # noqa: S311 - the same shop every time
    create_sales(chance, create_parties(chance), create_products(chance))
    for login, key in create_users().items():
        print(login, key)


if __name__ == "__main__":
    main(*sys.argv[1:])
