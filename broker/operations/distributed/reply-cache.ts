import type { Micros } from '../../domain/time.ts';
import type { SourceReply } from '../../ports/context-source.ts';

type Answered = Extract<SourceReply, { kind: 'answered' }>;

/** Replies of context sources that may be used again for a while (`management.cacheDuration`, 5.2.34), bounded in bytes. */
export interface ReplyCache {
  /**
   * @param owner whose reply: tenant and registration
   * @param key equal for requests that must get the same answer: what is asked, in which terms, and with which credentials
   */
  get(owner: string, key: string, now: Micros): Answered | undefined;
  /** Keeps it until `end`. What was used longest ago makes room. */
  put(owner: string, key: string, reply: Answered, end: Micros): void;
  /** Forgets what one source said: something was changed there, or in its registration. */
  forget(owner: string): void;
}

interface Kept {
  readonly reply: Answered;
  readonly end: Micros;
  readonly bytes: number;
}

/** What an entry costs beside its reply. */
const OVERHEAD = 500;

/** @param limitBytes 0: nothing is kept */
export function replyCache(limitBytes: number): ReplyCache {
  /** In the order of use, the latest last. */
  const kept = new Map<string, Kept>();
  /** How often each owner was forgotten: replies from before are found no more, and age out. */
  const generations = new Map<string, number>();
  let bytes = 0;
  const nameOf = (owner: string, key: string) => `${owner} ${generations.get(owner) ?? 0} ${key}`;

  function drop(name: string): Kept | undefined {
    const one = kept.get(name);
    if (one === undefined) return undefined;
    kept.delete(name);
    bytes -= one.bytes;
    return one;
  }

  function keep(name: string, one: Kept): void {
    kept.set(name, one);
    bytes += one.bytes;
  }

  return {
    get(owner, key, now) {
      const name = nameOf(owner, key);
      const one = drop(name);
      if (one === undefined || one.end <= now) return undefined;
      keep(name, one);
      return one.reply;
    },
    put(owner, key, reply, end) {
      const name = nameOf(owner, key);
      drop(name);
      const size = (reply.bytes ?? 0) + name.length + OVERHEAD;
      if (size > limitBytes) return;
      keep(name, { reply, end, bytes: size });
      for (const oldest of kept.keys()) {
        if (bytes <= limitBytes) break;
        drop(oldest);
      }
    },
    forget(owner) {
      if (kept.size > 0) generations.set(owner, (generations.get(owner) ?? 0) + 1);
    },
  };
}
