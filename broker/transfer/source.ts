import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Iri, TenantId } from '../domain/iri.ts';
import { parseExact } from '../domain/json.ts';
import type { TransferredDocument, TransferredEntity, TransferSummary } from '../domain/transfer.ts';
import { DigestOfAll, digestOf } from './digest.ts';

/** Where an import takes things from: a broker that runs, or a file. */
export interface Source {
  summary(): Promise<TransferSummary>;
  documents(): Promise<readonly TransferredDocument[]>;
  /** All entities, tenant by tenant in ascending id, some at a time, behind one. */
  entities(after?: Place): AsyncIterable<readonly TransferredEntity[]>;
}

/** An entity, as a place in the order of a transfer. */
export interface Place {
  readonly tenant: TenantId;
  readonly id: Iri;
}

export const placeText = ({ tenant, id }: Place): string => `${tenant} ${id}`;

export function parsePlace(text: string): Place {
  const space = text.indexOf(' ');
  return { tenant: text.slice(0, space) as TenantId, id: text.slice(space + 1) as Iri };
}

/** Entities that are asked for at a time. */
const AT_ONCE = 100;

/** A broker that runs. @param tenant one of its tenants; undefined: all of them */
export function brokerSource(url: string, tenant?: TenantId): Source {
  async function get<T>(path: string): Promise<T> {
    const answer = await fetch(`${url.replace(/\/$/, '')}/admin/transfer${path}`);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 300)}`);
    return parseExact(text) as T;
  }
  async function summary(): Promise<TransferSummary> {
    const whole = await get<TransferSummary>('');
    return tenant === undefined ? whole : { ...whole, tenants: whole.tenants.filter((one) => one.tenant === tenant) };
  }
  return {
    summary,
    documents: () => get(tenant === undefined ? '/documents' : `/documents?tenant=${tenant}`),
    async *entities(after) {
      const names = (await summary()).tenants.map((one) => one.tenant).sort();
      for (const name of names) {
        if (after !== undefined && name < after.tenant) continue;
        let last = after?.tenant === name ? after.id : undefined;
        for (;;) {
          const behind = last === undefined ? '' : `&after=${encodeURIComponent(last)}`;
          const page = await get<TransferredEntity[]>(`/entities?tenant=${name}&limit=${AT_ONCE}${behind}`);
          if (page.length > 0) yield page;
          if (page.length < AT_ONCE) break;
          last = page.at(-1)?.id;
        }
      }
    },
  };
}

/** One line of a file. */
export type Line =
  | { readonly summary: TransferSummary }
  | { readonly document: TransferredDocument }
  | { readonly entity: TransferredEntity }
  | { readonly end: { readonly digest: string } };

/** A file that `mizar export` wrote. Reading it to its end checks it. */
export function fileSource(path: string): Source {
  async function* lines(): AsyncGenerator<Line> {
    for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line !== '') yield parseExact(line) as Line;
    }
  }
  return {
    async summary() {
      for await (const line of lines()) if ('summary' in line) return line.summary;
      throw new Error(`${path} was not written by "mizar export"`);
    },
    async documents() {
      const found: TransferredDocument[] = [];
      for await (const line of lines()) {
        if ('document' in line) found.push(line.document);
        else if ('entity' in line) break;
      }
      return found;
    },
    async *entities(after) {
      const digests = new DigestOfAll();
      let page: TransferredEntity[] = [];
      let passed = after === undefined;
      let ended = false;
      for await (const line of lines()) {
        if ('end' in line) {
          ended = true;
          if (line.end.digest !== digests.text) throw new Error(`${path} is damaged: its digest is not that of its content`);
        }
        if (!('entity' in line)) continue;
        digests.add(digestOf(line.entity));
        if (passed) page.push(line.entity);
        else passed = after !== undefined && placeText(line.entity) === placeText(after);
        if (page.length < AT_ONCE) continue;
        yield page;
        page = [];
      }
      if (!ended) throw new Error(`${path} is not complete: run "mizar export" again, it goes on where it ended`);
      if (page.length > 0) yield page;
    },
  };
}
