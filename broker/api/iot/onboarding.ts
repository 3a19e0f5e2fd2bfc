import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { JsonValue } from '../../domain/json.ts';
import type { OnboardingOperations, OnboardingState } from '../../operations/devices/onboarding.ts';
import type { ThingOperations } from '../../operations/devices/things.ts';
import { parameter } from '../http/request.ts';
import { iotErrors } from './errors.ts';
import { placeOf } from './provisioning.ts';

const TAGS = ['Devices'];
/** Proxies close what says nothing for a minute. */
const HEARTBEAT_MS = 20_000;

/** Onboarding of devices: in two steps with a session, and from a W3C Thing Description. */
export const onboardingRoutes =
  (onboarding: OnboardingOperations, things: ThingOperations): FastifyPluginAsync =>
  async (app) => {
    iotErrors(app);
    const streams = new Set<() => void>();
    // A stream would keep the server from closing.
    app.addHook('preClose', async () => {
      for (const end of streams) end();
    });

    app.post('/iot/onboarding', { schema: { summary: 'Begin to onboard a device', tags: TAGS } }, async (request, reply) => {
      const begun = await onboarding.begin(placeOf(request), request.body as JsonValue | undefined);
      return reply.code(201).header('cache-control', 'no-store').send(begun);
    });
    app.get(
      '/iot/onboarding/:session',
      { schema: { summary: 'How far an onboarding has come', tags: TAGS } },
      async (request, reply) => reply.header('cache-control', 'no-store').send(onboarding.state(sessionOf(request))),
    );
    app.get(
      '/iot/onboarding/:session/events',
      { schema: { summary: 'The same as it happens, as server-sent events', tags: TAGS } },
      (request, reply) => {
        // Whoever asks for what is not there gets an ordinary answer.
        onboarding.state(sessionOf(request));
        reply.hijack();
        const { raw } = reply;
        raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
        const heartbeat = setInterval(() => raw.write(':\n\n'), HEARTBEAT_MS).unref();
        let stop = () => {};
        const end = () => {
          clearInterval(heartbeat);
          streams.delete(end);
          stop();
          raw.end();
        };
        streams.add(end);
        raw.once('close', end);
        stop = onboarding.watch(sessionOf(request), (state: OnboardingState) => {
          raw.write(`event: ${state.state}\ndata: ${JSON.stringify(state)}\n\n`);
          if (state.state === 'claimed' || state.state === 'ended') end();
        });
      },
    );
    app.post(
      '/iot/onboarding/:session/claim',
      { schema: { summary: 'Claim the device of an onboarding', tags: TAGS } },
      async (request) => onboarding.claim(placeOf(request), sessionOf(request), request.body as JsonValue | undefined),
    );
    app.delete(
      '/iot/onboarding/:session',
      { schema: { summary: 'Cancel an onboarding', tags: TAGS } },
      async (request, reply) => {
        await onboarding.cancel(placeOf(request), sessionOf(request));
        return reply.code(204).send();
      },
    );

    app.addContentTypeParser('application/td+json', { parseAs: 'string' }, app.getDefaultJsonParser('error', 'error'));
    app.post(
      '/iot/things',
      { schema: { summary: 'Onboard a device from its W3C Thing Description', tags: TAGS } },
      async (request, reply) => {
        const dryRun = parameter(request, 'dryRun') === 'true';
        const onboarded = await things.onboard(placeOf(request), request.body as JsonValue | undefined, {
          dryRun,
          apikey: parameter(request, 'apikey'),
        });
        return reply
          .code(dryRun ? 200 : 201)
          .header('cache-control', 'no-store')
          .send(onboarded);
      },
    );
  };

const sessionOf = (request: FastifyRequest): string => (request.params as { session: string }).session;
