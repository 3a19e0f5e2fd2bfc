import { describe, expect, it } from 'vitest';
import { BUNDLED, preparedFile, preparedTerms } from '../../contexts/index.ts';
import { coreTable } from '../support/core-table.ts';

const cores = Object.keys(BUNDLED).filter((url) => preparedFile(url) !== undefined);

describe('the tables of the core contexts', () => {
  it('are there for every core context, and for nothing else', () => {
    expect(cores.length).toBe(9);
    expect(preparedFile('https://w3id.org/security/data-integrity/v2')).toBeUndefined();
  });

  it.each(cores)('%s: holds what jsonld finds in the document, in its order', async (url) => {
    const prepared = await preparedTerms(url);
    const found = await coreTable(url);
    expect(prepared).toEqual(found);
    expect(Object.keys(prepared?.terms ?? {})).toEqual(Object.keys(found.terms));
    expect(Object.keys(found.terms).length).toBeGreaterThan(50);
  });
});
