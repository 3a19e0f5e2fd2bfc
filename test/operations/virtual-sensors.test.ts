import { describe, expect, it } from 'vitest';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import type { Iri } from '../../broker/domain/iri.ts';
import { fromMicros } from '../../broker/domain/time.ts';
import {
  type CompiledSensor,
  cycleThrough,
  type Place,
  valueAlong,
} from '../../broker/operations/processing/virtual/compiled.ts';
import { inputWindow } from '../../broker/operations/processing/virtual/window.ts';

const place = (entity: string, attribute = 'p'): Place => ({ entity: entity as Iri, attribute: attribute as Iri });
const instance = (value: number): AttributeInstance => ({ type: 'Property', value });

describe('the window of a virtual sensor', () => {
  it('has a result when every input came within it, and every update counts once', () => {
    const [a, b] = [place('a'), place('b')];
    const window = inputWindow([a, b], 10);
    const tape: (readonly [Place, number])[] = [
      [a, 0],
      [b, 4],
      [b, 6],
      [a, 9],
      [b, 25],
      [a, 36],
      [b, 40],
    ];
    const results = tape.flatMap(([input, second]) => {
      window.updated(input, instance(second), second * 1e6);
      if (!window.complete(second * 1e6)) return [];
      const found = [a, b].map((one) => (window.instanceOf(one) as { value: number }).value);
      window.use();
      return [found];
    });
    expect(results).toEqual([
      [0, 4],
      [9, 6],
      [36, 40],
    ]);
  });

  it('is not complete without an input that was deleted, and tells the newest time at which one was observed', () => {
    const [a, b] = [place('a'), place('b')];
    const window = inputWindow([a, b], 10);
    window.updated(a, { ...instance(1), observedAt: fromMicros(7e6) }, 9e6);
    window.updated(b, instance(2), 8e6);
    expect([window.complete(9e6), window.newest()]).toEqual([true, '1970-01-01T00:00:08Z']);
    window.deleted(b);
    expect(window.complete(9e6)).toBe(false);
  });
});

describe('a reference walks', () => {
  const context = { expand: (term: string) => `ex:${term}` as Iri };
  const power = {
    type: 'Property',
    value: { phases: [{ w: 1 }, { w: 2 }], value: 7, 'unit of': 3 },
    unitCode: 'KWT',
    attributes: { 'ex:quality': [{ type: 'Property', value: 'good' }] },
  } as unknown as AttributeInstance;
  it.each([
    [[], power.type === 'Property' && power.value],
    [['value', 'phases', '1', 'w'], 2],
    [['phases', '0', 'w'], 1],
    [['unitCode'], 'KWT'],
    [['quality'], 'good'],
    [['quality', 'value'], 'good'],
    [['nothing', 'there'], undefined],
    [['constructor'], undefined],
    [['phases', 'length'], undefined],
  ])('%j', (path, expected) => {
    expect(valueAlong(power, path, context)).toEqual(expected);
  });
});

it('a sensor that feeds itself through others is found, one that only reads the same entity is not', () => {
  const sensor = (name: string, inputs: Place[], outputs: Place[]) =>
    ({ sensor: { name }, inputs, outputs }) as unknown as CompiledSensor;
  const first = sensor('first', [place('a')], [place('b')]);
  const second = sensor('second', [place('b')], [place('c'), place('d')]);
  expect(cycleThrough(sensor('third', [place('d')], [place('a')]), [first, second])).toEqual(['third', 'first', 'second']);
  expect(cycleThrough(sensor('third', [place('d')], [place('a', 'q')]), [first, second])).toBeUndefined();
  expect(cycleThrough(sensor('self', [place('a')], [place('a')]), [])).toEqual(['self']);
  expect(cycleThrough(sensor('same', [place('a')], [place('a', 'q')]), [])).toBeUndefined();
});
