import type { Iri } from '../../iri.ts';
import { type SetName, TYPES } from '../model.ts';
import { LICENSE, OBJECT, PARTY, SUBJECT, THING, term } from './vocabulary.ts';

/** A link that is a Relationship of the entity at one of its ends. */
export interface StoredLink {
  /** The Relationship's name. */
  readonly name: Iri;
  /** Whether it is an attribute of the entity that has the link, or of those that the link leads to. */
  readonly side: 'here' | 'there';
}

/** Where the Relationship is: set, link, and its name. The links back are computed. */
const RELATIONSHIPS: readonly (readonly [set: SetName, link: string, name: Iri])[] = [
  ['Things', 'Party', PARTY],
  ['Datastreams', 'Party', PARTY],
  ['Datastreams', 'License', LICENSE],
  ['MultiDatastreams', 'Party', PARTY],
  ['MultiDatastreams', 'License', LICENSE],
  ['Campaigns', 'Party', PARTY],
  ['Campaigns', 'License', LICENSE],
  ['Campaigns', 'Datastreams', term('datastreams')],
  ['Campaigns', 'MultiDatastreams', term('multiDatastreams')],
  ['Campaigns', 'ObservationGroups', term('observationGroups')],
  ['ObservationGroups', 'Party', PARTY],
  ['ObservationGroups', 'License', LICENSE],
  ['ObservationGroups', 'Observations', term('observations')],
  ['ObservationGroups', 'Relations', term('relations')],
  ['Relations', 'Subject', SUBJECT],
  ['Relations', 'Object', OBJECT],
  ['TaskingCapabilities', 'Thing', THING],
  ['TaskingCapabilities', 'Actuator', term('actuator')],
  ['Tasks', 'TaskingCapability', term('taskingCapability')],
];

const LINKS = new Map<string, StoredLink>();
for (const [set, link, name] of RELATIONSHIPS) {
  LINKS.set(`${set}/${link}`, { name, side: 'here' });
  const model = TYPES.find((type) => type.set === set)?.links.find((one) => one.name === link);
  if (model !== undefined) LINKS.set(`${model.to}/${model.inverse}`, { name, side: 'there' });
}

/** undefined: the link is worked out in another way. */
export const storedLink = (set: SetName, link: string): StoredLink | undefined => LINKS.get(`${set}/${link}`);

/** The Relationships that lead to members of a set, and the sets whose entities have them. */
export function relationshipsTo(
  set: SetName,
): readonly { readonly holders: SetName; readonly link: string; readonly name: Iri }[] {
  return RELATIONSHIPS.flatMap(([holders, link, name]) => {
    const model = TYPES.find((type) => type.set === holders)?.links.find((one) => one.name === link);
    return model?.to === set ? [{ holders, link, name }] : [];
  });
}
