/** What the documentation says about query parameters, once for all routes that list them in `config.query`. */
export const PARAMETERS: Readonly<
  Record<
    string,
    {
      readonly type: 'string' | 'integer' | 'boolean';
      readonly description: string;
      readonly example?: string | number | boolean;
    }
  >
> = {
  attrs: {
    type: 'string',
    description: 'Only entities that have one of these attributes, and only these attributes of them.',
    example: 'temperature,location',
  },
  containedBy: {
    type: 'string',
    description: 'Ids of entities that already contain the answer, to end circles when joining linked entities (4.5.23).',
  },
  coordinates: {
    type: 'string',
    description: 'Coordinates of the reference geometry, as GeoJSON (4.10).',
    example: '[17.107,48.148]',
  },
  count: { type: 'boolean', description: 'Also answer how many match, in the header NGSILD-Results-Count (6.3.13).' },
  csf: { type: 'string', description: 'Context source filter (4.9).' },
  datasetId: { type: 'string', description: 'Only instances with these datasetIds; "@none" is the default instance (4.5.5).' },
  deleteAll: { type: 'boolean', description: 'Delete all instances of the attribute, whatever their datasetId.' },
  details: { type: 'boolean', description: 'Answer with details instead of names only.' },
  expandValues: { type: 'string', description: 'Attributes whose values are compared as expanded terms (4.9).' },
  format: { type: 'string', description: 'Representation: normalized, concise or simplified (6.3.7).', example: 'simplified' },
  geometry: { type: 'string', description: 'Type of the reference geometry (4.10).', example: 'Point' },
  geometryProperty: {
    type: 'string',
    description: 'The GeoProperty that becomes the geometry of a GeoJSON answer (6.3.15).',
    example: 'location',
  },
  geoproperty: { type: 'string', description: 'The GeoProperty that a geo-query looks at; by default location (4.10).' },
  georel: { type: 'string', description: 'Geospatial relation (4.10).', example: 'near;maxDistance==2000' },
  id: { type: 'string', description: 'Ids, separated by commas.', example: 'urn:ngsi-ld:AirQualityObserved:1' },
  idPattern: { type: 'string', description: 'Regular expression that the id matches.' },
  join: { type: 'string', description: 'Join linked entities: flat, inline or @none (4.5.23).' },
  joinLevel: { type: 'integer', description: 'How many relationships deep linked entities are joined (4.5.23).' },
  keep: { type: 'string', description: 'Attributes that purge keeps (5.6.21).' },
  kind: { type: 'string', description: 'Hosted, Cached or ImplicitlyCreated (5.13.3).' },
  drop: { type: 'string', description: 'Attributes that purge removes; without it whole entities go (5.6.21).' },
  lang: {
    type: 'string',
    description: 'Preferred natural languages (4.15); in a merge, the language of plain text values.',
    example: 'sk,en;q=0.8',
  },
  limit: { type: 'integer', description: 'At most this many elements (6.3.10).', example: 20 },
  local: { type: 'boolean', description: 'Only what this broker has itself; no other context source is asked (6.3.18).' },
  observedAt: {
    type: 'string',
    description: 'observedAt for merged attribute instances that bring none (5.6.17).',
    example: '2026-03-01T07:00:00Z',
  },
  offset: { type: 'integer', description: 'Pass over this many elements (6.3.10).', example: 0 },
  omit: { type: 'string', description: 'Members to leave out of the answer (4.21).' },
  options: { type: 'string', description: 'Keywords, separated by commas.' },
  orderBy: { type: 'string', description: 'Order of the answer (4.23).' },
  pick: { type: 'string', description: 'Members to answer with, nothing else (4.21).' },
  q: { type: 'string', description: 'Query on attributes (4.9).', example: 'pm25>20;name=="Old Town"' },
  reload: { type: 'boolean', description: 'Fetch the @context again instead of deleting it (5.13.5).' },
  scopeQ: { type: 'string', description: 'Scope query (4.19).', example: '/Bratislava/#' },
  aggrMethods: { type: 'string', description: 'Aggregation methods, separated by commas (4.5.19).', example: 'avg,max' },
  aggrPeriodDuration: {
    type: 'string',
    description: 'Length of an aggregation period, ISO 8601; PT0S is all of the time asked for.',
    example: 'PT1H',
  },
  collation: {
    type: 'string',
    description: 'ICU collation that orderBy compares texts by (RFC 6067).',
    example: 'de-u-co-phonebk',
  },
  endTimeAt: {
    type: 'string',
    description: 'Upper bound of timerel=between, excluded (4.11).',
    example: '2026-03-02T00:00:00Z',
  },
  entityMap: { type: 'boolean', description: 'Accepted; entity maps (5.14) are not made.' },
  entityMapLifetime: { type: 'string', description: 'Accepted; entity maps (5.14) are not made.' },
  jsonKeys: { type: 'string', description: 'Attributes whose values are raw JSON (4.9).' },
  lastN: { type: 'integer', description: 'Only the newest N instances of each attribute.', example: 100 },
  orderFrom: {
    type: 'string',
    description: 'Coordinates that orderBy measures distances from (4.23).',
    example: '[17.107,48.148]',
  },
  orderGeometry: { type: 'string', description: 'Type of the geometry in orderFrom; default Point (4.23).' },
  splitEntities: { type: 'boolean', description: 'Whether entities may be spread over several brokers (5.7.2).' },
  timeAt: { type: 'string', description: 'Moment that timerel compares with (4.11).', example: '2026-03-01T00:00:00Z' },
  timeproperty: { type: 'string', description: 'observedAt (default), createdAt, modifiedAt or deletedAt (4.8).' },
  timerel: { type: 'string', description: 'before, after or between (4.11).', example: 'after' },
  type: { type: 'string', description: 'Entity type selection (4.17).', example: 'AirQualityObserved' },
};
