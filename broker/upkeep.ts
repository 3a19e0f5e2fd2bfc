import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChangeFeed } from './ports/change-feed.ts';

export const newId = (): string => `broker-${randomUUID().slice(0, 8)}`;

/** The broker's name in stamps: must stay the same for the life of its data. */
export function rememberedId(dataDir: string): string {
  const made = newId();
  if (dataDir === ':memory:') return made;
  const file = join(dataDir, 'broker-id');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  writeFileSync(file, `${made}\n`);
  return made;
}

/** Repeats a task, each time so long after the last one ended. @returns stop */
export function sweepEvery(ms: number, task: () => Promise<unknown>, onError: (error: unknown) => void): () => void {
  let timer: NodeJS.Timeout;
  let stopped = false;
  const again = () => {
    timer = setTimeout(() => {
      task()
        .catch(onError)
        .finally(() => {
          if (!stopped) again();
        });
    }, ms).unref();
  };
  again();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Trims the change log to its age, by looking once a minute where it was so many hours ago. @returns stop */
export function trimByAge(feed: ChangeFeed, hours: number, onError: (error: unknown) => void): () => void {
  const marks: { readonly at: number; readonly head: number }[] = [];
  const timer = setInterval(() => {
    const now = Date.now();
    feed
      .head()
      .then(async (head) => {
        marks.push({ at: now, head });
        let old: (typeof marks)[number] | undefined;
        while (marks[0] && marks[0].at <= now - hours * 3_600_000) old = marks.shift();
        if (old) await feed.trim(old.head);
      })
      .catch(onError);
  }, 60_000).unref();
  return () => clearInterval(timer);
}
