import { appendFileSync, createReadStream, existsSync, renameSync, truncateSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseExact } from '../domain/json.ts';
import { DigestOfAll, digestOf } from './digest.ts';
import { Progress } from './progress.ts';
import type { Line, Place, Source } from './source.ts';

/**
 * Writes everything that a source has to a file of lines of JSON. While it is written it has the ending ".partial"; an export that was interrupted goes on there.
 * @returns how many entities, and their digest
 */
export async function exportTo(path: string, source: Source, say: (text: string) => void): Promise<string> {
  const partial = `${path}.partial`;
  const digests = new DigestOfAll();
  let after: Place | undefined;
  if (existsSync(partial)) after = await readPartial(partial, digests);
  else {
    const head: Line[] = [{ summary: await source.summary() }];
    for (const document of await source.documents()) head.push({ document });
    appendFileSync(partial, textOf(head));
  }
  const { tenants } = await source.summary();
  const progress = new Progress(
    'exported',
    tenants.reduce((sum, { entities }) => sum + entities, 0),
    say,
  );
  for await (const page of source.entities(after)) {
    for (const entity of page) digests.add(digestOf(entity));
    appendFileSync(partial, textOf(page.map((entity) => ({ entity }))));
    progress.add(page);
  }
  appendFileSync(partial, textOf([{ end: { digest: digests.text } }]));
  renameSync(partial, path);
  say(progress.text);
  return digests.text;
}

const textOf = (lines: readonly Line[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

/** The last entity of an export that was interrupted; a line that was not finished is cut off. */
async function readPartial(path: string, digests: DigestOfAll): Promise<Place | undefined> {
  let last: Place | undefined;
  let bytes = 0;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    let line: Line;
    try {
      line = parseExact(text) as Line;
    } catch {
      truncateSync(path, bytes);
      break;
    }
    bytes += Buffer.byteLength(text) + 1;
    if (!('entity' in line)) continue;
    last = { tenant: line.entity.tenant, id: line.entity.id };
    digests.add(digestOf(line.entity));
  }
  return last;
}
