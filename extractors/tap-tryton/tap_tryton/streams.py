"""The streams: which of Tryton's models they read, and their columns.

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

COMPANY = Column("company_id", "company", INTEGER, "Id of the company that it belongs to")
CURRENCY = Column("currency_code", "currency.code", STRING, "Code of the currency of its amounts")
ACTIVE = Column("is_active", "active", BOOLEAN, "False for what is no longer used, but kept")
REFERENCE = Column("reference", "reference", STRING, "The other party's number for it")
PAYMENT_TERM = Column("payment_term_id", "payment_term", INTEGER, "Id of the payment term")
UNTAXED_AMOUNT = Column("untaxed_amount", "untaxed_amount", NUMBER, "Total without taxes")
TAX_AMOUNT = Column("tax_amount", "tax_amount", NUMBER, "Taxes")
TOTAL_AMOUNT = Column("total_amount", "total_amount", NUMBER, "Total with taxes")
LINE = (
    Column("sequence", "sequence", INTEGER, "Its place among the lines; equal ones go by id"),
    Column("type", "type", STRING, "line, or subtotal, title, comment, which carry no goods"),
    Column("product_id", "product", INTEGER, "Id of the product (products)"),
    Column("description", "description", STRING, "What it says besides the product"),
    Column("quantity", "quantity", NUMBER, "Quantity in its unit; negative for a return"),
    Column("unit_symbol", "unit.symbol", STRING, "Symbol of the unit, such as kg"),
    Column("unit_price", "unit_price", NUMBER, "Price of a unit, without taxes"),
    Column("amount", "amount", NUMBER, "Quantity times price, without taxes; or the subtotal"),
)


class PartiesStream(TrytonStream):
    """Customers, suppliers, and everybody else one deals with."""

    name = "parties"
    model = "party.party"
    columns = (
        Column("name", "name", STRING, "Name of the person or company"),
        Column("code", "code", STRING, "Its number, unique"),
        Column("language_code", "lang.code", STRING, "Language to write to it in, such as en"),
        Column("replaced_by_id", "replaced_by", INTEGER, "Id of the party it was merged into"),
        ACTIVE,
    )
    schema = schema_of(columns)


class AddressesStream(TrytonStream):
    """The addresses of the parties."""

    name = "addresses"
    model = "party.address"
    columns = (
        Column("party_id", "party", INTEGER, "Id of the party (parties)"),
        Column("party_name", "party_name", STRING, "Name on the letter, if not the party's"),
        Column("street", "street", STRING, "Street and number, in lines"),
        Column("postal_code", "postal_code", STRING, "Postal code"),
        Column("city", "city", STRING, "City"),
        Column("subdivision_code", "subdivision.code", STRING, "ISO 3166-2 code, such as US-CA"),
        Column("country_code", "country.code", STRING, "ISO 3166-1 code, such as DE"),
        ACTIVE,
    )
    schema = schema_of(columns)


class ProductsStream(TrytonStream):
    """The products: each variant, with what it has from its template.

    A row is read again when either of the two changes.
    """

    name = "products"
    model = "product.product"
    stamped = ("", "template.")
    columns = (
        Column("template_id", "template.id", INTEGER, "Id of the template, which variants share"),
        Column("code", "code", STRING, "Code of the variant, the template's before its own"),
        Column("name", "template.name", STRING, "Name, in the default language of Tryton"),
        Column("type", "template.type", STRING, "goods, assets or service"),
        Column("is_consumable", "template.consumable", BOOLEAN, "Not counted in the stock"),
        Column("unit_symbol", "template.default_uom.symbol", STRING, "Symbol of its unit"),
        Column("replaced_by_id", "replaced_by", INTEGER, "Id of the product that replaces it"),
        ACTIVE,
    )
    schema = schema_of(columns)


class ListPricesStream(TrytonStream):
    """The prices of the products, which each company has its own of."""

    name = "list_prices"
    model = "product.list_price"
    columns = (
        Column("template_id", "template.id", INTEGER, "Id of the template it is the price of"),
        Column("product_id", "product", INTEGER, "Id of the variant, if the price is its own"),
        COMPANY,
        Column("list_price", "list_price", NUMBER, "Price of a unit, in the company's currency"),
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
        Column("description", "description", STRING, "What it is about"),
        Column("state", "state", STRING, "draft, quotation, confirmed, ..., done, cancelled"),
        Column("quotation_date", "quotation_date", DATE, "When it was quoted"),
        Column("sale_date", "sale_date", DATE, "When it was sold; null before it is confirmed"),
        Column("party_id", "party", INTEGER, "Id of the customer (parties)"),
        Column("invoice_address_id", "invoice_address", INTEGER, "Where the invoice goes"),
        Column("shipment_address_id", "shipment_address", INTEGER, "Where the goods go"),
        Column("warehouse_id", "warehouse", INTEGER, "Id of the warehouse they come from"),
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
    columns = (Column("sale_id", "sale", INTEGER, "Id of the sale (sales)"), *LINE)
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
        Column("description", "description", STRING, "What it is about"),
        Column("state", "state", STRING, "draft, validated, posted, paid, cancelled"),
        Column("invoice_date", "invoice_date", DATE, "Date of the invoice; null before it has one"),
        Column("accounting_date", "accounting_date", DATE, "Date of its booking, if another"),
        Column("party_id", "party", INTEGER, "Id of the customer or supplier (parties)"),
        Column("invoice_address_id", "invoice_address", INTEGER, "Id of the address on it"),
        Column("account_code", "account.code", STRING, "Account of what is to be paid"),
        Column("move_id", "move", INTEGER, "Id of its booking; null until it is posted"),
        PAYMENT_TERM,
        CURRENCY,
        UNTAXED_AMOUNT,
        TAX_AMOUNT,
        TOTAL_AMOUNT,
    )
    schema = schema_of(columns)


class InvoiceLinesStream(TrytonStream):
    """The lines of the invoices, and those that wait for an invoice."""

    name = "invoice_lines"
    model = "account.invoice.line"
    columns = (
        Column("invoice_id", "invoice", INTEGER, "Id of the invoice (invoices), if it has one"),
        COMPANY,
        *LINE,
        CURRENCY,
        Column("account_code", "account.code", STRING, "Account of the revenue or expense"),
        Column("origin", "origin", STRING, "What it invoices, such as sale.line,12"),
    )
    schema = schema_of(columns)
