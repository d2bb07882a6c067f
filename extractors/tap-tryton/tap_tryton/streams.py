"""The streams: their models in Tryton and their columns.

Tryton docs: https://docs.tryton.org/latest/
"""

from __future__ import annotations

from singer_sdk import typing as th

from tap_tryton.client import Column, TrytonStream, schema_of

STRING = th.StringType
INTEGER = th.IntegerType
NUMBER = th.NumberType
BOOLEAN = th.BooleanType
DATE = th.DateType

COMPANY = Column("company_id", "company", INTEGER, "ID of the company that owns it")
CURRENCY = Column("currency_code", "currency.code", STRING, "Code of the currency of its amounts")
ACTIVE = Column("is_active", "active", BOOLEAN, "False if it is no longer used")
REFERENCE = Column("reference", "reference", STRING, "The other party's number for it")
PAYMENT_TERM = Column("payment_term_id", "payment_term", INTEGER, "ID of the payment term")
UNTAXED_AMOUNT = Column("untaxed_amount", "untaxed_amount", NUMBER, "Total without taxes")
TAX_AMOUNT = Column("tax_amount", "tax_amount", NUMBER, "Taxes")
TOTAL_AMOUNT = Column("total_amount", "total_amount", NUMBER, "Total with taxes")
LINE = (
    Column(
        "sequence", "sequence", INTEGER, "Position among the lines; equal ones are ordered by id"
    ),
    Column("type", "type", STRING, "line; or subtotal, title, comment, without a product"),
    Column("product_id", "product", INTEGER, "ID of the product (products)"),
    Column("description", "description", STRING, "Text in addition to the product"),
    Column("quantity", "quantity", NUMBER, "Quantity in its unit; negative for a return"),
    Column("unit_symbol", "unit.symbol", STRING, "Symbol of the unit, such as kg"),
    Column("unit_price", "unit_price", NUMBER, "Price per unit, without taxes"),
    Column("amount", "amount", NUMBER, "Quantity times price, without taxes; or the subtotal"),
)


class PartiesStream(TrytonStream):
    """Customers, suppliers and other parties."""

    name = "parties"
    model = "party.party"
    columns = (
        Column("name", "name", STRING, "Name of the person or company"),
        Column("code", "code", STRING, "Unique code of the party"),
        Column("language_code", "lang.code", STRING, "Language of the party, such as en"),
        Column(
            "replaced_by_id", "replaced_by", INTEGER, "ID of the party into which it was merged"
        ),
        ACTIVE,
    )
    schema = schema_of(columns)


class AddressesStream(TrytonStream):
    """The addresses of the parties."""

    name = "addresses"
    model = "party.address"
    columns = (
        Column("party_id", "party", INTEGER, "ID of the party (parties)"),
        Column("party_name", "party_name", STRING, "Name on letters, if not the party's"),
        Column("street", "street", STRING, "Street and number; may have several lines"),
        Column("postal_code", "postal_code", STRING, "Postal code"),
        Column("city", "city", STRING, "City"),
        Column("subdivision_code", "subdivision.code", STRING, "ISO 3166-2 code, such as US-CA"),
        Column("country_code", "country.code", STRING, "ISO 3166-1 code, such as DE"),
        ACTIVE,
    )
    schema = schema_of(columns)


class ProductsStream(TrytonStream):
    """The products: each variant, with the fields of its template.

    A row is read again when the variant or the template changes.
    """

    name = "products"
    model = "product.product"
    stamped = ("", "template.")
    columns = (
        Column("template_id", "template.id", INTEGER, "ID of the template, shared by its variants"),
        Column("code", "code", STRING, "Code of the template followed by the variant's own"),
        Column("name", "template.name", STRING, "Name, in the default language of Tryton"),
        Column("type", "template.type", STRING, "goods, assets or service"),
        Column(
            "is_consumable", "template.consumable", BOOLEAN, "Whether it is not counted in stock"
        ),
        Column("unit_symbol", "template.default_uom.symbol", STRING, "Symbol of its unit"),
        Column("replaced_by_id", "replaced_by", INTEGER, "ID of the product that replaces it"),
        ACTIVE,
    )
    schema = schema_of(columns)


