import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { DeviceOutcome, MeasureMessage } from '../../domain/device.ts';
import { parameter } from '../http/request.ts';
import { iotErrors, send } from './errors.ts';

/** Where a measure goes; adapters/intake.ts. @throws DomainError Unavailable if the store is gone */
export type TakeMeasure = (message: MeasureMessage) => Promise<DeviceOutcome>;

const TAGS = ['Measures'];
/** What comes from devices is small; the larger limit of the APIs is not for them. */
const BODY_LIMIT_BYTES = 256 * 1024;

/** Measures over HTTP: the paths of the FIWARE JSON and UltraLight agents, the twin of the Smart Citizen API, and The Things Stack's webhook. */
export const measureRoutes =
  (take: TakeMeasure): FastifyPluginAsync =>
  async (app) => {
    iotErrors(app);
    // Payloads are read by the adapters, so they arrive here as bytes, whatever they are.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES }, (_request, body, done) =>
      done(null, body),
    );
    app.addHook('onSend', async (_request, reply) => {
      reply.header('X-Processing-Time', String(Math.round(reply.elapsedTime)));
    });

    app.post('/iot/json', { schema: { summary: 'JSON measures', tags: TAGS } }, (request, reply) => {
      if (!isType(request, 'application/json')) return unsupported(reply, 'application/json');
      return fiware(take, request, reply, 'json', bodyOf(request));
    });
    app.post('/iot/json/attrs/:name', { schema: { summary: 'One JSON measure', tags: TAGS } }, (request, reply) => {
      const types = ['application/json', 'text/plain', 'application/octet-stream'];
      if (!types.some((type) => isType(request, type))) return unsupported(reply, types.join(', '));
      const attribute = (request.params as { name: string }).name;
      return fiware(take, request, reply, 'json', singleValue(request), { attribute });
    });
    app.post('/iot/d', { schema: { summary: 'UltraLight 2.0 measures', tags: TAGS } }, (request, reply) => {
      if (!isType(request, 'text/plain')) return unsupported(reply, 'text/plain');
      return fiware(take, request, reply, 'ultralight', bodyOf(request));
    });
    for (const [url, format] of [
      ['/iot/json', 'json'],
      ['/iot/d', 'ultralight'],
    ] as const) {
      app.get(url, { schema: { summary: 'One measure in the query', tags: TAGS } }, (request, reply) => {
        const payload = parameter(request, 'd');
        const body = payload === undefined ? undefined : Buffer.from(payload);
        return fiware(take, request, reply, format, body, { single: true });
      });
    }

    for (const [url, format, type] of [
      ['/iot/json/commands', 'json', 'application/json'],
      ['/iot/d/commands', 'ultralight', 'text/plain'],
    ] as const) {
      app.post(url, { schema: { summary: 'Results of commands', tags: TAGS } }, (request, reply) => {
        if (!isType(request, type)) return unsupported(reply, type);
        return fiware(take, request, reply, format, bodyOf(request), { results: true });
      });
    }

    app.post(
      '/iot/sck/devices/:id/readings',
      { schema: { summary: 'Smart Citizen readings', tags: TAGS } },
      async (request, reply) => {
        const key = secretOf(request);
        if (key === undefined) return unauthorized(reply, 'the token of the device');
        const { id } = request.params as { id: string };
        const outcome = await take({ format: 'smart-citizen', key, deviceId: id, body: bodyOf(request) ?? Buffer.alloc(0) });
        if (!outcome.accepted) return refused(reply, outcome, 401);
        // The original answers 200 whatever happened; whoever sends should know which rows were lost.
        if (outcome.warnings !== undefined) return reply.code(207).send({ warnings: outcome.warnings });
        return reply.send({});
      },
    );
    for (const [url, format, summary] of WEBHOOKS) {
      app.post(url, { schema: { summary, tags: TAGS } }, async (request, reply) => {
        const key = secretOf(request);
        if (key === undefined) return unauthorized(reply, 'the API key of the group');
        const outcome = await take({
          format,
          key,
          deviceId: undefined,
          body: bodyOf(request) ?? Buffer.alloc(0),
        });
        if (!outcome.accepted) return refused(reply, outcome, 401);
        // Asked for a downlink (Sigfox): without one the answer is empty.
        if (outcome.commands === '') return reply.code(204).send();
        return outcome.commands === undefined ? reply.send({}) : reply.type('application/json').send(outcome.commands);
      });
    }
  };

