/** Bodies for the documentation. */
export const EXAMPLE_ENTITY = {
  id: 'urn:ngsi-ld:AirQualityObserved:station-7',
  type: 'AirQualityObserved',
  pm25: { type: 'Property', value: 12.4, unitCode: 'GQ', observedAt: '2026-03-01T07:00:00Z' },
  location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [17.107, 48.148] } },
  refDevice: { type: 'Relationship', object: 'urn:ngsi-ld:Device:7' },
};

export const EXAMPLE_FRAGMENT = { pm25: { value: 13.1, observedAt: '2026-03-01T07:05:00Z' } };

export const EXAMPLE_ATTRIBUTE = { value: 13.1, observedAt: '2026-03-01T07:05:00Z' };

/** A body as the documentation shows it: the same in the media types of 6.3.4, JSON-LD with its @context inside. */
export function entityBody(example: object): object {
  const context = 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld';
  return {
    content: {
      'application/json': { schema: { type: Array.isArray(example) ? 'array' : 'object', examples: [example] } },
      'application/ld+json': {
        schema: {
          type: Array.isArray(example) ? 'array' : 'object',
          examples: [
            Array.isArray(example)
              ? example.map((item) => ({ ...item, '@context': context }))
              : { ...example, '@context': context },
          ],
        },
      },
    },
  };
}
