import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { ProvisioningError, syntax } from '../../domain/device-document.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { AdapterProcesses, DeliveredMessage, ProcessIdentity } from '../../operations/adapters/processes.ts';
import type { AdapterRecords } from '../../operations/adapters/records.ts';
import { iotErrors, send } from './errors.ts';
import { placeOf } from './provisioning.ts';

const TAGS = ['Adapters'];
/** What an adapter process hands in at once. */
const DELIVERY_LIMIT_BYTES = 4 * 1024 * 1024;
const MOST_MESSAGES = 5000;

export interface AdapterRoutesOptions {
  readonly records: AdapterRecords;
  readonly processes: AdapterProcesses;
  /** How an adapter is doing; undefined: it has not been heard of. */
  readonly stateOf: (tenant: string, process: string | undefined, id: string) => JsonValue | undefined;
}

/** Adapters and the processes that run them: written down by an operator, asked and answered by the processes. */
export const adapterRoutes =
  ({ records, processes, stateOf }: AdapterRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    iotErrors(app);
    // Processes that wait for something to do would hold up the end.
    app.addHook('preClose', async () => processes.stop());

    const withState = (shown: JsonObject): JsonObject => {
      const path = shown['service_path'] as string;
      const state = stateOf(
        shown['service'] as string,
        shown['process'] as string | undefined,
        `${path === '/' ? '' : path}/${shown['name']}`,
      );
      return { ...shown, ...(state !== undefined && { state }) };
    };

    app.get('/iot/adapters', { schema: { summary: 'List adapters and how they are doing', tags: TAGS } }, async (request) => {
      const adapters = records.list(placeOf(request, true)).map(withState);
      return { count: adapters.length, adapters };
    });
    app.get('/iot/adapters/:name', { schema: { summary: 'Retrieve an adapter', tags: TAGS } }, async (request) =>
      withState(records.get(placeOf(request), nameOf(request))),
    );
    app.put(
      '/iot/adapters/:name',
      { schema: { summary: 'Create or replace an adapter', tags: TAGS } },
      async (request, reply) => {
        const isNew = await records.put(placeOf(request), nameOf(request), (request.body ?? {}) as JsonValue);
        return reply.code(isNew ? 201 : 204).send();
      },
    );
    app.delete(
      '/iot/adapters/:name',
      { schema: { summary: 'Stop and delete an adapter', tags: TAGS } },
      async (request, reply) => {
        await records.delete(placeOf(request), nameOf(request));
        return reply.code(204).send();
      },
    );

    app.get('/iot/adapter-processes', { schema: { summary: 'List adapter processes', tags: TAGS } }, async (request) => {
      const list = processes.list(placeOf(request, true));
      return { count: list.length, processes: list };
    });
    app.post(
      '/iot/adapter-processes',
      { schema: { summary: 'Create an adapter process; its token is shown once', tags: TAGS } },
      async (request, reply) => {
        const body = request.body as JsonValue | undefined;
        const name = isObject(body) ? body['name'] : undefined;
        if (typeof name !== 'string') throw syntax('The body must be a JSON object with the name of the process');
        const token = await processes.create(placeOf(request, true), name);
        return reply.code(201).header('cache-control', 'no-store').send({ name, token });
      },
    );
    app.delete(
      '/iot/adapter-processes/:name',
      { schema: { summary: 'End the token of an adapter process', tags: TAGS } },
      async (request, reply) => {
        await processes.delete(placeOf(request, true), nameOf(request));
        return reply.code(204).send();
      },
    );

    app.post(
      '/iot/adapter-processes/:name/deliveries',
      { bodyLimit: DELIVERY_LIMIT_BYTES, schema: { summary: 'What an adapter process has heard', tags: TAGS } },
      async (request, reply) => {
        const identity = identityOf(request);
        if (identity === undefined) return unauthorized(reply);
        return processes.deliver(identity, readDelivery(request.body as JsonValue | undefined));
      },
    );
    app.post(
      '/iot/adapter-processes/:name/sync',
      { schema: { summary: 'What an adapter process is to do', tags: TAGS } },
      async (request, reply) => {
        const identity = identityOf(request);
        if (identity === undefined) return unauthorized(reply);
        const body = request.body as JsonValue | undefined;
        if (!isObject(body)) throw syntax('The body must be a JSON object');
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort());
        const results = Array.isArray(body['results']) ? body['results'] : [];
        return processes.sync(
          identity,
          {
            version: String(body['version'] ?? ''),
            states: isObject(body['states']) ? body['states'] : {},
            results: results.flatMap((result: JsonValue) =>
              isObject(result) && typeof result['id'] === 'string'
                ? [{ id: result['id'], ok: result['ok'] === true, info: (result['info'] ?? '') as JsonValue }]
                : [],
            ),
          },
          gone.signal,
        );
      },
    );

    function identityOf(request: FastifyRequest): ProcessIdentity | undefined {
      const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '');
      return bearer?.[1] === undefined ? undefined : processes.authenticate(nameOf(request), bearer[1]);
    }
  };

/** @throws ProvisioningError WRONG_SYNTAX */
function readDelivery(body: JsonValue | undefined): {
  readonly outbox: string;
  readonly messages: readonly DeliveredMessage[];
} {
  if (!isObject(body) || typeof body['outbox'] !== 'string' || !Array.isArray(body['messages']))
    throw syntax('A delivery has an outbox and messages');
  if (body['messages'].length > MOST_MESSAGES) throw syntax(`At most ${MOST_MESSAGES} messages are delivered at once`);
  let before = 0;
  const messages = body['messages'].map((entry: JsonValue, at: number): DeliveredMessage => {
    const sequence = isObject(entry) ? entry['sequence'] : undefined;
    if (!isObject(entry) || !Number.isSafeInteger(sequence) || (sequence as number) <= before || !isObject(entry['message'])) {
      throw syntax(`messages[${at}]: needs a message, and a sequence that is greater than the one before`);
    }
    before = sequence as number;
    return { sequence: sequence as number, adapter: String(entry['message']['adapter'] ?? ''), message: entry['message'] };
  });
  return { outbox: body['outbox'].slice(0, 64), messages };
}

function nameOf(request: FastifyRequest): string {
  const { name } = request.params as { name?: string };
  if (name === undefined || name === '') throw new ProvisioningError('WRONG_SYNTAX', 'The name is missing');
  return name;
}

const unauthorized = (reply: FastifyReply): FastifyReply =>
  send(
    reply.header('www-authenticate', 'Bearer'),
    401,
    'UNAUTHORIZED',
    'Authorization: Bearer must carry the token of this adapter process',
  );
