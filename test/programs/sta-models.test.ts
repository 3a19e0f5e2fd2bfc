import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MODELS, seenAs } from './sta-models.ts';

/** test/fixtures/sensor-things-pairs/<Type>: an entity of a Smart Data Model, and what it is in SensorThings. */
describe('Smart Data Models seen as SensorThings', () => {
  it.each(readdirSync(MODELS).filter((name) => !name.endsWith('.md')))('%s', async (type) => {
    expect(await seenAs(type)).toEqual(JSON.parse(readFileSync(join(MODELS, type, 'example.sta.json'), 'utf8')));
  });
});
