import type { Entity } from '../../domain/entity.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { nextExpiry, withoutExpired } from '../../domain/patch.ts';
import type { Micros } from '../../domain/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import { type Past, summaryOf } from '../past.ts';
import { type EntityDocument, idOf, keyOf } from './collections.ts';
import { factsOf } from './facts.ts';
import { placesOf } from './places.ts';
import { fromStateText } from './state-text.ts';

interface Known {
  readonly tenant: TenantId;
  readonly id: Iri;
  readonly number: number;
  readonly version: number;
  /** See {@link EntityDocument.o}. */
  readonly order: number;
  readonly text: string | undefined;
  readonly expires: Micros | undefined;
  readonly shape: string | undefined;
  readonly evolution: boolean;
  readonly past: Past | undefined;
  /** Some fact does not say all: what the database finds must be looked at. */
  readonly rough: boolean;
}

/** What is stored of an entity. `text` undefined: there is a document (history knows the id), but the entity does not exist now. */
export class EntityRow implements StoredEntity {
  readonly known: Known;
  /** Not what is stored, but what is left of it now. */
  readonly partial: boolean;
  rendered: string | undefined = undefined;
  renderedAs: string | undefined = undefined;
  #entity: Entity | undefined;

  constructor(known: Known, entity?: Entity, partial = false) {
    this.known = known;
    this.#entity = entity;
    this.partial = partial;
  }

  static of(document: EntityDocument): EntityRow {
    return new EntityRow({
      tenant: document.t,
      id: idOf(document._id),
      number: document.n,
      version: document.v,
      order: document.o,
      text: document.e,
      expires: document.x,
      shape: document.h,
      evolution: document.ev,
      past: document.p === undefined ? undefined : (JSON.parse(document.p) as Past),
      rough: document.r === true,
    });
  }

  get key(): string {
    return keyOf(this.known.tenant, this.known.id);
  }
  get id(): Iri {
    return this.known.id;
  }
  get version(): number {
    return this.known.version;
  }
  get number(): number {
    return this.known.number;
  }
  get exists(): boolean {
    return this.known.text !== undefined;
  }

  /** Parsed once, when somebody asks. Only of one that exists. */
  get entity(): Entity {
    this.#entity ??= fromStateText(this.known.text as string, this.known.id);
    return this.#entity;
  }

  /**
   * The row without what has expired at a moment (4.22). Until the sweeper comes, what is left has a version of its own between two
   * positions: it grows as more expires, and no change ever has it.
   */
  at(now: Micros): EntityRow | undefined {
    const { text, expires, version } = this.known;
    if (text === undefined) return undefined;
    if (expires === undefined || expires > now) return this;
    const left = withoutExpired(this.entity, now);
    if (!left) return undefined;
    const known = { ...this.known, version: version + left.gone / (left.gone + 1), expires: expiryOf(left.entity) };
    return new EntityRow(known, left.entity, true);
  }

  /** The row, with what its document says about it. */
  marked(rough: boolean): EntityRow {
    return rough === this.known.rough ? this : new EntityRow({ ...this.known, rough }, this.#entity, this.partial);
  }

  /** What a temporal evolution says of the entity itself. */
  get summary(): Past {
    return summaryOf(this.exists ? this.entity : undefined, this.known.past);
  }

  /** About how many bytes of memory it takes: the parsed form is some times the text. */
  get weight(): number {
    return 600 + 8 * (this.known.text?.length ?? 0);
  }

  /** As it is stored. @param outbox what follows from this write, see outbox.ts */
  document(outbox: string): EntityDocument {
    const { tenant, number, version, order, text, expires, shape, evolution, past } = this.known;
    const pastTypes = past === undefined ? {} : { p: JSON.stringify(past), z: past.types };
    const about = { _id: this.key, t: tenant, n: number, v: version, o: order, ev: evolution, ...pastTypes, c: outbox };
    if (text === undefined) return about;
    const { entity } = this;
    const { facts, rough } = factsOf(entity);
    const { places, wide } = placesOf(entity);
    return {
      ...about,
      e: text,
      ...(expires === undefined ? {} : { x: expires }),
      ...(shape === undefined ? {} : { h: shape }),
      y: entity.types,
      ...(entity.scopes === undefined ? {} : { s: entity.scopes.map(slashed) }),
      q: facts,
      ...(rough ? { r: true } : {}),
      ...(places.length > 0 ? { g: places } : {}),
      ...(wide.length > 0 ? { w: wide } : {}),
    };
  }
}

/** A scope as it is looked for: "Madrid" and "/Madrid" are one (4.18). */
const slashed = (scope: string): string => (scope.startsWith('/') ? scope : `/${scope}`);

/** When the first thing of an entity ends; undefined: never. */
export function expiryOf(entity: Entity): Micros | undefined {
  const end = nextExpiry(entity);
  return end === Number.POSITIVE_INFINITY ? undefined : end;
}
