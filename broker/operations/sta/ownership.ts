import { createHash } from 'node:crypto';
import type { Principal } from '../../domain/access.ts';
import { badRequest, DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import { relationship, targetsOf } from '../../domain/sta/lens/attributes.ts';
import { AUTH_ID, DATASTREAMS, LICENSE, PARTY, SUBJECT, THINGS, TYPE, term } from '../../domain/sta/lens/vocabulary.ts';
import type { LinkModel, SetName } from '../../domain/sta/model.ts';
import { parseMoment } from '../../domain/sta/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import { linkedCollection } from './collections.ts';
import type { Creation, Implied, Ref } from './create.ts';
import type { Item } from './item.ts';
import { itemNamed } from './links.ts';
import type { ObservedSeries } from './observations.ts';
import type { Reader } from './reader.ts';

/** What always belongs to a Party where ownership counts. */
const OWNED: ReadonlySet<SetName> = new Set(['Things', 'Datastreams', 'MultiDatastreams', 'Campaigns', 'ObservationGroups']);
/** What may be there without belonging to anybody, until somebody's Datastream or Thing uses it. */
const SHARED: ReadonlySet<SetName> = new Set([
  'Locations',
  'FeaturesOfInterest',
  'Sensors',
  'ObservedProperties',
  'Actuators',
  'TaskingCapabilities',
  'Tasks',
]);
/** What gathers others until its endTime. */
const GATHERING: ReadonlySet<SetName> = new Set(['Campaigns', 'ObservationGroups']);

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** The authId of who calls: a UUID, so that no user name is disclosed; undefined: nobody knows who it is. */
export function authIdOf(principal: Principal): string | undefined {
  if (principal.kind !== 'user' && principal.kind !== 'device') return undefined;
  return asUuid(principal.id);
}

/** The same as java.util.UUID.nameUUIDFromBytes: so Parties that come from another service keep their authId. */
export function asUuid(name: string): string {
  if (UUID.test(name)) return name.toLowerCase();
  const bytes = createHash('md5').update(name).digest();
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x30;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * Who may write what for one request (22-022r1, conformance classes authentication and business-logic; docs/sensorthings.md). Where the installation does not
 * enforce ownership everything is allowed; administrators may do everything anywhere.
 */
export class Ownership {
  readonly #reader: Reader;
  readonly #free: boolean;
  readonly #authId: string | undefined;
  #own: Promise<Iri | undefined> | undefined;
  /** What was asked already. */
  readonly #allowed = new Set<string>();

  constructor(reader: Reader) {
    const { principal } = reader.caller;
    this.#reader = reader;
    this.#free =
      !reader.dependencies.ownership || principal.kind === 'system' || (principal.kind === 'user' && principal.admin === true);
    this.#authId = authIdOf(principal);
  }

  /**
   * Before something is made. @returns the Party that is there already, if it is the caller's own that shall be made
   * @throws DomainError Unauthorized, BadRequestData
   */
  async create(set: SetName, body: JsonObject, implied: Implied): Promise<Ref | undefined> {
    if (this.#free) return undefined;
    const authId = this.#demandAuthId();
    if (set === 'Parties') {
      const { authId: given } = body;
      if (given !== undefined && given !== null && asUuid(String(given)) !== authId) {
        throw badRequest('"authId" of Party must be that of the caller, or be left out');
      }
      const own = await this.#party();
      const item = own && (await itemNamed(this.#reader, set, own));
      return item && { set, iri: own as Iri, item };
    }
    const needsParty = OWNED.has(set) && this.#reader.model.find('Parties') !== undefined;
    if (needsParty && (body['Party'] ?? implied.get('Party')) == null) {
      throw badRequest(`${this.#reader.model.of(set).type} lacks the link "Party", which must be the caller's own`);
    }
    return undefined;
  }

  /** What the service itself says of something that is made: whose a Party is, and at a root without Parties to whom it belongs. */
  async made(creation: Creation, set: SetName, iri: Iri): Promise<void> {
    if (this.#free) return;
    if (set === 'Parties') {
      creation.plan.put(iri, AUTH_ID, { type: 'Property', value: this.#demandAuthId() });
      this.#own = Promise.resolve(iri);
      return;
    }
    if (!OWNED.has(set) || this.#reader.model.find('Parties') !== undefined) return;
    let own = await this.#party();
    if (own === undefined) {
      own = creation.newIri('Party');
      creation.plan.create(own, [TYPE.Parties], { [term('role')]: [{ type: 'Property', value: 'individual' }] });
      await this.made(creation, 'Parties', own);
    }
    creation.plan.put(iri, PARTY, relationship(own));
  }

  /**
   * A link is given to something that the caller makes or may change.
   * @param targets none: the link is taken away
   * @throws DomainError Forbidden, Conflict
   */
  async link(from: Ref, link: LinkModel, targets: readonly Ref[]): Promise<void> {
    if (this.#free) return;
    if (link.to === 'Licenses' && from.item !== undefined) await this.#demandUnfrozen(from.item);
    if (link.to === 'Parties' && targets.length === 0) throw forbidden('A Party cannot be parted from what it owns');
    for (const { item, iri } of targets) {
      if (link.to === 'Parties') {
        if (iri !== (await this.#party())) throw forbidden("Only the caller's own Party can be linked");
      } else if (item === undefined) continue;
      else if (link.name === 'Subject' || GATHERING.has(link.to)) await this.change(item);
      else if (from.set === 'Parties' || from.set === 'Licenses') {
        await this.change(item);
        if (from.set === 'Licenses') await this.#demandUnfrozen(item);
      }
    }
  }

  /** An Observation goes to a Datastream. */
  async observe({ thing, companion, to }: ObservedSeries): Promise<void> {
    if (this.#free) return;
    // Made by this very plan: then it is the caller's.
    if ('companion' in to && companion === undefined) return;
    const holder = companion ?? thing.stored;
    await this.#demandOwners(`Datastream ${holder?.id}`, holder === undefined ? [] : targetsOf(holder.entity, PARTY), false);
  }

  /** The Locations of a Thing are given. */
  async place(thing: StoredEntity | undefined): Promise<void> {
    if (this.#free || thing === undefined) return;
    await this.#demandOwners(`Thing ${thing.id}`, targetsOf(thing.entity, PARTY), false);
  }

  /** @throws DomainError Unauthorized, Forbidden */
  async change(item: Item): Promise<void> {
    if (this.#free) return;
    const key = `${item.set}(${item.id})`;
    if (this.#allowed.has(key)) return;
    this.#demandAuthId();
    if (item.set === 'Licenses') throw forbidden('Licenses are changed by administrators only');
    await this.#demandOwners(key, await this.#owners(item), SHARED.has(item.set));
    const end = GATHERING.has(item.set) ? item.property('endTime') : undefined;
    const ended = typeof end === 'string' && (parseMoment(end) ?? 0) <= this.#reader.dependencies.clock.micros();
    if (ended) throw forbidden(`${key} ended at ${end}, and is not changed any more`);
    this.#allowed.add(key);
  }

  /** What a PATCH of a Party must not say. */
  async update(item: Item, properties: JsonObject): Promise<void> {
    await this.change(item);
    if (this.#free || item.set !== 'Parties') return;
    const given: JsonValue | undefined = properties['authId'];
    if (given !== undefined && (given === null || asUuid(String(given)) !== this.#authId))
      throw forbidden('"authId" of a Party cannot be changed');
  }

  async remove(item: Item): Promise<void> {
    if (this.#free) return;
    this.#demandAuthId();
    if (item.set === 'Parties') throw forbidden('Parties are deleted by administrators only');
    await this.change(item);
  }

  #demandAuthId(): string {
    if (this.#authId === undefined) throw new DomainError('Unauthorized', 'Only who has shown who they are may write here');
    return this.#authId;
  }

  async #demandOwners(what: string, owners: readonly Iri[], free: boolean): Promise<void> {
    this.#demandAuthId();
    if (owners.length === 0 && free) return;
    const own = await this.#party();
    if (owners.length === 0) throw forbidden(`${what} belongs to no Party, and is changed by administrators only`);
    if (own === undefined || owners.some((owner) => owner !== own)) throw forbidden(`${what} belongs to another Party`);
  }

  /** The Party of the caller. */
  #party(): Promise<Iri | undefined> {
    this.#own ??= this.#findParty(this.#demandAuthId());
    return this.#own;
  }

  async #findParty(authId: string): Promise<Iri | undefined> {
    const { entities } = this.#reader.dependencies;
    const where = {
      kind: 'compare',
      path: { names: [AUTH_ID] },
      operator: '==',
      value: { kind: 'literal', value: authId },
    } as const;
    const [found] = await entities.walk(
      this.#reader.tenant,
      { types: { kind: 'type', type: TYPE.Parties }, where },
      { limit: 1 },
    );
    return found?.id;
  }

  /** The Parties to whom something belongs. */
  async #owners(item: Item): Promise<readonly Iri[]> {
    const { origin, set } = item;
    const reader = this.#reader;
    const partiesOf = (entities: readonly StoredEntity[]) => [
      ...new Set(entities.flatMap(({ entity }) => targetsOf(entity, PARTY))),
    ];
    if (origin.kind === 'series') return partiesOf([origin.companion ?? origin.thing]);
    if (origin.kind === 'instance') {
      const companion = set === 'Observations' ? reader.seriesOfInstance(origin.found, origin.holder)?.companion : undefined;
      return partiesOf([(companion && (await reader.entity(companion))) ?? origin.holder]);
    }
    if (origin.kind !== 'entity') return [];
    const { entity, id } = origin.stored;
    switch (set) {
      case 'Parties':
        return [id];
      case 'Locations':
        return partiesOf(await reader.entitiesOf(targetsOf(entity, THINGS)));
      case 'FeaturesOfInterest':
        return partiesOf(await reader.entitiesOf(targetsOf(entity, DATASTREAMS)));
      case 'Sensors':
      case 'ObservedProperties':
        return this.#ownersOfUsers(item);
      case 'Relations': {
        const [subject] = targetsOf(entity, SUBJECT);
        const observation = subject && (await itemNamed(reader, 'Observations', subject));
        return observation ? this.#owners(observation) : [];
      }
      case 'TaskingCapabilities':
        return partiesOf(await reader.entitiesOf(targetsOf(entity, term('thing'))));
      default:
        return partiesOf([origin.stored]);
    }
  }

  /** Of those whose Datastreams use it; one that is not the caller's is enough. */
  async #ownersOfUsers(item: Item): Promise<readonly Iri[]> {
    const own = await this.#party();
    const found = new Set<Iri>();
    for (const link of ['Datastreams', 'MultiDatastreams']) {
      const source = await linkedCollection(this.#reader, item, link);
      let after: readonly number[] | undefined;
      do {
        const page = await source.page(after, 1000, false);
        for (const { item: user } of page.placed) for (const owner of await this.#owners(user)) found.add(owner);
        after = page.next;
      } while (after !== undefined && [...found].every((owner) => owner === own));
    }
    return [...found];
  }

  /** A License holds from the first Observation, or the first member, on. */
  async #demandUnfrozen(item: Item): Promise<void> {
    const { origin } = item;
    const holder = origin.kind === 'series' ? origin.companion : origin.kind === 'entity' ? origin.stored : undefined;
    if (holder === undefined || targetsOf(holder.entity, LICENSE).length === 0) return;
    const members = item.set === 'Campaigns' ? ['Datastreams', 'MultiDatastreams'] : ['Observations'];
    for (const link of members) {
      const { placed } = await (await linkedCollection(this.#reader, item, link)).page(undefined, 1, false);
      if (placed.length > 0)
        throw new DomainError('Conflict', `The License of ${item.set}(${item.id}) holds since it has ${link}`);
    }
  }
}

const forbidden = (message: string): DomainError => new DomainError('Forbidden', message);
