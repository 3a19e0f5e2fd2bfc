import type { Caller } from '../../domain/access.ts';
import { splitWrite, type WriteScope, type WriteShare } from '../../domain/distribution.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { UpdateResult } from '../../domain/patch.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import { problemOf, type Sources, sourceError } from './sources.ts';

/** What was not done of a write to one entity: by this broker, or by the source of a registration. */
export interface Failure {
  readonly error: DomainError;
  readonly registrationId?: Iri;
  /** undefined: the entity as a whole. */
  readonly attributes: readonly Iri[] | undefined;
}

/** A write of which some parts were done and others not (5.2.16 to 5.2.19). */
export interface PartialWrite {
  readonly id: Iri;
  /** Something was done. */
  readonly success: boolean;
  readonly updated: readonly Iri[];
  readonly failures: readonly Failure[];
}

/** The same operation here, on what is left for this broker. */
export type LocalWrite = (rest: readonly Iri[] | undefined) => Promise<UpdateResult | undefined>;

/**
 * Carries out a write to one entity here and at the sources that it concerns (4.3.6, 5.6).
 * @param operation its name in 4.20
 * @param temporal  it is a write to history, which sources of temporal information take part in too; the local part of it that is not known here need not be
 *                  done if a source did it (5.6.12.4: "If the target … exists locally")
 * @param onStatus  hears how each source answered that did its part
 * @returns undefined if all of it was done
 * @throws DomainError if there was one target only, and it failed; LoopDetected
 */
export async function distributeWrite(
  sources: Sources,
  caller: Caller,
  operation: string,
  scope: WriteScope,
  local: LocalWrite,
  { temporal = false, onStatus }: { readonly temporal?: boolean; onStatus?(status: number): void } = {},
): Promise<PartialWrite | undefined> {
  const known = sources.inForce(caller, undefined, temporal).filter(({ registration }) => registration.mode !== 'auxiliary');
  const split = splitWrite(known, (registration) => registration.operations.includes(operation), scope);
  if (split.shares.length === 0) return localOnly(scope, await local(scope.attributes));
  if (sources.isLoop(caller)) throw loop(sources, caller);
  const failures: Failure[] = [];
  const updated = new Set<Iri>();
  let done = 0;
  let notHere: DomainError | undefined;
  const succeed = (names: readonly Iri[] | undefined) => {
    done += 1;
    for (const name of names ?? []) updated.add(name);
  };
  const proxied = split.shares.some(({ source }) => source.registration.mode !== 'inclusive');

  async function forward(share: WriteShare<RegistrationInForce>): Promise<void> {
    const { source, attributes } = share;
    const failed = (error: DomainError) => void failures.push({ error, registrationId: source.id, attributes });
    if (share.refused) {
      failed(new DomainError('Conflict', `Registration ${source.id} covers this, but its source does not offer ${operation}`));
      return;
    }
    const reply = await sources.ask(caller, source, questionOf(caller, attributes, scope.attributes));
    if (reply.kind === 'answered' && reply.status < 300) onStatus?.(reply.status);
    if (reply.kind !== 'answered' || reply.status >= 300) failed(sourceError(reply, source));
    else if (reply.status === 207) partlyDone(reply.body, source, attributes);
    else succeed(attributes);
  }

  /** The source did some of it: an UpdateResult (5.2.18) or a BatchOperationResult (5.2.16). If it does not tell which part, that is told. */
  function partlyDone(body: JsonValue | undefined, source: RegistrationInForce, attributes: readonly Iri[] | undefined): void {
    if (!isObject(body)) {
      done += 1;
      const error = new DomainError(
        'BadGateway',
        `The context source of registration ${source.id} did only a part of it (207), and does not tell which`,
      );
      failures.push({ error, registrationId: source.id, attributes });
      return;
    }
    const expand = caller.onward?.context.expand ?? ((name: string) => name as Iri);
    const list = (name: string) => (Array.isArray(body[name]) ? body[name] : []) as readonly JsonValue[];
    const notUpdated = list('notUpdated').filter(isObject);
    const updatedThere = list('updated').filter((name) => typeof name === 'string');
    if (updatedThere.length > 0 || list('success').length > 0) succeed(updatedThere.map(expand));
    for (const one of notUpdated) {
      const error = new DomainError('BadRequestData', String(one['reason'] ?? 'not updated'));
      failures.push({ error, registrationId: source.id, attributes: [expand(String(one['attributeName']))] });
    }
    for (const one of list('errors').filter(isObject)) {
      failures.push({ error: problemOf(one['error'], source), registrationId: source.id, attributes });
    }
  }

  async function here(): Promise<void> {
    if (split.local === 'none') return;
    try {
      const result = await local(split.local);
      succeed(result ? result.updated : split.local);
      for (const { attributeName, reason } of result?.notUpdated ?? []) {
        failures.push({ error: new DomainError('BadRequestData', reason), attributes: [attributeName] });
      }
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      if (error.type === 'ResourceNotFound' || error.type === 'NonexistentTenant') notHere = error;
      else failures.push({ error, attributes: split.local });
    }
  }

  await Promise.all([...split.shares.map(forward), here()]);
  const ours = split.local === 'none' ? [] : split.local;
  // What a proxied registration holds elsewhere need not be here as well; what none of them covers is done nowhere.
  const mayBeMissing = (temporal && done > 0) || (proxied && (ours === undefined || ours.length === 0));
  if (notHere !== undefined && !mayBeMissing) failures.push({ error: notHere, attributes: ours });
  if (failures.length === 0) return undefined;
  if (done === 0 && failures.length === 1) throw failures[0]?.error;
  return { id: scope.id, success: done > 0, updated: [...updated], failures };
}

function localOnly({ id }: WriteScope, result: UpdateResult | undefined): PartialWrite | undefined {
  if (result === undefined || result.notUpdated.length === 0) return undefined;
  return {
    id,
    success: true,
    updated: result.updated,
    failures: result.notUpdated.map(({ attributeName, reason }) => ({
      error: new DomainError('BadRequestData', reason),
      attributes: [attributeName],
    })),
  };
}

export function loop(sources: Sources, caller: Caller): DomainError {
  return new DomainError('LoopDetected', `The request has been at ${sources.alias(caller.tenant)} before (Via)`);
}

/** The request as it came, with the attributes of the body that are meant for this source. */
function questionOf(caller: Caller, share: readonly Iri[] | undefined, all: readonly Iri[] | undefined) {
  const { onward } = caller;
  if (onward === undefined) throw new DomainError('InternalError', 'A local request was to be passed on');
  const query = Object.entries(onward.query).filter(([name]) => name !== 'local');
  const body =
    onward.body === undefined ||
    share === undefined ||
    share.length === all?.length ||
    !isObject(onward.body) ||
    /attrs\/[^/]+$/.test(onward.path)
      ? onward.body
      : partOf(onward.body, new Set(share), onward.context.expand);
  return { method: onward.method, path: onward.path, query, ...(body === undefined ? {} : { body }) };
}

const NOT_ATTRIBUTES = new Set(['id', 'type', '@id', '@type', '@context', 'scope', 'expiresAt', 'createdAt', 'modifiedAt']);

/** An entity as the client wrote it, with only some of its attributes. */
export function partOf(body: JsonObject, names: ReadonlySet<Iri>, expand: (term: string) => Iri): JsonObject {
  const part: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(body)) {
    if (NOT_ATTRIBUTES.has(name) || names.has(expand(name))) part[name] = value;
  }
  return part;
}
