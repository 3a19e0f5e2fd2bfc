import { badRequest, DomainError, notFound } from '../../../domain/errors.ts';
import { isObject, type JsonValue } from '../../../domain/json.ts';
import type { Below, StaChange, StaOperations } from '../../../operations/sta/operations.ts';
import { staError } from '../errors.ts';
import { bodyOf, created, handle, modeOf, type StaReply, writePath } from '../handle.ts';
import type { StaTarget } from '../target.ts';

/** A request inside a batch. */
export interface Part {
  /** Content-ID or id: what is made can be meant by `$id` later. */
  readonly id?: string | undefined;
  readonly method: string;
  /** Absolute, an absolute path, or relative to the service root. */
  readonly url: string;
  readonly contentType?: string | undefined;
  readonly body: JsonValue | undefined;
}

/** Requests of one batch. */
const MOST_PARTS = 10_000;

/** Runs the parts of a batch, and remembers what they made. */
export class BatchRun {
  readonly #operations: StaOperations;
  readonly #target: StaTarget;
  /** By id: "Things(5)". */
  readonly #made = new Map<string, string>();
  #parts = 0;

  constructor(operations: StaOperations, target: StaTarget) {
    this.#operations = operations;
    this.#target = target;
  }

  /** One request on its own. What goes wrong is its answer. */
  async single(part: Part): Promise<StaReply> {
    try {
      this.#count(1);
      const { method, contentType, body } = part;
      const target = this.#targetOf(this.#withIds(part.url));
      const reply = await handle(this.#operations, { method, target, contentType, body: this.#inBody(body) });
      this.#remember(part.id, reply);
      return reply;
    } catch (error) {
      return failure(error);
    }
  }

  /** Several writes as one. @returns their answers, or that of the first that failed */
  async changeSet(parts: readonly Part[]): Promise<readonly StaReply[] | StaReply> {
    try {
      this.#count(parts.length);
      const own = new Set<string>();
      const changes = parts.map((part) => {
        const change = this.#change(part, own);
        if (part.id !== undefined) own.add(part.id);
        return change;
      });
      const items = await this.#operations.changeSet(this.#target.caller, this.#target, changes);
      return items.map((item, at) => {
        const reply: StaReply = item === undefined ? { status: 200 } : created(item);
        this.#remember(parts[at]?.id, reply);
        return reply;
      });
    } catch (error) {
      return failure(error);
    }
  }

  /** The id of the first member that a request found can be meant, too: so something is created only if it is not there. */
  found(id: string | undefined, reply: StaReply): boolean {
    const { json } = reply;
    if (!isObject(json)) return false;
    const value = json['value'];
    const one = Array.isArray(value) ? value[0] : json;
    const link = isObject(one) ? one['@iot.selfLink'] : undefined;
    if (id !== undefined && typeof link === 'string') this.#made.set(id, link.slice(this.#target.url.length + 1));
    return Array.isArray(value) ? value.length > 0 : reply.status < 300;
  }

  #count(parts: number): void {
    this.#parts += parts;
    if (this.#parts > MOST_PARTS) throw badRequest(`A batch has at most ${MOST_PARTS} requests`);
  }

  #remember(id: string | undefined, { location }: StaReply): void {
    if (id !== undefined && location !== undefined) this.#made.set(id, location.slice(this.#target.url.length + 1));
  }

  #change({ id, method, url, body, contentType }: Part, own: ReadonlySet<string>): StaChange {
    const below = method === 'POST' ? belowOf(url, own) : undefined;
    const target = below === undefined ? this.#targetOf(this.#withIds(url)) : undefined;
    const content = this.#inBody(body);
    switch (method) {
      case 'POST':
        return { kind: 'create', at: below ?? writePath(target as StaTarget), body: bodyOf(content), name: id };
      case 'PATCH':
      case 'PUT':
        return {
          kind: 'update',
          at: writePath(target as StaTarget),
          body: bodyOf(content),
          mode: modeOf({ method, contentType }),
        };
      case 'DELETE':
        return { kind: 'remove', at: writePath(target as StaTarget) };
      default:
        throw badRequest(`A change set has writes only, and ${method} is none`);
    }
  }

  /** `$id/Datastreams` and `Sensors($id)/Datastreams` as what was made under that id. */
  #withIds(url: string): string {
    return url
      .replace(/(^|\/)\$([\w.:;,-]+)(?=\/|\?|$)/, (whole, before: string, id: string) => {
        const made = this.#made.get(id);
        return made === undefined ? whole : `${before}${made}`;
      })
      .replace(/\w+\(\$([\w.:;,-]+)\)/g, (whole, id: string) => this.#made.get(id) ?? whole);
  }

  /** `{"@iot.id": "$id"}` as the id of what was made before. */
  #inBody(body: JsonValue | undefined): JsonValue | undefined {
    if (this.#made.size === 0 || typeof body !== 'object' || body === null) return body;
    if (Array.isArray(body)) return body.map((one) => this.#inBody(one as JsonValue) as JsonValue);
    return Object.fromEntries(
      Object.entries(body).map(([name, value]) => {
        const made =
          name === '@iot.id' && typeof value === 'string' && value.startsWith('$') ? this.#made.get(value.slice(1)) : undefined;
        const number = made === undefined ? undefined : Number(/\((\d+)\)/.exec(made)?.[1]);
        return [name, number ?? (this.#inBody(value) as JsonValue)];
      }),
    );
  }

  #targetOf(url: string): StaTarget {
    const root = this.#target.url;
    const base = root.replace(/^https?:\/\/[^/]+/, '');
    const within = url.replace(/^https?:\/\/[^/]+/, '');
    let relative = within;
    if (within.startsWith('/')) {
      if (!within.startsWith(`${base}/`)) throw notFound(`${url.slice(0, 200)} is not below ${root}`);
      relative = within.slice(base.length + 1);
    }
    const at = relative.indexOf('?');
    return { ...this.#target, path: at < 0 ? relative : relative.slice(0, at), query: at < 0 ? '' : relative.slice(at + 1) };
  }
}

/** A collection below something that the same change set makes. */
function belowOf(url: string, own: ReadonlySet<string>): Below | undefined {
  const [, first, second, link] = /(?:^|\/)(?:\$([\w.:;,-]+)|\w+\(\$([\w.:;,-]+)\))\/(\w+)$/.exec(url) ?? [];
  const name = first ?? second;
  return name !== undefined && link !== undefined && own.has(name) ? { name, link } : undefined;
}

function failure(error: unknown): StaReply {
  const answer = staError(error);
  // What nobody foresaw must not look like the client's mistake, nor end the other parts.
  if (answer.code === 500 && !(error instanceof DomainError)) throw error;
  return { status: answer.code, json: answer };
}
