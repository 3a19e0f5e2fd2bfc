import type { KnownDevice } from '../broker/ports/ingest.ts';
import { RESOURCES } from './mqtt/topics.ts';

/** The format of a device where neither topic nor URL says it: its `protocol`, else what its group serves. */
export function protocolOf({ device, group }: Pick<KnownDevice, 'device' | 'group'>): 'json' | 'ultralight' {
  if (device.protocol !== undefined) return /json/i.test(device.protocol) ? 'json' : 'ultralight';
  return group?.resource === RESOURCES.json ? 'json' : 'ultralight';
}
