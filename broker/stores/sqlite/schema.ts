/**
 * The tables. Every key begins with the tenant, or with a number that belongs to one entity of one tenant. Names (types, attributes,
 * datasetIds) and tenants are small integers, because they repeat in every row. Times are microseconds since 1970.
 *
 * MIGRATIONS[n] brings a file from schema version n to n + 1; a new file runs them all. Never change one that was released: add another.
 */
export const MIGRATIONS: readonly string[] = [
  `
  -- what is remembered beside the rows: 'position', 'clock' (highest stamp), 'instance' (see history.seq), 'store' (random name)
  CREATE TABLE memory (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

  CREATE TABLE tenant (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE name (key INTEGER PRIMARY KEY, iri TEXT NOT NULL UNIQUE);

  -- An entity that exists, or whose history is known. TEXT, because SQLite hands it to JavaScript faster than BLOB or JSONB.
  CREATE TABLE entity (
    key INTEGER PRIMARY KEY,            -- never used again, so history rows of a deleted entity keep their meaning
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,           -- position of the change that wrote the state
    expires INTEGER,                    -- 4.22
    shape INTEGER,                      -- types and attributes that it has; NULL: no state
    evolution INTEGER NOT NULL,         -- 0: its temporal evolution was deleted (5.6.16) or never was
    past TEXT,                          -- JSON, what the temporal evolution knows beyond the state: types, scopes, createdAt, deletedAt …
    state TEXT                          -- see codec.ts; NULL: the entity does not exist now
  );
  CREATE UNIQUE INDEX entity_by_id ON entity (tenant, id);
  CREATE INDEX entity_by_shape ON entity (tenant, shape) WHERE shape IS NOT NULL;
  CREATE INDEX entity_by_expiry ON entity (expires) WHERE expires IS NOT NULL;
  -- of which history knows more than the state says: the temporal query adds them to what the type index finds
  CREATE INDEX entity_past ON entity (tenant, id) WHERE past IS NOT NULL;

  -- Pages of one type in ascending id, without sorting.
  CREATE TABLE entity_type (
    tenant INTEGER NOT NULL, type INTEGER NOT NULL, id TEXT NOT NULL, entity INTEGER NOT NULL,
    PRIMARY KEY (tenant, type, id)
  ) WITHOUT ROWID;

  -- The few combinations of types, attributes and kinds that occur, so that discovery (5.7.5 to 5.7.10) counts instead of parsing.
  CREATE TABLE shape (key INTEGER PRIMARY KEY, shape TEXT NOT NULL UNIQUE);

  -- Bounding boxes of GeoProperties. id = entity key * 16 + number of the box; layer = one GeoProperty of one tenant.
  CREATE TABLE layer (key INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, name INTEGER NOT NULL, UNIQUE (tenant, name));
  CREATE VIRTUAL TABLE geo USING rtree (id, west, east, south, north, layer_from, layer_to);

  -- Attribute instances over time, clustered so that one attribute's recent values lie side by side.
  CREATE TABLE history (
    entity INTEGER NOT NULL,
    name INTEGER NOT NULL,
    time INTEGER NOT NULL,              -- observedAt, or modifiedAt of an instance without it
    seq INTEGER NOT NULL,               -- never used again; names the instance (instanceId)
    observed INTEGER NOT NULL,          -- 1: time is observedAt
    dataset INTEGER,                    -- NULL: default instance
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    deleted INTEGER,                    -- set on a tombstone (4.5.7)
    number REAL,                        -- the value, if it is a number: aggregates need not parse
    instance TEXT NOT NULL,             -- JSON of domain AttributeInstance
    PRIMARY KEY (entity, name, time, seq)
  ) WITHOUT ROWID;

  -- The change log: what subscriptions, federation and caches read.
  CREATE TABLE change (
    position INTEGER PRIMARY KEY,
    entity INTEGER NOT NULL,
    kind INTEGER NOT NULL,              -- 0 created, 1 updated, 2 deleted
    at TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    origin INTEGER NOT NULL,            -- a name
    clock INTEGER NOT NULL,             -- highest stamp known at this commit
    state TEXT NOT NULL,                -- the entity after, or if deleted before; see codec.ts
    types TEXT,                         -- JSON; NULL: those of the state
    attributes TEXT,                    -- JSON rows [name, datasetId, kind, before]; NULL: everything in state, created or deleted like it
    late TEXT                           -- JSON; instances that only went to history
  );
  CREATE TABLE cursor (reader TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;

  CREATE TABLE document (
    kind TEXT NOT NULL, tenant INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, tenant, id)
  ) WITHOUT ROWID;

  CREATE TABLE delivery (
    subscription TEXT NOT NULL, position INTEGER NOT NULL, tenant INTEGER NOT NULL, endpoint TEXT NOT NULL,
    attempts INTEGER NOT NULL, reason TEXT NOT NULL, dead INTEGER NOT NULL,
    PRIMARY KEY (subscription, position)
  ) WITHOUT ROWID;
  CREATE INDEX delivery_by_endpoint ON delivery (dead, endpoint, position);
  CREATE INDEX delivery_by_position ON delivery (position);
  `,
  `
  -- The few rows of history that expire (4.22), beside the table so that the others do not pay for them.
  CREATE TABLE transient (
    seq INTEGER PRIMARY KEY,            -- of the row in history
    expires INTEGER NOT NULL, entity INTEGER NOT NULL, name INTEGER NOT NULL, time INTEGER NOT NULL
  );
  CREATE INDEX transient_by_expiry ON transient (expires);
  `,
  `
  -- An instance by its number, and all of them in order of their numbers. Numbers grow, so the index is written at its right edge.
  CREATE INDEX history_by_seq ON history (seq);
  -- Entities of a type in order of their numbers.
  CREATE INDEX entity_type_by_key ON entity_type (tenant, type, entity);
  `,
  `
  -- Notifications that no change of the log could be made again from, until they are delivered (ports/message-store.ts).
  CREATE TABLE message (
    position INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL, subscription TEXT NOT NULL, endpoint TEXT NOT NULL,
    attempts INTEGER NOT NULL, reason TEXT NOT NULL, dead INTEGER NOT NULL,
    body TEXT NOT NULL                  -- JSON
  );
  CREATE INDEX message_by_endpoint ON message (dead, endpoint, position);
  `,
  `
  -- Indexes of attribute values that queries have asked for (attribute-indexes.ts). state: 0 building, 1 ready, 2 dropping.
  CREATE TABLE value_index (
    key INTEGER PRIMARY KEY, tenant INTEGER NOT NULL,
    path TEXT NOT NULL,                 -- JSON: names as IRIs, members inside the value
    state INTEGER NOT NULL,
    cursor TEXT NOT NULL,               -- while it is built: ids up to this are in it
    sample TEXT NOT NULL,               -- JSON, see value-sample.ts
    used INTEGER NOT NULL
  );
  -- slot = index * 16 + kind of value (indexed-values.ts); value has no declared type, so numbers and texts keep theirs and their order.
  CREATE TABLE indexed_value (
    slot INTEGER NOT NULL, value NOT NULL, id TEXT NOT NULL, entity INTEGER NOT NULL,
    PRIMARY KEY (slot, value, id)
  ) WITHOUT ROWID;
  `,
  `
  -- change.state may be '' from here on: the change created the entity, which has that state still.
  -- Entities with instances whose only place in history is their state (instance-numbers.ts), by the first of their numbers.
  CREATE TABLE unsettled (first INTEGER PRIMARY KEY, entity INTEGER NOT NULL);
  `,
  `
  -- A layer is as thick as half the distance to the next: without thickness every box has the volume 0, and the tree cannot tell which boxes lie
  -- close to each other. A look-up took five times as long.
  CREATE VIRTUAL TABLE geo_thick USING rtree (id, west, east, south, north, layer_from, layer_to);
  INSERT INTO geo_thick SELECT id, west, east, south, north, layer_from - 0.25, layer_to + 0.25 FROM geo;
  DROP TABLE geo;
  ALTER TABLE geo_thick RENAME TO geo;
  `,
  `
  -- All instances of an attribute in order of time, whatever their entity (across-series.ts). With the number, so that a condition on it need not look at rows.
  CREATE INDEX history_by_time ON history (name, time, seq, number);
  `,
  `
  -- Rows of history that wait for their places (pending-history.ts), one JSON array of rows for each transaction.
  CREATE TABLE waiting_instance (key INTEGER PRIMARY KEY, rows TEXT NOT NULL);
  `,
  `
  -- Result times of Observations and ends of their intervals, for the few that have any: the ends of a series are read, not looked for (series-texts.ts).
  CREATE INDEX history_result_time ON history (entity, name, dataset, json_extract(instance, '$.attributes."https://uri.etsi.org/ngsi-ld/default-context/resultTime"[0].value'))
    WHERE instr(instance, 'default-context/resultTime"') > 0;
  CREATE INDEX history_phenomenon_end ON history (entity, name, dataset, json_extract(instance, '$.attributes."https://uri.etsi.org/ngsi-ld/default-context/phenomenonEnd"[0].value'))
    WHERE instr(instance, 'default-context/phenomenonEnd"') > 0;
  `,
];

/** In the file's header, so that a database of another program is recognised: "MIZR". */
export const APPLICATION_ID = 0x4d495a52;
