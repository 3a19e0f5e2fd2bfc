/** What the benchmarks write: five attributes, about 550 bytes, as the published figures of other brokers use. */
export const CONTEXT = 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld';

export function benchEntity(id: string, number: number): Record<string, unknown> {
  return {
    id,
    type: 'BenchEntity',
    speed: { type: 'Property', value: number % 130, unitCode: 'KMH', observedAt: '2026-03-01T07:00:00Z' },
    name: { type: 'Property', value: `Measuring point number ${number} of the benchmark` },
    isParked: { type: 'Relationship', object: `urn:ngsi-ld:OffStreetParking:${number % 20}` },
    location: {
      type: 'GeoProperty',
      value: { type: 'Point', coordinates: [4.35 + (number % 100) / 1000, 50.85 + (number % 77) / 1000] },
    },
    category: {
      type: 'Property',
      value: ['mobile', 'outdoor'],
      providedBy: { type: 'Relationship', object: 'urn:ngsi-ld:Agent:city' },
    },
  };
}