class ListPricesStream(TrytonStream):
    """The prices of the products; each company has its own."""

    name = "list_prices"
    model = "product.list_price"
    columns = (
        Column("template_id", "template.id", INTEGER, "ID of the template that has the price"),
        Column("product_id", "product", INTEGER, "ID of the variant, if it has its own price"),
        COMPANY,
        Column("list_price", "list_price", NUMBER, "Price per unit, in the company's currency"),
    )
    schema = schema_of(columns)


class SalesStream(TrytonStream):
    """The sales, from draft to done."""

    name = "sales"
    model = "sale.sale"
    columns = (
        COMPANY,
        Column("number", "number", STRING, "Number of the sale; null until it is quoted"),
        REFERENCE,
        Column("description", "description", STRING, "Description"),
        Column("state", "state", STRING, "draft, quotation, confirmed, ..., done, cancelled"),
        Column("quotation_date", "quotation_date", DATE, "Date of the quotation"),
        Column("sale_date", "sale_date", DATE, "Date of the sale; null until it is confirmed"),
        Column("party_id", "party", INTEGER, "ID of the customer (parties)"),
        Column("invoice_address_id", "invoice_address", INTEGER, "ID of the invoice address"),
        Column("shipment_address_id", "shipment_address", INTEGER, "ID of the shipping address"),
        Column("warehouse_id", "warehouse", INTEGER, "ID of the warehouse that ships the goods"),
        PAYMENT_TERM,
        CURRENCY,
        UNTAXED_AMOUNT,
        TAX_AMOUNT,
        TOTAL_AMOUNT,
        Column("invoice_state", "invoice_state", STRING, "none, pending, ..., paid, exception"),
        Column("shipment_state", "shipment_state", STRING, "none, waiting, ..., sent, exception"),
    )
    schema = schema_of(columns)


class SaleLinesStream(TrytonStream):
    """The lines of the sales."""

    name = "sale_lines"
    model = "sale.line"
    columns = (Column("sale_id", "sale", INTEGER, "ID of the sale (sales)"), *LINE)
    schema = schema_of(columns)


class InvoicesStream(TrytonStream):
    """Invoices and credit notes, to customers and from suppliers."""

    name = "invoices"
    model = "account.invoice"
    columns = (
        COMPANY,
        Column("type", "type", STRING, "out: to a customer; in: from a supplier"),
        Column("number", "number", STRING, "Number of the invoice; null until it is posted"),
        REFERENCE,
        Column("description", "description", STRING, "Description"),
        Column("state", "state", STRING, "draft, validated, posted, paid, cancelled"),
        Column("invoice_date", "invoice_date", DATE, "Date of the invoice; null until it is set"),
        Column("accounting_date", "accounting_date", DATE, "Date of its booking, if different"),
        Column("party_id", "party", INTEGER, "ID of the customer or supplier (parties)"),
        Column(
            "invoice_address_id", "invoice_address", INTEGER, "ID of the address on the invoice"
        ),
        Column("account_code", "account.code", STRING, "Account of the amount due"),
        Column("move_id", "move", INTEGER, "ID of its booking; null until it is posted"),
        PAYMENT_TERM,
        CURRENCY,
        UNTAXED_AMOUNT,
        TAX_AMOUNT,
        TOTAL_AMOUNT,
    )
    schema = schema_of(columns)


class InvoiceLinesStream(TrytonStream):
    """The lines of the invoices, and lines that are not yet invoiced."""

    name = "invoice_lines"
    model = "account.invoice.line"
    columns = (
        Column("invoice_id", "invoice", INTEGER, "ID of the invoice (invoices), if it has one"),
        COMPANY,
        *LINE,
        CURRENCY,
        Column("account_code", "account.code", STRING, "Account of the revenue or expense"),
        Column("origin", "origin", STRING, "Record that it invoices, such as sale.line,12"),
    )
    schema = schema_of(columns)
