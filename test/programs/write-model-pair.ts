import { writeFileSync } from 'node:fs';
import { dataModels } from '../../models/catalogue.ts';
import { brokerForModels, fileOf, seenAs } from '../models/seen-as.ts';

/**
 * `npm run models -- <Type> …`: writes the SensorThings side of the pair of these models (all, if none is named), and their key-values, as this broker shows
 * their examples. Whoever adds a model reads what it wrote before committing it: from then on a test holds the broker to it.
 */
await using broker = await brokerForModels();
const wanted = process.argv.slice(2);
for (const model of (await dataModels()).values()) {
  if (wanted.length > 0 && !wanted.includes(model.type)) continue;
  const { keyValues, things } = await seenAs(broker, model);
  const folder = new URL(`../../models/${model.subject}/${model.type}/`, import.meta.url);
  const write = (file: string, content: unknown) =>
    writeFileSync(new URL(file, folder), `${JSON.stringify(content, null, 2)}\n`);
  write('example.sta.json', things);
  write('example.key-values.json', { ...(keyValues as object), '@context': fileOf(model, 'example.json')['@context'] });
}
