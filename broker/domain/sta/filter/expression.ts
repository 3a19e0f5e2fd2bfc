import type { Value } from './value.ts';

/** One step of a path: a member, and elements of the array that it is. */
export interface Step {
  readonly name: string;
  readonly indexes: readonly number[];
}

export type CompareOperator = 'eq' | 'ne' | 'gt' | 'ge' | 'lt' | 'le';
export type Arithmetic = 'add' | 'sub' | 'mul' | 'div' | 'mod';

/** A filter or a key of an order as it was written, before anybody knows which entity it is asked of. */
export type Expression =
  | { readonly kind: 'literal'; readonly value: Value; readonly text: string }
  /** `text` names it in error messages. */
  | { readonly kind: 'path'; readonly steps: readonly Step[]; readonly text: string }
  | { readonly kind: 'call'; readonly name: string; readonly of: readonly Expression[] }
  | { readonly kind: 'and' | 'or'; readonly of: readonly Expression[] }
  | { readonly kind: 'not'; readonly of: Expression }
  | { readonly kind: 'compare'; readonly operator: CompareOperator; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'in'; readonly left: Expression; readonly of: readonly Expression[] }
  | { readonly kind: 'arithmetic'; readonly operator: Arithmetic; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: 'any' | 'all';
      readonly path: readonly Step[];
      readonly text: string;
      readonly variable: string;
      readonly of: Expression;
    };
