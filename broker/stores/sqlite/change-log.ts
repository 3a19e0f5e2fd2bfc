import type { AttributeChange, Change, ChangeDraft, Position } from '../../domain/change.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { fromStoredText, storedText } from '../../domain/json.ts';
import type { Stamp } from '../../domain/stamp.ts';
import type { Instant, Micros } from '../../domain/time.ts';
import type { ChangeFeed } from '../../ports/change-feed.ts';
import { allAttributes, highestStampOf, uniteTypes } from '../changes.ts';
import { Listeners } from '../listeners.ts';
import { RecentChanges } from '../recent-changes.ts';
import type { Codec } from './codec.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { GroupCommit } from './group-commit.ts';
import { decodeLate, encodeLate } from './late-rows.ts';

const KINDS = ['created', 'updated', 'deleted'] as const;
const INSERT =
  'INSERT INTO change (position, entity, kind, at, stamp, origin, clock, state, types, attributes, late) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)';
const SELECT =
  'SELECT c.position, e.tenant, e.id, c.kind, c.at, c.stamp, c.origin, iif(length(c.state) = 0, e.state, c.state), c.types, c.attributes, c.late FROM change AS c CROSS JOIN entity AS e ON e.key = c.entity WHERE c.position > ? AND c.position <= ? ORDER BY c.position LIMIT ?';
const KEEP = "UPDATE change SET state = ? WHERE position = ? AND state = ''";
const REMEMBER = 'INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value';
/** Changes that one transaction removes. Positions have no gaps, so a full portion means that there may be more. */
const TRIMMED_AT_ONCE = 5_000;
/** A reader's place is written at least this often, also when nothing else is. */
const CURSOR_DELAY_MS = 1_000;

/** The change log and its readers. The newest changes are kept in memory as well, so that subscriptions hardly ever read the file. */
export class ChangeLog implements ChangeFeed {
  readonly #database: Database;
  readonly #dictionary: Dictionary;
  readonly #commits: GroupCommit;
  readonly #codec: Codec;
  readonly #coding: { readonly codec: Codec; readonly dictionary: Dictionary };
  /** Committed. */
  readonly #recent: RecentChanges;
  /** Of the transaction that is being made. */
  #fresh: Change[] = [];
  /** The last position given out; equals the head between transactions. */
  #position: Position;
  /** The last position that is known to be on disk. */
  #published: Position;
  #clock: Micros;
  readonly #cursors = new Map<string, Position>();
  readonly #moved = new Set<string>();
  #cursorTimer: NodeJS.Timeout | undefined;
  readonly #listeners = new Listeners();

  constructor(database: Database, dictionary: Dictionary, commits: GroupCommit, codec: Codec, recentLimit: number) {
    this.#database = database;
    this.#dictionary = dictionary;
    this.#commits = commits;
    this.#codec = codec;
    this.#coding = { codec, dictionary };
    this.#recent = new RecentChanges(recentLimit);
    const remembered = new Map(
      database.all("SELECT key, value FROM memory WHERE key IN ('position', 'clock')") as [string, number][],
    );
    const newest = database.get('SELECT position, clock FROM change ORDER BY position DESC LIMIT 1');
    this.#position = Math.max(remembered.get('position') ?? 0, Number(newest?.[0] ?? 0));
    this.#published = this.#position;
    this.#clock = Math.max(remembered.get('clock') ?? 0, Number(newest?.[1] ?? 0));
    for (const [reader, position] of database.all('SELECT reader, position FROM cursor')) {
      this.#cursors.set(reader as string, position as number);
    }
    commits.beforeCommit = () => this.#begin();
  }

  /** The largest stamp time of everything that was ever committed here. */
  get highestStamp(): Micros {
    return this.#clock;
  }

