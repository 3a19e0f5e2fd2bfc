import type { TransferredDocument, TransferredEntity, TransferSummary } from '../domain/transfer.ts';

/**
 * A store that no broker uses, which takes what was in another one: numbers and instanceIds stay as they are, and nobody is notified. Putting the same twice does no harm.
 */
export interface Importer {
  /** Takes over name and numbers. @throws Error with one line if it has entities that came from elsewhere */
  begin(summary: TransferSummary): Promise<void>;
  /** Takes the place of what is there of these entities. @throws Error with one line if another entity has the number of one */
  putEntities(entities: readonly TransferredEntity[]): Promise<void>;
  putDocuments(documents: readonly TransferredDocument[]): Promise<void>;
  /** How far an import had come; undefined: it has not begun. */
  cursor(): Promise<string | undefined>;
  moveCursor(cursor: string): Promise<void>;
  close(): Promise<void>;
}
