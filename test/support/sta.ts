import { expect } from 'vitest';
import type { TestBroker } from './broker.ts';

export const STA = '/sta/v1.1';
export type Json = Record<string, unknown>;

/** Requests to the SensorThings root, whose answers are checked for their status. */
export function staClient(broker: TestBroker, root = STA) {
  const path = (url: string) =>
    (url.startsWith('http') ? url.replace(/^https?:\/\/[^/]+/, '') : `${root}/${url}`).replaceAll(' ', '%20');
  const request = async (method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE', url: string, body?: unknown, type?: string) =>
    broker.request(method, path(url), body, type === undefined ? {} : { 'content-type': type });
  return {
    request,
    async get(url: string): Promise<Json> {
      const answer = await request('GET', url);
      expect([url, answer.statusCode, answer.statusCode === 200 ? '' : answer.body]).toEqual([url, 200, '']);
      return answer.json();
    },
    /** Members of a collection. */
    async list(url: string): Promise<Json[]> {
      return (await this.get(url))['value'] as Json[];
    },
    /** @returns the id of what was made, as the Location header says it */
    async post(url: string, body: unknown): Promise<number> {
      const answer = await request('POST', url, body);
      expect([url, answer.statusCode, answer.statusCode === 201 ? '' : answer.body]).toEqual([url, 201, '']);
      return Number(/\((\d+)\)$/.exec(String(answer.headers.location))?.[1]);
    },
    async patch(url: string, body: unknown, type?: string): Promise<void> {
      const answer = await request('PATCH', url, body, type);
      expect([url, answer.statusCode, answer.body]).toEqual([url, 200, '']);
    },
    async put(url: string, body: unknown): Promise<void> {
      const answer = await request('PUT', url, body);
      expect([url, answer.statusCode, answer.body]).toEqual([url, 200, '']);
    },
    async remove(url: string): Promise<void> {
      const answer = await request('DELETE', url);
      expect([url, answer.statusCode, answer.body]).toEqual([url, 200, '']);
    },
    /** A refusal: its status and message. */
    async refused(method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE', url: string, body?: unknown): Promise<[number, string]> {
      const answer = await request(method, url, body);
      expect(answer.statusCode).toBeGreaterThanOrEqual(400);
      const { code, message } = answer.json() as { code: number; message: string };
      expect(code).toBe(answer.statusCode);
      return [code, message];
    },
    async count(set: string): Promise<unknown> {
      return (await this.get(`${set}?$count=true&$top=0`))['@iot.count'];
    },
  };
}

export const UNIT = { name: 'degree Celsius', symbol: '°C', definition: 'http://www.opengis.net/def/uom/UCUM/Cel' };
export const MEASUREMENT = 'http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement';

export const place = (name: string, longitude: number, latitude: number): Json => ({
  name,
  description: `the place ${name}`,
  encodingType: 'application/geo+json',
  location: { type: 'Point', coordinates: [longitude, latitude] },
});
export const sensor = (name: string): Json => ({
  name,
  description: name,
  encodingType: 'application/pdf',
  metadata: 'https://example.org/s.pdf',
});
export const observed = (name: string): Json => ({ name, description: name, definition: `https://example.org/def/${name}` });
export const datastream = (name: string, more: Json = {}): Json => ({
  name,
  description: `the series ${name}`,
  observationType: MEASUREMENT,
  unitOfMeasurement: UNIT,
  Sensor: sensor('thermometer'),
  ObservedProperty: observed('temperature'),
  ...more,
});
export const thing = (name: string, more: Json = {}): Json => ({ name, description: `the thing ${name}`, ...more });
export const day = (n: number, hour = 0): string =>
  `2026-03-${String(n).padStart(2, '0')}T${String(hour).padStart(2, '0')}:00:00.000Z`;
export const reading = (n: number, result: unknown, more: Json = {}): Json => ({ phenomenonTime: day(n), result, ...more });
