import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { syntax } from '../../domain/device-document.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import type { ProcessingRecords } from '../../operations/processing/records.ts';
import { iotErrors } from './errors.ts';
import { placeOf } from './provisioning.ts';

/** The operations that every kind of processing document has. */
export type DocumentOperations = Pick<ProcessingRecords<unknown>, 'put' | 'list' | 'get' | 'delete'>;

/** A kind of document and where it is. */
export interface DocumentResource {
  /** Path below /iot, and the member of listings. */
  readonly path: string;
  /** "a bad-data rule". */
  readonly what: string;
  readonly operations: DocumentOperations;
}

export interface ProcessingRoutesOptions {
  readonly resources: readonly DocumentResource[];
  /** What a transformation makes of a message, without storing anything. */
  readonly tryTransformation: (place: ReturnType<typeof placeOf>, name: string, message: JsonValue) => Promise<JsonObject>;
  /** Models that values can be compared with. */
  readonly models: () => Promise<readonly string[]>;
}

const TAGS = ['Processing'];
/** As large as a message of a device may be. */
const TRIAL_LIMIT_BYTES = 1024 * 1024;

/** What is done with everything that devices say before it is stored, and what is made of it: documents of a tenant. */
export const processingRoutes =
  ({ resources, tryTransformation, models }: ProcessingRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    iotErrors(app);
    for (const resource of resources) documentRoutes(app, resource);

    app.post(
      '/iot/transformations/:name/try',
      {
        bodyLimit: TRIAL_LIMIT_BYTES,
        schema: { summary: 'See what a transformation makes of a message; nothing is stored', tags: TAGS },
      },
      async (request) => {
        if (request.body === undefined) throw syntax('The body must be a message, as JSON');
        return tryTransformation(placeOf(request, true), nameOf(request), request.body as JsonValue);
      },
    );
    app.get('/iot/models', { schema: { summary: 'List data models', tags: TAGS } }, async (request) => {
      placeOf(request, true);
      const names = await models();
      return { count: names.length, models: names };
    });
  };

function documentRoutes(app: FastifyInstance, { path, what, operations }: DocumentResource): void {
  const member = path.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  const summary = (verb: string): object => ({ schema: { summary: `${verb} ${what}`, tags: TAGS } });
  app.get(`/iot/${path}`, { schema: { summary: `List documents: ${what}`, tags: TAGS } }, async (request) => {
    const list = operations.list(placeOf(request, true).caller);
    return { count: list.length, [member]: list };
  });
  app.get(`/iot/${path}/:name`, summary('Retrieve'), async (request) =>
    operations.get(placeOf(request, true).caller, nameOf(request)),
  );
  app.put(`/iot/${path}/:name`, summary('Create or replace'), async (request, reply) => {
    const { caller } = placeOf(request, true);
    const isNew = await operations.put(caller, nameOf(request), request.body as JsonValue | undefined);
    return reply.code(isNew ? 201 : 204).send();
  });
  app.delete(`/iot/${path}/:name`, summary('Delete'), async (request, reply) => {
    await operations.delete(placeOf(request, true).caller, nameOf(request));
    return reply.code(204).send();
  });
}

const nameOf = (request: FastifyRequest): string => (request.params as { name: string }).name;
