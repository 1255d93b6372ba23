-- What was ordered, at the prices of that moment. An order's id is made inside the transaction that inserts it, so the
-- order of ids is the order of commits, and paging by id neither skips nor repeats.
--
-- Orders keep their rowid: without one, SQLite reads all orders of a tenant by the primary key and ignores the indexes
-- below.

CREATE TABLE orders (
    tenant        TEXT    NOT NULL,
    id            TEXT    NOT NULL CHECK (length(id) = 36),
    customer_id   TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN (
        'pending_payment', 'confirmed', 'declined', 'payment_failed', 'cancelling', 'cancelled'
    )),
    version       INTEGER NOT NULL CHECK (version > 0),
    total_minor   INTEGER NOT NULL CHECK (total_minor > 0),
    currency      TEXT    NOT NULL CHECK (length(currency) = 3),
    payment_token TEXT    NOT NULL,
    payment_id    TEXT,
    created_at    TEXT    NOT NULL,
    updated_at    TEXT    NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, customer_id) REFERENCES customers (tenant, id)
) STRICT;

CREATE TABLE order_lines (
    tenant           TEXT    NOT NULL,
    order_id         TEXT    NOT NULL,
    position         INTEGER NOT NULL CHECK (position >= 0),
    sku              TEXT    NOT NULL,
    quantity         INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 1000),
    unit_price_minor INTEGER NOT NULL CHECK (unit_price_minor > 0),
    PRIMARY KEY (tenant, order_id, position),
    FOREIGN KEY (tenant, order_id) REFERENCES orders (tenant, id),
    FOREIGN KEY (tenant, sku) REFERENCES products (tenant, sku)
) STRICT, WITHOUT ROWID;

-- A customer's orders, newest first.
CREATE INDEX orders_by_customer ON orders (tenant, customer_id, id DESC);

-- The orders that wait to be settled, oldest first.
CREATE INDEX orders_by_status ON orders (tenant, status, id);

-- Deleting a product looks for the lines that name it.
CREATE INDEX order_lines_by_sku ON order_lines (tenant, sku);
