import type { Neighbour, Offered } from '../ports/neighbour.ts';

type Method = (...parameters: unknown[]) => unknown;

/** Operations that another process carries out: each call goes there with its parameters, which must be data. All methods answer with promises. */
export function operationsElsewhere<T extends object>(neighbour: Neighbour, name: string): T {
  const methods = new Map<string, Method>();
  return new Proxy({} as T, {
    get(_, property) {
      // What is awaited must not look like a promise.
      if (typeof property !== 'string' || property === 'then') return undefined;
      let method = methods.get(property);
      if (method === undefined) {
        method = (...parameters) => neighbour.call(name, property, parameters);
        methods.set(property, method);
      }
      return method;
    },
  });
}

/** Carries out what a neighbour calls. @throws TypeError if nothing of that name is offered; whatever the method throws */
export async function carryOut(
  offered: Offered,
  name: string,
  method: string,
  parameters: readonly unknown[],
): Promise<unknown> {
  const operations = Object.hasOwn(offered, name) ? (offered[name] as Record<string, unknown>) : {};
  const found = operations[method];
  if (typeof found !== 'function') throw new TypeError(`No operation ${name}.${method} is offered to other processes`);
  return (found as Method).apply(operations, [...parameters]);
}