  #begin(): void {
    this.#fresh = [];
    const position = this.#position;
    const clock = this.#clock;
    this.#commits.onRollback(() => {
      this.#position = position;
      this.#clock = clock;
    });
    this.#commits.onCommit(() => this.#publish());
    this.#writeCursors();
  }

  /**
   * Inside a transaction: writes a change to the log.
   * @param key  the entity's
   * @param text the entity after the change, or, if it was deleted, before
   * @returns its position
   */
  append(tenant: number, key: number, draft: ChangeDraft, text: string, entity: Entity): Position {
    const position = ++this.#position;
    const mark = this.#fresh.length;
    const clock = this.#clock;
    this.#commits.onRollback(() => {
      this.#position = position - 1;
      this.#clock = clock;
      this.#fresh.length = mark;
    });
    this.#clock = highestStampOf(draft, clock);
    const types = uniteTypes(draft.before?.types, entity.types);
    const { at, stamp, kind, late } = draft;
    this.#database.run(
      INSERT,
      position,
      key,
      KINDS.indexOf(kind),
      at,
      stamp.at,
      this.#dictionary.name(stamp.origin as Iri),
      this.#clock,
      // The entity has the same text until its next change: see keepCreation.
      kind === 'created' && isAsCreated(entity) ? '' : text,
      types === entity.types ? null : JSON.stringify(types),
      kind === 'updated' ? storedText(draft.attributes.map((change) => this.#row(change, entity))) : null,
      late && late.length > 0 ? storedText(encodeLate(late, draft, this.#coding)) : null,
    );
    this.#fresh.push({
      position,
      tenant: this.#dictionary.tenantName(tenant),
      id: entity.id,
      kind,
      types,
      entity,
      attributes: kind === 'updated' ? draft.attributes : allAttributes(kind, entity),
      ...(late && late.length > 0 ? { late } : {}),
      at,
      stamp,
    });
    return position;
  }

  /**
   * Inside a transaction: an entity is about to change. If it is as it was created, the log still needs its text.
   * @param version the position of the change that wrote it
   */
  keepCreation(version: Position, entity: Entity, text: string): void {
    if (isAsCreated(entity)) this.#database.run(KEEP, text, version);
  }

  #publish(): void {
    if (this.#fresh.length === 0) return;
    this.#published = this.#position;
    this.#recent.add(this.#fresh);
    this.#fresh = [];
    this.#listeners.wake();
  }

  async read(after: Position, limit: number): Promise<readonly Change[]> {
    const recent = this.#recent.read(after, limit);
    if (recent !== undefined) return recent;
    if (after >= this.#published) return [];
    return this.#database.all(SELECT, after, this.#published, limit).map((columns) => this.#fromRow(columns));
  }

  #fromRow(columns: readonly unknown[]): Change {
    const [position, tenant, id, kindNumber, at, stampAt, origin, state, types, attributes, late] = columns as [
      number,
      number,
      Iri,
      number,
      Instant,
      number,
      number,
      string,
      string | null,
      string | null,
      string | null,
    ];
    const entity = this.#codec.decode(state, id);
    const kind = KINDS[kindNumber] as Change['kind'];
    const stamp: Stamp = { at: stampAt, origin: this.#dictionary.iri(origin) };
    const change: Change = {
      position,
      tenant: this.#dictionary.tenantName(tenant) as TenantId,
      id,
      kind,
      types: types === null ? entity.types : (JSON.parse(types) as Iri[]),
      entity,
      attributes:
        attributes === null
          ? allAttributes(kind, entity)
          : (fromStoredText(attributes) as Row[]).map((of) => this.#fromChange(of, entity)),
      at,
      stamp,
    };
    if (late === null) return change;
    // Thousands, and most readers of changes never look at them.
    let decoded: Change['late'];
    const decode = () => decodeLate(fromStoredText(late) as Parameters<typeof decodeLate>[0], { at, stamp }, this.#coding);
    return Object.defineProperty(change, 'late', { enumerable: true, get: () => (decoded ??= decode()) });
  }

  /** Inside a transaction. `after` is not written: it is in the entity. */
  #row({ name, datasetId, kind, before }: AttributeChange, entity: Entity): Row {
    const old = before === undefined ? 0 : this.#codec.encodeInstance(before, entity);
    return [this.#dictionary.name(name), datasetId ?? 0, KINDS.indexOf(kind), old];
  }

  #fromChange([nameKey, datasetId, kindNumber, before]: Row, entity: Entity): AttributeChange {
    const name = this.#dictionary.iri(nameKey);
    const kind = KINDS[kindNumber] as AttributeChange['kind'];
    const dataset = datasetId === 0 ? undefined : datasetId;
    const after = kind === 'deleted' ? undefined : entity.attributes[name]?.find((instance) => instance.datasetId === dataset);
    return {
      name,
      ...(dataset === undefined ? {} : { datasetId: dataset }),
      kind,
      ...(after ? { after } : {}),
      ...(before === 0 ? {} : { before: this.#codec.decodeInstance(before, entity) }),
    };
  }

  async head(): Promise<Position> {
    return this.#published;
  }

  onCommit(wake: () => void): () => void {
    return this.#listeners.add(wake);
  }

  async cursor(reader: string): Promise<Position | undefined> {
    return this.#cursors.get(reader);
  }

  async moveCursor(reader: string, position: Position): Promise<void> {
    if (this.#cursors.get(reader) === position) return;
    this.#cursors.set(reader, position);
    this.#moved.add(reader);
    this.#cursorTimer ??= setTimeout(() => {
      this.#cursorTimer = undefined;
      // A failure here delays: the readers' places are written with the next commit.
      if (this.#moved.size > 0) this.#commits.submit(() => undefined).catch(() => {});
    }, CURSOR_DELAY_MS).unref();
  }

  /** Inside a transaction: moved cursors ride along with whatever is committed. */
  #writeCursors(): void {
    if (this.#moved.size === 0) return;
    const moved = [...this.#moved];
    for (const reader of moved) {
      this.#database.run(
        'INSERT INTO cursor (reader, position) VALUES (?, ?) ON CONFLICT (reader) DO UPDATE SET position = excluded.position',
        reader,
        this.#cursors.get(reader) as number,
      );
    }
    this.#moved.clear();
    this.#commits.onRollback(() => {
      for (const reader of moved) this.#moved.add(reader);
    });
  }

  async trim(before: Position): Promise<number> {
    let removed = 0;
    // In portions, because nothing else is written meanwhile.
    for (;;) {
      const portion = await this.#commits.submit(() => this.#trim(before));
      removed += portion;
      if (portion < TRIMMED_AT_ONCE) return removed;
    }
  }

  /** Inside a transaction, which has written the cursors first: after a crash no reader finds its place gone. */
  #trim(before: Position): number {
    let end = before;
    for (const position of this.#cursors.values()) end = Math.min(end, position + 1);
    const parked = this.#database.get('SELECT min(position) FROM delivery')?.[0];
    if (parked !== null && parked !== undefined) end = Math.min(end, Number(parked));
    const first = this.#database.get('SELECT min(position) FROM change')?.[0];
    if (first === null || first === undefined) return 0;
    end = Math.min(end, Number(first) + TRIMMED_AT_ONCE);
    this.#database.run(REMEMBER, 'position', this.#position);
    this.#database.run(REMEMBER, 'clock', this.#clock);
    const removed = this.#database.run('DELETE FROM change WHERE position < ?', end);
    this.#commits.onCommit(() => this.#recent.dropBefore(end));
    return removed;
  }

  /** Writes what {@link moveCursor} has put off. */
  close(): void {
    clearTimeout(this.#cursorTimer);
    this.#cursorTimer = undefined;
    if (this.#moved.size > 0) void this.#commits.submit(() => undefined).catch(() => {});
  }
}

type Row = [name: number, datasetId: Iri | 0, kind: number, before: ReturnType<Codec['encodeInstance']> | 0];

/** True of every entity that nobody has changed, and of one that was changed in the millisecond of its creation. */
const isAsCreated = ({ createdAt, modifiedAt }: Entity): boolean => createdAt === modifiedAt;
