import { syntax } from '../device-document.ts';
import type { JsonValue } from '../json.ts';
import { type Reader, reader, SHOWN_MEMBERS } from './read.ts';
import { type DeviceSelection, readSelection } from './select.ts';

/** What the Smart Data Model Alert knows; none of it is about devices, and a device that does not do its duty comes nearest to the last but one. */
export const CATEGORIES = [
  'traffic',
  'naturalDisaster',
  'weather',
  'environment',
  'health',
  'security',
  'agriculture',
] as const;
export const SEVERITIES = ['informational', 'low', 'medium', 'high', 'critical'] as const;

/** What is wrong with a device. */
export type HealthCondition =
  /** Nothing has been heard of it for so long. */
  | { readonly kind: 'silent'; readonly seconds: number }
  /** An attribute is below a number; `above` leaves out what devices without a battery say. In the attribute's own unit. */
  | { readonly kind: 'lowBattery'; readonly attribute: string; readonly below: number; readonly above?: number };

/** When an operator wants to hear of devices that are not well. */
export interface HealthRule {
  readonly name: string;
  readonly select: DeviceSelection;
  readonly when: HealthCondition;
  readonly category: (typeof CATEGORIES)[number];
  readonly severity: (typeof SEVERITIES)[number];
  /** The same alert of the same device comes at most so often. */
  readonly quietSeconds: number;
  readonly enabled: boolean;
}

const CONDITIONS = ['silent', 'lowBattery'] as const;
const YEAR_S = 366 * 86_400;
const QUIET_S = { silent: 86_400, lowBattery: 43_200 } as const;

/** Reads a health rule. @throws ProvisioningError WRONG_SYNTAX naming the place */
export function readHealthRule(name: string, body: JsonValue): HealthRule {
  const read = reader(body);
  read.only('select', 'when', 'category', 'severity', 'quietSeconds', 'enabled', ...SHOWN_MEMBERS);
  const select = read.object('select');
  select?.only('device', 'servicePath', 'entityType');
  const when = condition(read.object('when'));
  return {
    name,
    select: readSelection(select),
    when,
    category: read.choice('category', CATEGORIES) ?? 'security',
    severity: read.choice('severity', SEVERITIES) ?? 'medium',
    quietSeconds: read.number('quietSeconds', { from: 0, to: YEAR_S }) ?? QUIET_S[when.kind],
    enabled: read.flag('enabled') ?? true,
  };
}

function condition(read: Reader | undefined): HealthCondition {
  const [kind, ...more] = read?.names ?? [];
  if (read === undefined || more.length > 0 || !(CONDITIONS as readonly (string | undefined)[]).includes(kind))
    throw syntax(`when: must have exactly one of ${CONDITIONS.join(', ')}`);
  const own = read.object(kind as string) as Reader;
  if (kind === 'silent') {
    own.only('seconds');
    const seconds = own.number('seconds', { from: 1, to: YEAR_S });
    if (seconds === undefined) throw syntax('when.silent.seconds: is missing');
    return { kind, seconds };
  }
  own.only('attribute', 'below', 'above');
  const [below, above] = [own.number('below'), own.number('above')];
  const attribute = own.text('attribute');
  if (attribute === undefined) throw syntax('when.lowBattery.attribute: is missing');
  if (below === undefined) throw syntax('when.lowBattery.below: is missing');
  return { kind: 'lowBattery', attribute, below, ...(above !== undefined && { above }) };
}
