import type { Command } from '../../domain/command.ts';
import type { TenantId } from '../../domain/iri.ts';
import { fromStoredText, type JsonObject, storedText } from '../../domain/json.ts';

/** A command as it is kept. The value travels as text, because JSON numbers alone cannot hold every integer. */
export function commandDocument({ id: _, tenant: __, value, info, ...rest }: Command): JsonObject {
  return {
    ...rest,
    value: storedText(value),
    ...(info !== undefined && { info: storedText(info) }),
  } as unknown as JsonObject;
}

/** The opposite of {@link commandDocument}. */
export function readCommand(tenant: TenantId, id: string, { value, info, ...rest }: JsonObject): Command {
  return {
    ...rest,
    id,
    tenant,
    value: fromStoredText(value as string),
    ...(info !== undefined && { info: fromStoredText(info as string) }),
  } as unknown as Command;
}
