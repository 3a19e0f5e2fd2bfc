import { STATUS_CODES } from 'node:http';
import { DomainError, invalidRequest } from '../../../domain/errors.ts';
import type { JsonValue } from '../../../domain/json.ts';
import type { StaOperations } from '../../../operations/sta/operations.ts';
import { parseJsonBody } from '../../http/json-body.ts';
import { staError } from '../errors.ts';
import type { StaReply } from '../handle.ts';
import type { StaTarget } from '../target.ts';
import { BatchRun, type Part } from './run.ts';

/** One part of a multipart document. Header names are in lower case. */
interface MimePart {
  readonly headers: ReadonlyMap<string, string>;
  readonly content: string;
}

/** Batches as OData 4.0 writes them: parts are requests, or change sets whose parts are writes. */
export async function multipartBatch(
  operations: StaOperations,
  target: StaTarget,
  body: string,
  boundary: string,
  jsonDepth: number,
): Promise<StaReply> {
  const run = new BatchRun(operations, target);
  const own = `batch_${boundary.replace(/[^A-Za-z0-9]/g, '').slice(0, 40)}`;
  const answers: string[] = [];
  for (const [at, mime] of split(body, boundary).entries()) {
    const inner = /multipart\/mixed.*boundary="?([^";]+)"?/i.exec(mime.headers.get('content-type') ?? '')?.[1]?.trim();
    if (inner === undefined) {
      answers.push(httpPart(await attempt(() => run.single(readRequest(mime, jsonDepth))), mime.headers.get('content-id')));
      continue;
    }
    const parts = split(mime.content, inner);
    const replies = await attempt(() => run.changeSet(parts.map((part) => readRequest(part, jsonDepth))));
    if ('status' in replies) answers.push(httpPart(replies, undefined));
    else {
      const set = `changeset_${at}_${own}`;
      const written = replies.map((reply, index) => `--${set}\r\n${httpPart(reply, parts[index]?.headers.get('content-id'))}`);
      answers.push(`Content-Type: multipart/mixed;boundary=${set}\r\n\r\n${written.join('')}--${set}--\r\n`);
    }
  }
  const content = `${answers.map((answer) => `--${own}\r\n${answer}`).join('')}--${own}--\r\n`;
  return { status: 200, text: { type: `multipart/mixed;boundary=${own}`, content } };
}

/** A part that cannot be read is refused alone. */
async function attempt<T>(run: () => Promise<T>): Promise<T | StaReply> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const answer = staError(error);
    return { status: answer.code, json: answer };
  }
}

/** @throws DomainError InvalidRequest if it is no multipart document of this boundary */
function split(text: string, boundary: string): readonly MimePart[] {
  const pieces = `\n${text.replaceAll('\r\n', '\n')}`.split(`\n--${boundary}`);
  if (pieces.length < 2) throw invalidRequest(`The batch has no part that begins with the boundary "${boundary}"`);
  const parts: MimePart[] = [];
  for (const piece of pieces.slice(1)) {
    if (piece.startsWith('--')) break;
    parts.push(mimePart(piece.replace(/^[ \t]*\n/, '')));
  }
  return parts;
}

function mimePart(text: string): MimePart {
  const end = text.startsWith('\n') ? 0 : text.indexOf('\n\n');
  const head = end < 0 ? text : text.slice(0, end);
  const headers = new Map<string, string>();
  for (const line of head.split('\n')) {
    const at = line.indexOf(':');
    if (at > 0) headers.set(line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim());
  }
  return { headers, content: end < 0 ? '' : text.slice(end + (end === 0 ? 1 : 2)) };
}

/** The request that is in a part. What its Content-Length says does not matter: clients count characters. */
function readRequest({ headers, content }: MimePart, jsonDepth: number): Part {
  const text = content.replace(/^\n+/, '');
  const end = text.indexOf('\n');
  const line = (end < 0 ? text : text.slice(0, end)).trim();
  const found = /^([A-Z]+)\s+(\S(?:.*\S)?)\s+HTTP\/\d(?:\.\d)?$/i.exec(line) ?? /^([A-Z]+)\s+(\S.*)$/i.exec(line);
  if (found === null) throw invalidRequest(`"${line.slice(0, 100)}" is not the first line of a request`);
  const { headers: own, content: body } = mimePart(end < 0 ? '' : text.slice(end + 1));
  const json = body.trim() === '' ? undefined : (parseJsonBody(body.trim(), jsonDepth) as JsonValue);
  return {
    id: headers.get('content-id') ?? own.get('content-id'),
    method: (found[1] as string).toUpperCase(),
    url: found[2] as string,
    contentType: own.get('content-type'),
    body: json,
  };
}

function httpPart({ status, location, json, text }: StaReply, id: string | undefined): string {
  const content = text?.content ?? (json === undefined ? '' : JSON.stringify(json));
  const lines = [
    'Content-Type: application/http',
    ...(id === undefined ? [] : [`Content-ID: ${id}`]),
    '',
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...(location === undefined ? [] : [`Location: ${location}`]),
    ...(content === ''
      ? []
      : [`Content-Type: ${text?.type ?? 'application/json; charset=UTF-8'}`, `Content-Length: ${Buffer.byteLength(content)}`]),
    '',
    content,
  ];
  return `${lines.join('\r\n')}\r\n`;
}
