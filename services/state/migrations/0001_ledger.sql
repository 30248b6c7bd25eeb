-- The ledger. Dollars are TEXT (exact decimals), times ISO 8601 TEXT in UTC, dates ISO TEXT, booleans 0 or 1.
-- Columns stand in the order of the structs in services/state/model.py and records.py.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    session TEXT PRIMARY KEY,
    opens_at TEXT NOT NULL,
    closes_at TEXT NOT NULL,
    early INTEGER NOT NULL,
    previous TEXT NOT NULL,
    following TEXT NOT NULL,
    following_opens_at TEXT NOT NULL,
    opening_equity TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    session TEXT,
    account_number TEXT NOT NULL,
    cash TEXT NOT NULL,
    opening_equity TEXT NOT NULL,
    equity TEXT NOT NULL,
    peak_equity TEXT NOT NULL,
    buying_power TEXT NOT NULL,
    blocked INTEGER NOT NULL,
    halt TEXT NOT NULL,
    armed INTEGER NOT NULL,
    stopped TEXT NOT NULL,
    entry_orders INTEGER NOT NULL
) STRICT;

CREATE TABLE candidates (
    symbol TEXT NOT NULL,
    strategy TEXT NOT NULL,
    source TEXT NOT NULL,
    session TEXT NOT NULL,
    active INTEGER NOT NULL,
    since TEXT NOT NULL,
    expires_at TEXT,
    pivot REAL,
    stop REAL,
    r1 REAL,
    r2 REAL,
    sector TEXT NOT NULL,
    spent INTEGER NOT NULL,
    released_at TEXT,
    note TEXT NOT NULL,
    PRIMARY KEY (symbol, strategy)
) STRICT, WITHOUT ROWID;

