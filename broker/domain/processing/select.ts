import type { KnownDevice } from '../device.ts';
import type { Reader } from './read.ts';

/** Which devices a document is about. What is absent does not restrict. */
export interface DeviceSelection {
  /** `device_id`; "*" stands for any characters. */
  readonly device?: string;
  readonly servicePath?: string;
  /** Entity type of the device or its group, as it is provisioned there. */
  readonly entityType?: string;
}

/** @throws ProvisioningError WRONG_SYNTAX */
export function readSelection(read: Reader | undefined): DeviceSelection {
  const [device, servicePath, entityType] = [read?.text('device'), read?.text('servicePath'), read?.text('entityType')];
  return {
    ...(device !== undefined && { device }),
    ...(servicePath !== undefined && { servicePath }),
    ...(entityType !== undefined && { entityType }),
  };
}

export function selects({ device, servicePath, entityType }: DeviceSelection, known: KnownDevice): boolean {
  return (
    (servicePath === undefined || servicePath === known.servicePath) &&
    (entityType === undefined || entityType === (known.device.entity_type ?? known.group?.entity_type)) &&
    (device === undefined || fits(device, known.device.device_id))
  );
}

/** Whether a text fits a pattern in which "*" stands for any characters. Takes time linear in both, whatever they are. */
export function fits(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return text === pattern;
  if (!text.startsWith(first)) return false;
  const last = rest.pop() as string;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
