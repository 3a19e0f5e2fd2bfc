import { badRequest } from '../../errors.ts';
import type { Model, PropertyKind, SetName } from '../model.ts';
import type { Step } from './expression.ts';

/** What a path leads to, once it is known which entity it starts at. */
export interface ResolvedPath {
  /** Links to follow first. */
  readonly links: readonly string[];
  /** Whether the last of them leads to many. */
  readonly many: boolean;
  /** The set in which the links end. */
  readonly set: SetName;
  readonly end:
    | { readonly kind: 'id' }
    | { readonly kind: 'selfLink' }
    /** The path ends at an entity. */
    | { readonly kind: 'entity' }
    | {
        readonly kind: 'property';
        readonly name: string;
        readonly type: PropertyKind;
        /** Members and elements inside the JSON value. */
        readonly inside: readonly (string | number)[];
      };
}

/** @throws DomainError BadRequestData that names the step which leads nowhere */
export function resolvePath(model: Model, start: SetName, steps: readonly Step[]): ResolvedPath {
  const links: string[] = [];
  let set = start;
  let many = false;
  for (const [at, step] of steps.entries()) {
    const rest = steps.slice(at + 1);
    const end = (kind: 'id' | 'selfLink'): ResolvedPath => {
      if (rest.length > 0 || step.indexes.length > 0) throw badRequest(`${step.name} has no members, such as ${rest[0]?.name}`);
      return { links, many, set, end: { kind } };
    };
    if (step.name === 'id' || step.name === '@iot.id') return end('id');
    if (step.name === 'selfLink' || step.name === '@iot.selfLink') return end('selfLink');
    const property = model.property(set, step.name);
    if (property !== undefined) {
      const inside = [...step.indexes, ...rest.flatMap(({ name, indexes }) => [name, ...indexes])];
      return { links, many, set, end: { kind: 'property', name: step.name, type: property.kind, inside } };
    }
    const link = model.link(set, step.name);
    if (link === undefined || step.indexes.length > 0) throw badRequest(`${set} have no property or link "${step.name}"`);
    links.push(step.name);
    many = link.many;
    set = link.to;
  }
  return { links, many, set, end: { kind: 'entity' } };
}
