import type { Readable } from 'node:stream';
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { syntax } from '../../domain/device-document.ts';
import type { ImportOperations } from '../../operations/imports.ts';
import { parameter } from '../http/request.ts';
import { iotErrors } from './errors.ts';
import { placeOf } from './provisioning.ts';

const TAGS = ['Imports'];

/** History that comes as a file: a job for each, with its progress and what was wrong with which row. */
export const importRoutes =
  (imports: ImportOperations): FastifyPluginAsync =>
  async (app) => {
    iotErrors(app);
    // Files are streamed to disk, however large they are.
    app.addContentTypeParser(['text/csv', 'text/plain', 'application/octet-stream'], (_request, payload, done) =>
      done(null, payload),
    );

    app.post(
      '/iot/imports',
      { bodyLimit: Number.MAX_SAFE_INTEGER, schema: { summary: 'Import a file of history', tags: TAGS } },
      async (request, reply) => {
        const mapping = parameter(request, 'mapping');
        if (mapping === undefined) throw syntax('The parameter mapping names the adapter that says how the file is read');
        const bytes = request.body as Readable | undefined;
        if (bytes === undefined || typeof bytes !== 'object' || !('pipe' in bytes))
          throw syntax('The body must be the file, as text/csv');
        const job = await imports.create(placeOf(request), mapping, bytes);
        return reply.code(202).header('location', `/iot/imports/${job.id}`).send(job);
      },
    );
    app.get('/iot/imports', { schema: { summary: 'List imports', tags: TAGS } }, async (request) => {
      const list = imports.list(placeOf(request, true));
      return { count: list.length, imports: list };
    });
    app.get('/iot/imports/:id', { schema: { summary: 'How an import is doing', tags: TAGS } }, async (request) =>
      imports.get(placeOf(request, true), idOf(request)),
    );
    app.delete(
      '/iot/imports/:id',
      { schema: { summary: 'End an import, or forget one that has ended', tags: TAGS } },
      async (request, reply) => {
        await imports.delete(placeOf(request, true), idOf(request));
        return reply.code(204).send();
      },
    );
  };

const idOf = (request: FastifyRequest): string => (request.params as { id: string }).id;
