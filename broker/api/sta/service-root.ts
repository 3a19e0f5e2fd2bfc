import type { Model } from '../../domain/sta/model.ts';

export const REQUIREMENTS = 'http://www.opengis.net/spec/iot_sensing/1.1/req/';

/** Requirements of 18-088 that this service meets; a class or single requirements, as clients match them by their beginning. */
const CONFORMANCE = [
  'datamodel',
  'resource-path/resource-path-to-entities',
  'request-data',
  'create-update-delete',
  'batch-request/batch-request',
  'multi-datastream',
  'data-array/data-array',
].map((name) => REQUIREMENTS + name);

/** Of 22-022r1, where its sets are served. */
const STAPLUS = 'http://www.opengis.net/spec/sensorthings-staplus/1.0/conf/';

/** What a root with STAplus announces. @param rules where its business logic is described; undefined: whoever may write may write everything */
export function staplusConformance(rules: string | undefined): Record<string, unknown> {
  const classes = Object.fromEntries(['core', 'create', 'update', 'delete'].map((name) => [STAPLUS + name, undefined]));
  if (rules === undefined) return classes;
  return { ...classes, [`${STAPLUS}authentication`]: undefined, [`${STAPLUS}business-logic`]: { href: rules } };
}

const TASKING = 'http://www.opengis.net/spec/iot_tasking/1.0/req/';

/** What a root with Tasking announces (17-079r1). @param mqtt the settings of MQTT; undefined: there is none */
export function taskingConformance(mqtt: unknown): Record<string, unknown> {
  const classes = Object.fromEntries(
    ['tasking-capability', 'task', 'actuator', 'create-tasks'].map((name) => [TASKING + name, undefined]),
  );
  if (mqtt === undefined) return classes;
  return { ...classes, [`${TASKING}create-tasks-via-mqtt`]: mqtt, [`${TASKING}receive-updates-via-mqtt`]: mqtt };
}

const CSV = 'https://github.com/INSIDE-information-systems/SensorThingsAPI/blob/master/CSV-ResultFormat/CSV-ResultFormat.md';
const EXTENSIONS = 'https://fraunhoferiosb.github.io/FROST-Server/extensions/';

export interface ServiceRootSettings {
  readonly model: Model;
  readonly url: string;
  /** Classes beyond those that every root has, with their settings. */
  readonly more: Readonly<Record<string, unknown>>;
}

/** The service document (18-088, 9.2.1). */
export function serviceRoot({ model, url, more }: ServiceRootSettings): Record<string, unknown> {
  const settings = Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined));
  return {
    value: [...model.types].map(({ set }) => ({ name: set, url: `${url}/${set}` })),
    serverSettings: {
      conformance: [
        ...CONFORMANCE,
        ...Object.keys(more),
        CSV,
        ...['DeepSelect', 'ResponseMetadata', 'GeoJSON-ResultFormat', 'JsonBatchRequest'].map(
          (name) => `${EXTENSIONS}${name}.html`,
        ),
      ],
      ...settings,
    },
  };
}
