import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { toProblem } from '../api/http/problem.ts';
import { DomainError } from '../domain/errors.ts';

/** Headers that are about one connection, and not about the message. */
const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'upgrade', 'expect', 'transfer-encoding']);

/** Passes requests on as they are, and their answers back. */
export interface Forward {
  /** @param body what was read of the request already; absent: it is read here */
  (request: IncomingMessage, response: ServerResponse, body?: string): void;
  close(): void;
}

/** @param socketPath where the process listens that answers what this one does not */
export function forwardTo(socketPath: string): Forward {
  const agent = new Agent({ keepAlive: true });
  const forward = (request: IncomingMessage, response: ServerResponse, body?: string): void => {
    const headers = without(request.rawHeaders, body === undefined ? OF_THE_CONNECTION : BODY_READ);
    const chunked = body === undefined && request.headers['transfer-encoding'] !== undefined;
    if (chunked) headers.push('transfer-encoding', 'chunked');
    if (body !== undefined) headers.push('content-length', String(Buffer.byteLength(body)));
    const passed = httpRequest({ agent, socketPath, method: request.method, path: request.url, setHost: false });
    for (let at = 0; at < headers.length; at += 2) passed.appendHeader(headers[at] as string, headers[at + 1] as string);
    if (!passed.hasHeader('content-length') && !chunked) {
      // No body: nothing may be added that says how long it is.
      passed.removeHeader('content-length');
      passed.removeHeader('transfer-encoding');
    }
    passed.on('response', (answer) => {
      response.sendDate = false;
      const back = without(answer.rawHeaders, OF_THE_CONNECTION);
      // Said by the answer itself: the body of the request was not read.
      if (answer.headers.connection === 'close') back.push('connection', 'close');
      response.writeHead(answer.statusCode ?? 500, answer.statusMessage, back);
      answer.pipe(response);
    });
    passed.on('error', () => {
      if (response.headersSent) response.destroy();
      else refuse(response);
    });
    response.once('close', () => {
      if (!response.writableFinished) passed.destroy();
    });
    if (body !== undefined) passed.end(body);
    else if (passed.hasHeader('content-length') || chunked) request.pipe(passed);
    else passed.end();
  };
  return Object.assign(forward, { close: () => agent.destroy() });
}

const BODY_READ = new Set([...OF_THE_CONNECTION, 'content-length']);

/** @param raw name, value, name, value … */
function without(raw: readonly string[], names: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string;
    if (!names.has(name.toLowerCase())) kept.push(name, raw[at + 1] as string);
  }
  return kept;
}

function refuse(response: ServerResponse): void {
  const problem = toProblem(new DomainError('Unavailable', 'The broker is ending or starting: try again later.'));
  const body = JSON.stringify(problem);
  response
    .writeHead(problem.status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'retry-after': '1',
    })
    .end(body);
}
