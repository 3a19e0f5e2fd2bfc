import type { AttributeInstance, Attributes } from '../../domain/attribute.ts';
import type { Iri } from '../../domain/iri.ts';
import { storedText } from '../../domain/json.ts';

/** Members of a reading of which only the value and the time differ from the last one of its series, and those that columns say. */
const OF_READINGS: ReadonlySet<string> = new Set(
  'type value unitCode datasetId attributes observedAt createdAt modifiedAt deletedAt stamp instanceId'.split(' '),
);

/**
 * Writes instances as history keeps them. What its columns say is not said again, except a time that was not written in the shortest way (4.6.3). The
 * stamp orders current state only: history is not merged between brokers, but asked at its origin.
 *
 * Imports bring one reading of a series after the other, with the same sub-attributes: their text is made once.
 */
export class InstanceTexts {
  #unitCode: string | undefined;
  #datasetId: Iri | undefined;
  #attributes: Attributes | undefined;
  /** Text of these three, up to the value; undefined: of none yet. */
  #front: string | undefined;

  /** @param observedAt in the text as well */
  of(instance: AttributeInstance, observedAt: boolean): string {
    const quick = this.#reading(instance, observedAt);
    if (quick !== undefined) return quick;
    return storedText({
      ...instance,
      createdAt: undefined,
      modifiedAt: undefined,
      observedAt: observedAt ? instance.observedAt : undefined,
      deletedAt: undefined,
      stamp: undefined,
      instanceId: undefined,
    });
  }

  #reading(instance: AttributeInstance, withTime: boolean): string | undefined {
    if (instance.type !== 'Property') return undefined;
    const { value, unitCode, datasetId, attributes, observedAt } = instance;
    if (typeof value !== 'number' || attributes === undefined) return undefined;
    for (const member in instance) if (!OF_READINGS.has(member)) return undefined;
    const known = this.#unitCode === unitCode && this.#datasetId === datasetId && this.#attributes === attributes;
    if (this.#front === undefined || !known) {
      const text = storedText({ type: 'Property', unitCode, datasetId, attributes });
      // There are large integers in it: see storedText.
      if (text.startsWith(' ')) return undefined;
      this.#unitCode = unitCode;
      this.#datasetId = datasetId;
      this.#attributes = attributes;
      this.#front = `${text.slice(0, -1)},"value":`;
    }
    // A DateTime has no character that JSON would write in another way.
    return withTime ? `${this.#front}${value},"observedAt":"${observedAt}"}` : `${this.#front}${value}}`;
  }
}