CREATE TABLE entry_intents (
    id TEXT PRIMARY KEY,
    symbol TEXT NOT NULL,
    strategy TEXT NOT NULL,
    session TEXT NOT NULL,
    confirmed_at TEXT NOT NULL,
    confirm_close REAL NOT NULL,
    pivot REAL NOT NULL,
    r1 REAL NOT NULL,
    r2 REAL NOT NULL,
    first_stop REAL NOT NULL,
    swing_low REAL,
    scan_stop REAL,
    atr_pct REAL,
    dist_pct REAL,
    sector TEXT NOT NULL,
    cause TEXT NOT NULL,
    due TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    judged_at TEXT,
    reference REAL,
    limit_price TEXT,
    stop_price TEXT,
    shares INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_intents_waiting ON entry_intents (due, id) WHERE status = 'pending';
CREATE INDEX entry_intents_by_session ON entry_intents (session, symbol);

CREATE TABLE exit_intents (
    id TEXT PRIMARY KEY,
    symbol TEXT NOT NULL,
    position_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    reason TEXT NOT NULL,
    cause TEXT NOT NULL,
    status TEXT NOT NULL,
    level TEXT NOT NULL,
    fraction REAL NOT NULL,
    price REAL NOT NULL,
    stop TEXT,
    market INTEGER NOT NULL,
    shares INTEGER,
    sold INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    ended_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX exit_intents_open ON exit_intents (symbol, at, id) WHERE status IN ('pending', 'working');

CREATE TABLE positions (
    position_id TEXT PRIMARY KEY,
    symbol TEXT NOT NULL,
    session TEXT NOT NULL,
    strategy TEXT NOT NULL,
    qty INTEGER NOT NULL CHECK (qty >= 0),
    bought INTEGER NOT NULL,
    sold INTEGER NOT NULL,
    avg_price TEXT NOT NULL,
    realized TEXT NOT NULL,
    pivot REAL,
    r1 REAL,
    r2 REAL,
    stop TEXT,
    stop_mode TEXT NOT NULL,
    high_water REAL NOT NULL,
    invalidations INTEGER NOT NULL,
    r1_state TEXT NOT NULL,
    r2_state TEXT NOT NULL,
    entered_at TEXT NOT NULL,
    last_entry_fill_at TEXT NOT NULL,
    last_exit_fill_at TEXT,
    decided_through TEXT,
    unprotected_since TEXT,
    closed_at TEXT,
    sector TEXT NOT NULL,
    cause TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX positions_by_symbol ON positions (symbol, entered_at);
CREATE INDEX positions_open ON positions (symbol) WHERE qty > 0;

CREATE TABLE order_ledger (
    client_order_id TEXT PRIMARY KEY,
    broker_id TEXT,
    session TEXT NOT NULL,
    symbol TEXT NOT NULL,
    kind TEXT NOT NULL,
    side TEXT NOT NULL,
    type TEXT NOT NULL,
    time_in_force TEXT NOT NULL,
    order_class TEXT NOT NULL,
    qty INTEGER NOT NULL,
    limit_price TEXT,
    stop_price TEXT,
    leg_stop_price TEXT,
    status TEXT NOT NULL,
    broker_status TEXT NOT NULL,
    resting INTEGER NOT NULL,
    filled_qty INTEGER NOT NULL,
    filled_value TEXT NOT NULL,
    parent TEXT NOT NULL,
    intent TEXT NOT NULL,
    cause TEXT NOT NULL,
    planned_at TEXT NOT NULL,
    accepted_at TEXT,
    first_fill_at TEXT,
    ended_at TEXT,
    expires_at TEXT,
    in_flight TEXT NOT NULL,
    note TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX order_ledger_by_broker_id ON order_ledger (broker_id) WHERE broker_id IS NOT NULL;
CREATE INDEX order_ledger_by_session ON order_ledger (session, symbol);
CREATE INDEX order_ledger_by_symbol ON order_ledger (symbol, planned_at);
CREATE INDEX order_ledger_by_parent ON order_ledger (parent) WHERE parent != '';
CREATE INDEX order_ledger_by_intent ON order_ledger (intent) WHERE intent != '';
CREATE INDEX order_ledger_open ON order_ledger (symbol, client_order_id)
    WHERE status NOT IN ('filled', 'rejected', 'canceled', 'expired', 'replaced', 'denied', 'absent');

-- The last number given out per session, symbol and kind: an id is never used again, whatever becomes of its order.
CREATE TABLE order_numbers (
    session TEXT NOT NULL,
    symbol TEXT NOT NULL,
    kind TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (session, symbol, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE order_actions (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    order_id TEXT NOT NULL,
    target TEXT NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    grants INTEGER NOT NULL,
    executor TEXT NOT NULL,
    request TEXT NOT NULL,
    misses INTEGER NOT NULL,
    reason TEXT NOT NULL,
    cause TEXT NOT NULL,
    planned_at TEXT NOT NULL,
    ended_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX order_actions_open ON order_actions (symbol, id)
    WHERE status IN ('planned', 'claimed', 'sent', 'unresolved');

CREATE INDEX order_actions_by_time ON order_actions (symbol, planned_at);
CREATE INDEX order_actions_by_target ON order_actions (target) WHERE target != '';
CREATE INDEX order_actions_refused ON order_actions (symbol, target) WHERE kind = 'cancel' AND status = 'refused';

CREATE TABLE fills (
    execution_id TEXT PRIMARY KEY,
    client_order_id TEXT NOT NULL,
    broker_order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    qty INTEGER NOT NULL CHECK (qty > 0),
    price TEXT NOT NULL,
    at TEXT NOT NULL,
    position_id TEXT NOT NULL,
    session TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fills_by_order ON fills (client_order_id);
CREATE INDEX fills_by_position ON fills (position_id);
CREATE INDEX fills_by_symbol ON fills (symbol, side, at);

CREATE TABLE verdicts (
    session TEXT NOT NULL,
    symbol TEXT NOT NULL,
    at TEXT NOT NULL,
    strategy TEXT NOT NULL,
    stage TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    figures TEXT NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (session, symbol, at, strategy, stage)
) STRICT, WITHOUT ROWID;

-- A partition's decisions of a minute, from their arrival until state takes them.
CREATE TABLE decisions (
    partition INTEGER NOT NULL,
    minute TEXT NOT NULL,
    fence INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (partition, minute)
) STRICT, WITHOUT ROWID;

CREATE TABLE partitions (
    partition INTEGER PRIMARY KEY,
    through TEXT NOT NULL
) STRICT;

-- Splits of held symbols: `old` shares became `new` ones.
CREATE TABLE splits (
    position_id TEXT NOT NULL,
    at TEXT NOT NULL,
    symbol TEXT NOT NULL,
    new INTEGER NOT NULL,
    old INTEGER NOT NULL,
    PRIMARY KEY (position_id, at)
) STRICT, WITHOUT ROWID;

-- What stands at the broker that no record of ours explains.
CREATE TABLE foreign_items (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    symbol TEXT NOT NULL,
    qty TEXT NOT NULL,
    price TEXT,
    readings INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- Broker events on orders whose id is not known yet: a leg's event may overtake the reply that names the leg.
CREATE TABLE orphan_events (
    id TEXT PRIMARY KEY,
    broker_order_id TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    symbol TEXT NOT NULL,
    order_id TEXT NOT NULL,
    cause TEXT NOT NULL,
    text TEXT NOT NULL,
    figures TEXT NOT NULL
) STRICT;
CREATE TRIGGER journal_is_never_changed BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
CREATE TRIGGER journal_is_never_shortened BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TABLE stream_positions (
    stream TEXT PRIMARY KEY,
    entry_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE seen (
    id TEXT PRIMARY KEY,
    stream TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
