import { describe, expect, it } from 'vitest';
import type { Iri, TenantId } from '../../broker/domain/iri.ts';
import { COMMAND_STATES, INFO, STATUS, TYPE } from '../../broker/domain/sta/lens/vocabulary.ts';
import { endUngivenTasks } from '../../broker/operations/sta/tasks.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { creation, property, testClock } from '../support/writes.ts';

const CITY = 'city' as TenantId;
const task = (name: string) => `urn:ngsi-ld:Task:${name}` as Iri;

describe('Tasks (17-079r1) after the broker ended', () => {
  it('whose command was never given have failed; those whose command is open, has ended or was given since are left alone', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file: ':memory:', clock });
    const make = (name: string, status: string) =>
      creation(
        clock,
        task(name),
        [TYPE.Tasks],
        { [STATUS]: [property(status)], [COMMAND_STATES]: [{ type: 'JsonProperty', json: { dim: status } }] },
        { tenant: CITY },
      );
    const many = Array.from({ length: 250 }, (_, n) => make(`lost${n}`, 'PENDING'));
    await store.entities.commit([make('open', 'PENDING'), make('ended', 'OK'), make('delivered', 'DELIVERED'), ...many]);
    clock.advance(10);
    const isOpen = (tenant: TenantId, origin: string) => tenant === CITY && origin === task('open');
    const ending = endUngivenTasks({ entities: store.entities, clock }, { isOpen });
    await store.entities.commit([make('new', 'PENDING')]);
    await ending;
    const says = async (name: string) => {
      const attributes = (await store.entities.get(CITY, task(name)))?.entity.attributes;
      return [STATUS, INFO].map((of) => (attributes?.[of]?.[0] as { value?: unknown } | undefined)?.value);
    };
    const failed = ['ERROR', 'The broker ended before the command was given'];
    expect(await Promise.all(['lost0', 'lost249'].map(says))).toEqual([failed, failed]);
    expect(await Promise.all(['open', 'ended', 'delivered', 'new'].map(says))).toEqual([
      ['PENDING', undefined],
      ['OK', undefined],
      ['DELIVERED', undefined],
      ['PENDING', undefined],
    ]);
    await store.close();
  });
});
