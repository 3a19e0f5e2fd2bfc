import { describe, expect, it } from 'vitest';
import { inMemoryBroker } from '../support/broker.ts';

describe('operator routes', () => {
  it('/metrics counts requests by route and status, with buckets that only grow', async () => {
    await using broker = await inMemoryBroker();
    for (let n = 0; n < 3; n++) await broker.request('GET', '/ngsi-ld/v1/entities?type=T');
    await broker.request('GET', '/ngsi-ld/v1/entities/urn:ngsi-ld:T:none');
    const answer = await broker.request('GET', '/metrics');
    expect(answer.headers['content-type']).toContain('text/plain');
    const lines = answer.body.split('\n');
    expect(lines).toContain('mizar_http_request_seconds_count{method="GET",route="/ngsi-ld/v1/entities",status="200"} 3');
    expect(lines).toContain('mizar_http_request_seconds_count{method="GET",route="/ngsi-ld/v1/entities/:id",status="404"} 1');
    const buckets = lines
      .filter((line) => line.includes('_bucket{method="GET",route="/ngsi-ld/v1/entities",'))
      .map((line) => Number(line.split(' ').at(-1)));
    expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
    expect(buckets.at(-1)).toBe(3);
    // Ids in paths would make a series for each entity.
    expect(answer.body).not.toContain('urn:ngsi-ld:T:none');
    for (const figure of [
      'mizar_store_changes_total',
      'mizar_notifications_delivered_total',
      'mizar_mqtt_connections',
      'process_cpu_seconds_total',
    ]) {
      expect(answer.body).toContain(`# TYPE ${figure} `);
    }
  });

  it('/health tells the limits and no secrets; /ready is false before the broker listens', async () => {
    await using broker = await inMemoryBroker();
    const health = await broker.request('GET', '/health');
    expect(health.statusCode).toBe(200);
    expect(health.json()).toMatchObject({
      status: 'ok',
      checks: { store: { status: 'ok' } },
      limits: { jsonDepth: expect.any(Number) },
    });
    expect((await broker.request('GET', '/ready')).statusCode).toBe(503);
    await broker.broker.listen();
    expect((await broker.request('GET', '/ready')).statusCode).toBe(200);
  });
});
