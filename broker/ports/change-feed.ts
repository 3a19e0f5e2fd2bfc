import type { Change, Position } from '../domain/change.ts';

/** Every committed change, at least once, in the order of commits, resumable from a position. */
export interface ChangeFeed {
  /** Changes after `position`, oldest first, at most `limit`. Empty: nothing newer is committed. */
  read(after: Position, limit: number): Promise<readonly Change[]>;
  /** The newest committed position; 0 if nothing ever was. */
  head(): Promise<Position>;
  /** Calls back soon after commits (not for each); the caller then reads. @returns stop */
  onCommit(wake: () => void): () => void;
  /** Where the named reader has come to; undefined: never seen it. */
  cursor(reader: string): Promise<Position | undefined>;
  /** Remembers it. May be written lazily: after a crash the reader may find an older position, and reads again. */
  moveCursor(reader: string, position: Position): Promise<void>;
  /** Forgets changes before `position` that every reader has passed and no parked delivery needs. @returns how many */
  trim(before: Position): Promise<number>;
}
