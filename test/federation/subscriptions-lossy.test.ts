import { request as ask, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { backOff } from '../../broker/operations/notify/back-off.ts';
import { type Json, listeningBroker, until } from '../support/federation.ts';

/** What happens to one request on the way to the source. */
const FATES = ['arrives', 'is lost', 'answer is lost', 'is put off'] as const;
type Fate = (typeof FATES)[number];

/** A way to a broker on which requests and answers get lost. */
async function lossyWay(target: string, fates: Fate[]) {
  const server = createServer((incoming, outgoing) => {
    const fate = fates.shift() ?? 'arrives';
    if (fate === 'is lost') return void incoming.socket.destroy();
    if (fate === 'is put off') return void outgoing.writeHead(503).end();
    const onward = ask(`${target}${incoming.url}`, { method: incoming.method, headers: incoming.headers }, (answer) => {
      if (fate === 'answer is lost') {
        answer.resume().once('end', () => incoming.socket.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.once('error', () => incoming.socket.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

type Step =
  | { readonly kind: 'subscribe' | 'unsubscribe'; readonly subscription: number }
  | { readonly kind: 'change'; readonly subscription: number; readonly q: number | undefined }
  | { readonly kind: 'register' | 'deregister'; readonly registration: number };

const number = fc.integer({ min: 0, max: 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('subscribe' as const, 'unsubscribe' as const), subscription: number }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      subscription: number,
      q: fc.option(fc.constant(1), { nil: undefined }),
    }),
  },
  fc.record({ kind: fc.constantFrom('register' as const, 'deregister' as const), registration: number }),
);

const subscriptionId = (index: number) => `urn:s:${index}`;

it('whatever gets lost on the way, in the end the source has the copies that are wanted, and no others (5.8.1.4)', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 20 }),
      fc.array(fc.constantFrom(...FATES), { maxLength: 25 }),
      async (steps, fates) => {
        await using near = await listeningBroker('near', {}, { sourceBackOff: backOff(1, { firstMs: 15, longestMs: 15 }) });
        await using far = await listeningBroker('far');
        await using way = await lossyWay(far.url, [...fates]);
        const subscribed = new Map<number, string | undefined>();
        const registered = new Set<number>();
        for (const one of steps) await take(one);
        await near.broker.distributed.idle();
        await until('nothing is outstanding', () => near.broker.distributed.outstanding() === 0);
        const copies: Json[] = await far.do('GET', 'subscriptions?limit=1000');
        const wanted = [...registered].flatMap((registration) =>
          [...subscribed.values()].map((q) => `${JSON.stringify(typeOf(registration))} ${q}`),
        );
        expect(copies.map(({ entities, q }) => `${JSON.stringify(entities)} ${q}`).sort()).toEqual(wanted.sort());
        expect(await near.do('GET', '/admin/subscription-copies')).toHaveLength(wanted.length);

        async function take(what: Step): Promise<void> {
          if (what.kind === 'subscribe' && !subscribed.has(what.subscription)) {
            const id = subscriptionId(what.subscription);
            const notification = { endpoint: { uri: 'http://127.0.0.1:9/' } };
            await near.do('POST', 'subscriptions', { id, type: 'Subscription', entities: [{ type: 'Car' }], notification });
            subscribed.set(what.subscription, undefined);
          } else if (what.kind === 'unsubscribe' && subscribed.delete(what.subscription)) {
            await near.do('DELETE', `subscriptions/${subscriptionId(what.subscription)}`);
          } else if (what.kind === 'change' && subscribed.has(what.subscription)) {
            const q = what.q === undefined ? undefined : `speed>${what.q}`;
            await near.do('PATCH', `subscriptions/${subscriptionId(what.subscription)}`, { q: q ?? 'urn:ngsi-ld:null' });
            subscribed.set(what.subscription, q);
          } else if (what.kind === 'register' && !registered.has(what.registration)) {
            await near.do('POST', 'csourceRegistrations', {
              id: `urn:r:${what.registration}`,
              type: 'ContextSourceRegistration',
              information: [{ entities: typeOf(what.registration) }],
              endpoint: way.url,
            });
            registered.add(what.registration);
          } else if (what.kind === 'deregister' && registered.delete(what.registration)) {
            await near.do('DELETE', `csourceRegistrations/urn:r:${what.registration}`);
          }
        }
      },
    ),
    { numRuns: 25 },
  );
}, 120_000);

/** Registrations differ, so that their copies can be told apart. */
const typeOf = (registration: number) => [{ id: `urn:c:${registration}`, type: 'Car' }];
