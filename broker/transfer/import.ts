import type { Caller } from '../domain/access.ts';
import { DEFAULT_TENANT } from '../domain/iri.ts';
import type { TransferredEntity } from '../domain/transfer.ts';
import type { TransferOperations } from '../operations/transfer.ts';
import type { Importer } from '../ports/importer.ts';
import { DigestOfAll, digestOf } from './digest.ts';
import { Progress } from './progress.ts';
import { parsePlace, placeText, type Source } from './source.ts';

/** How often what has changed meanwhile is fetched again. */
const ROUNDS = 5;
const SYSTEM: Caller = { tenant: DEFAULT_TENANT, principal: { kind: 'system' } };

/** The store that takes what is imported: for writing raw, and for reading as a broker does. Never both at once. */
export interface Target {
  openImporter(): Promise<Importer>;
  openReader(): Promise<{ readonly transfer: TransferOperations; close(): Promise<void> }>;
}

/**
 * Copies everything of a source into a target, and then compares all of it by digests; what differs, because it has changed meanwhile, is copied again.
 * An import that was interrupted goes on where it was.
 * @returns the digest of all entities, which both sides have
 * @throws Error with one line if they still differ
 */
export async function importFrom(source: Source, target: Target, say: (text: string) => void): Promise<string> {
  await copyAll(source, target, say);
  for (let round = 1; ; round++) {
    const { differing, digest } = await compare(source, target, say);
    if (differing.length === 0) return digest;
    if (round === ROUNDS) {
      throw new Error(
        `${differing.length} entities keep changing at the source: stop those who write there, and run this again`,
      );
    }
    say(`${differing.length} entities differ, because they have changed meanwhile, and are copied again`);
    const importer = await target.openImporter();
    try {
      await importer.begin(await source.summary());
      await importer.putEntities(differing);
    } finally {
      await importer.close();
    }
  }
}

async function copyAll(source: Source, target: Target, say: (text: string) => void): Promise<void> {
  const summary = await source.summary();
  const importer = await target.openImporter();
  try {
    await importer.begin(summary);
    await importer.putDocuments(await source.documents());
    const cursor = await importer.cursor();
    if (cursor === DONE) return;
    if (cursor !== undefined) say(`goes on behind ${cursor}`);
    const progress = new Progress(
      'imported',
      summary.tenants.reduce((sum, { entities }) => sum + entities, 0),
      say,
    );
    for await (const page of source.entities(cursor === undefined ? undefined : parsePlace(cursor))) {
      await importer.putEntities(page);
      await importer.moveCursor(placeText(page.at(-1) as TransferredEntity));
      progress.add(page);
    }
    await importer.moveCursor(DONE);
    say(progress.text);
  } finally {
    await importer.close();
  }
}

/** All entities were copied once. */
const DONE = 'done';

async function compare(
  source: Source,
  target: Target,
  say: (text: string) => void,
): Promise<{ readonly differing: readonly TransferredEntity[]; readonly digest: string }> {
  const { transfer, close } = await target.openReader();
  try {
    const differing: TransferredEntity[] = [];
    const digests = new DigestOfAll();
    const progress = new Progress('compared', 0, say);
    for await (const page of source.entities()) {
      for (const theirs of page) {
        const ours = await transfer.entity(SYSTEM, theirs.tenant, theirs.id);
        const digest = digestOf(theirs);
        if (ours !== undefined && digestOf(ours) === digest) digests.add(digest);
        else differing.push(theirs);
      }
      progress.add(page);
    }
    say(progress.text);
    return { differing, digest: digests.text };
  } finally {
    await close();
  }
}