/** What network servers call; the API key of the group is in a header. */
const WEBHOOKS = [
  ['/iot/tts', 'things-stack', 'The Things Stack webhook'],
  ['/iot/tts/*', 'things-stack', 'The Things Stack webhook'],
  ['/iot/chirpstack', 'chirpstack', 'ChirpStack HTTP integration'],
  ['/iot/sigfox', 'sigfox', 'Sigfox callback'],
] as const;

async function fiware(
  take: TakeMeasure,
  request: FastifyRequest,
  reply: FastifyReply,
  format: 'json' | 'ultralight',
  body: Buffer | undefined,
  more: { readonly attribute?: string; readonly single?: boolean; readonly results?: boolean } = {},
): Promise<FastifyReply> {
  const key = parameter(request, 'k') ?? secretOf(request);
  const deviceId = parameter(request, 'i');
  const getCommands = parameter(request, 'getCmd') === '1';
  const empty = body === undefined || body.length === 0;
  if (key === undefined || deviceId === undefined || (empty && !getCommands)) {
    return send(
      reply,
      400,
      'MANDATORY_PARAMS_NOT_FOUND',
      'Some of the mandatory params were not found in the request: i, k and the payload',
    );
  }
  const time = parameter(request, 't');
  const outcome = await take({
    format,
    key,
    deviceId,
    body: body ?? Buffer.alloc(0),
    ...(time !== undefined && { time }),
    ...(getCommands && { getCommands }),
    ...more,
  });
  if (!outcome.accepted) return refused(reply, outcome, 404);
  if (outcome.commands !== undefined) {
    return reply.header('content-type', format === 'json' ? 'application/json' : 'text/plain').send(outcome.commands);
  }
  return format === 'json' ? reply.send({}) : reply.header('content-type', 'text/plain').send('');
}

/** @param unknownKey status if the key holds for nobody: 404 as IoT agents answer, 401 where a header carries it */
function refused(reply: FastifyReply, outcome: DeviceOutcome & { accepted: false }, unknownKey: number): FastifyReply {
  const status =
    outcome.code === 'DEVICE_GROUP_NOT_FOUND'
      ? unknownKey
      : outcome.code === 'DEVICE_NOT_FOUND'
        ? 404
        : outcome.code === 'COMMAND_NOT_FOUND'
          ? 404
          : outcome.code === 'INTERNAL_ERROR'
            ? 500
            : 400;
  return send(reply, status, outcome.code, outcome.reason);
}

/** A secret in a header instead of the URL, where it would stand in every log. */
function secretOf(request: FastifyRequest): string | undefined {
  const key = request.headers['x-api-key'];
  if (typeof key === 'string') return key;
  const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '');
  return bearer?.[1];
}

/** Text is a JSON text, bytes are the hexadecimal digits that agents store, JSON is itself. */
function singleValue(request: FastifyRequest): Buffer | undefined {
  const body = bodyOf(request);
  if (body === undefined || isType(request, 'application/json')) return body;
  return Buffer.from(JSON.stringify(isType(request, 'text/plain') ? body.toString('utf8') : body.toString('hex')));
}

const bodyOf = (request: FastifyRequest): Buffer | undefined => (Buffer.isBuffer(request.body) ? request.body : undefined);
const isType = (request: FastifyRequest, type: string): boolean =>
  (request.headers['content-type'] ?? '').toLowerCase().split(';', 1)[0]?.trim() === type;
const unsupported = (reply: FastifyReply, type: string): FastifyReply =>
  send(reply, 400, 'UNSUPPORTED_TYPE', `The content type must be ${type}`);
const unauthorized = (reply: FastifyReply, what: string): FastifyReply =>
  send(
    reply.header('www-authenticate', 'Bearer'),
    401,
    'UNAUTHORIZED',
    `X-Api-Key or Authorization: Bearer must carry ${what}`,
  );
