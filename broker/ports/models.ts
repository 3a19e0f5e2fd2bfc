import type { JsonValue } from '../domain/json.ts';

/** Data models that values can be compared with, by the name of the entity type. */
export interface ModelCatalogue {
  /** Names of the models that there are, sorted. */
  names(): Promise<readonly string[]>;
  /** By the name or the IRI of the type. undefined: there is none. @throws Error whose message says why it cannot be used */
  load(name: string): Promise<Model | undefined>;
}

export interface Model {
  /** What is wrong with the value of a property, as the end of a sentence; undefined: nothing, or the model says nothing about it. */
  wrong(property: string, value: JsonValue): string | undefined;
}
