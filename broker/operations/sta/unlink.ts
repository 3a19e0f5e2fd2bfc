import { DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { targetsOf } from '../../domain/sta/lens/attributes.ts';
import { relationshipsTo } from '../../domain/sta/lens/links.ts';
import { OBJECT, RELATED, SUBJECT, TYPE } from '../../domain/sta/lens/vocabulary.ts';
import { type SetName, STAPLUS } from '../../domain/sta/model.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { Series } from '../../ports/series-store.ts';
import { relatedTo } from './collections.ts';
import type { Plan } from './plan.ts';
import type { Reader } from './reader.ts';

/** Sets whose entities are found by Relationships to what may be deleted. */
const HOLDERS = (Object.keys(TYPE) as (keyof typeof TYPE)[]).filter(
  (set) => !['sensing', 'multi'].includes(STAPLUS.of(set).part),
);

/** What becomes of the links to what a request deletes, for those of STAplus and Tasking. The service root does not matter: the data are the same. */
export class Unlinking {
  readonly #reader: Reader;
  readonly #plan: Plan;
  /** Told of entities that cannot be without what is deleted. */
  readonly #removed: (id: Iri) => void;
  #needed: Promise<boolean> | undefined;

  constructor(reader: Reader, plan: Plan, removed: (id: Iri) => void) {
    this.#reader = reader;
    this.#plan = plan;
    this.#removed = removed;
  }

  /**
   * A member of a set goes: what needs it goes along, and where it was one of many it is taken out.
   * @param iri as Relationships name it (links.ts)
   * @throws DomainError Conflict if it is a Party or License in use
   */
  async leave(set: SetName, iri: Iri): Promise<void> {
    if (!(await this.#anything())) return;
    for (const { holders, link, name } of relationshipsTo(set)) {
      const many = STAPLUS.link(holders, link)?.many === true;
      for (const holder of await this.#holders(holders, name, iri)) {
        if (set === 'Parties' || set === 'Licenses') {
          throw new DomainError('Conflict', `${holders}(${holder.number}) still has this ${STAPLUS.of(set).type}`);
        }
        if (many) this.#plan.link(holder.id, name, [], [iri]);
        else await this.#delete(holders, holder);
      }
    }
  }

  /** Observations of a Thing go, all of them or those of one series: so do the Relations about them. */
  async leaveObservations(thing: Iri, series?: Series): Promise<void> {
    if (!(await this.#anything())) return;
    for (const relation of await this.#holders('Relations', RELATED, thing)) {
      if (series === undefined || (await this.#isAbout(relation, series))) await this.#delete('Relations', relation);
    }
  }

  async #delete(set: SetName, { id }: StoredEntity): Promise<void> {
    if (this.#plan.deletes(id)) return;
    this.#removed(id);
    await this.leave(set, id);
  }

  async #isAbout({ entity }: StoredEntity, { id, name, datasetId }: Series): Promise<boolean> {
    const { series } = this.#reader.dependencies;
    const numbers = [...targetsOf(entity, SUBJECT), ...targetsOf(entity, OBJECT)].map((iri) => series.numberOf(iri));
    const found = await series.numbered(
      this.#reader.tenant,
      numbers.filter((number) => number !== undefined),
    );
    return found.some((one) => one !== undefined && one.id === id && one.name === name && one.instance.datasetId === datasetId);
  }

  async #holders(set: SetName, name: Iri, iri: Iri): Promise<readonly StoredEntity[]> {
    const { entities } = this.#reader.dependencies;
    const types = set === 'Things' ? await this.#reader.thingTypes() : [TYPE[set as keyof typeof TYPE]];
    const query = {
      types: { kind: 'any', of: types.map((type) => ({ kind: 'type', type }) as const) },
      where: relatedTo(name, iri),
    } as const;
    const found: StoredEntity[] = [];
    for (;;) {
      const last = found.at(-1);
      const page = await entities.walk(this.#reader.tenant, query, { limit: 1000, ...(last && { after: last.number }) });
      found.push(...page);
      if (page.length < 1000) return found;
    }
  }

  /** Most installations have none of this, and their deletions need not look for it. */
  #anything(): Promise<boolean> {
    this.#needed ??= this.#reader.dependencies.entities
      .typeCounts(this.#reader.tenant)
      .then((counts) => counts.some(({ type }) => HOLDERS.some((set) => TYPE[set] === type)));
    return this.#needed;
  }
}
