import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '../../domain/errors.ts';
import { RETRY_AFTER_S, toDomainError, toProblem } from './problem.ts';

/** Answers with problem details whatever goes wrong: errors of routes and of the framework, unknown paths, wrong methods. */
export function refusals(app: FastifyInstance): void {
  const allowed = methodsByPath(app);
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const methods = allowed(path);
    // Without its id a path may be another resource (6.3.2: 405), but no method of entities/ changes entities (5.6.17.4, 5.6.18.4: 400).
    const lacksId = path.endsWith('/') && allowed(`${path}-`).includes(request.method);
    if (lacksId && (methods.length === 0 || path.endsWith('/v1/entities/'))) {
      return refuse(new DomainError('BadRequestData', `The path ${path} lacks the id of what it is about`), request, reply);
    }
    if (methods.length === 0)
      return refuse(new DomainError('ResourceNotFound', `There is no resource ${path} here`), request, reply);
    reply.header('allow', methods.join(', '));
    return refuse(
      new DomainError('MethodNotAllowed', `${request.method} is not possible here, but ${methods.join(', ')}`),
      request,
      reply,
    );
  });
}

/** Sends the error as a problem (5.5.3). 415 has no body (6.3.4). What we did not foresee is logged in full, and told in one sentence. */
export function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toDomainError(error, request.headers['content-type']);
  if (known.type === 'InternalError') {
    request.log.error({ err: error, requestId: request.id, method: request.method, url: request.url }, 'request failed');
  }
  if (known.type === 'Unavailable' || known.type === 'TooManyRequests') reply.header('retry-after', String(RETRY_AFTER_S));
  const problem = toProblem(known);
  reply.code(problem.status);
  if (known.type === 'UnsupportedMediaType') return reply.removeHeader('content-type').send();
  return reply.header('content-type', 'application/json').send(Buffer.from(JSON.stringify(problem)));
}

/** Learns which methods each path pattern has while routes are added. @returns the methods that a path would have had */
function methodsByPath(app: FastifyInstance): (path: string) => readonly string[] {
  const patterns = new Map<string, Set<string>>();
  app.addHook('onRoute', (route) => {
    const methods = patterns.get(route.url) ?? new Set<string>();
    for (const method of [route.method].flat()) methods.add(method);
    patterns.set(route.url, methods);
  });
  return (path) => {
    const segments = (path.endsWith('/') ? path.slice(0, -1) : path).split('/');
    const found = new Set<string>();
    for (const [pattern, methods] of patterns) {
      if (matches(pattern.split('/'), segments)) for (const method of methods) found.add(method);
    }
    return [...found].sort();
  };
}

function matches(pattern: readonly string[], path: readonly string[]): boolean {
  if (pattern.at(-1) === '*') {
    return path.length >= pattern.length && pattern.slice(0, -1).every((part, at) => part === path[at]);
  }
  return (
    pattern.length === path.length && pattern.every((part, at) => (part.startsWith(':') ? path[at] !== '' : part === path[at]))
  );
}
