-- Who buys, and what is sold. Every table begins with the tenant: no key reaches across.

CREATE TABLE customers (
    tenant TEXT NOT NULL CHECK (tenant <> ''),
    id     TEXT NOT NULL CHECK (length(id) = 36),
    name   TEXT NOT NULL,
    email  TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE products (
    tenant      TEXT    NOT NULL CHECK (tenant <> ''),
    sku         TEXT    NOT NULL CHECK (sku <> ''),
    name        TEXT    NOT NULL,
    price_minor INTEGER NOT NULL CHECK (price_minor > 0),
    currency    TEXT    NOT NULL CHECK (length(currency) = 3),
    stock       INTEGER NOT NULL CHECK (stock >= 0),
    PRIMARY KEY (tenant, sku)
) STRICT, WITHOUT ROWID;
