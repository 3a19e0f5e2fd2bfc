import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openOutbox } from '../../adapters/outbox.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mizar-outbox-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
const bodies = (list: readonly { body: string }[]) => list.map(({ body }) => body);

describe('the outbox of an adapter process', () => {
  it('keeps what it has taken, in order, over a restart, until it is acknowledged', async () => {
    const path = folder();
    let outbox = openOutbox({ folder: path, limitBytes: 10_000 });
    const { id } = outbox;
    await Promise.all([outbox.keep(['"a"', '"b"']), outbox.keep(['"c"'])]);
    outbox.close();
    outbox = openOutbox({ folder: path, limitBytes: 10_000 });
    expect(outbox.id).toBe(id);
    expect(bodies(outbox.oldest(10, 1000))).toEqual(['"a"', '"b"', '"c"']);
    expect(outbox.oldest(10, 1000).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    outbox.acknowledged(2);
    expect(bodies(outbox.oldest(10, 1000))).toEqual(['"c"']);
    outbox.close();
  });

  it('never gives a sequence twice, even when it was empty in between', async () => {
    const path = folder();
    let outbox = openOutbox({ folder: path, limitBytes: 10_000 });
    await outbox.keep(['1']);
    outbox.acknowledged(1);
    outbox.close();
    outbox = openOutbox({ folder: path, limitBytes: 10_000 });
    await outbox.keep(['2']);
    expect(outbox.oldest(1, 100)[0]!.sequence).toBe(2);
    outbox.close();
  });

  it('a new folder is another outbox', () => {
    const one = openOutbox({ folder: ':memory:', limitBytes: 1000 });
    const other = openOutbox({ folder: ':memory:', limitBytes: 1000 });
    expect(one.id).not.toBe(other.id);
  });

  it('takes no more than it may until there is room again, and says so', async () => {
    const outbox = openOutbox({ folder: ':memory:', limitBytes: 20 });
    await outbox.keep(['"0123456789"', '"0123456789"']);
    expect(outbox.figures()).toMatchObject({ full: true, waiting: 2 });
    let kept = false;
    const waiting = outbox.keep(['"late"']).then(() => {
      kept = true;
    });
    await new Promise((turn) => setTimeout(turn, 20));
    expect(kept).toBe(false);
    outbox.acknowledged(1);
    await waiting;
    expect(bodies(outbox.oldest(10, 1000))).toEqual(['"0123456789"', '"late"']);
    outbox.close();
  });

  it('hands out at most so many bytes, but never nothing while something waits', async () => {
    const outbox = openOutbox({ folder: ':memory:', limitBytes: 1000 });
    await outbox.keep(['"aaaaaaaaaa"', '"b"', '"c"']);
    expect(bodies(outbox.oldest(10, 5))).toEqual(['"aaaaaaaaaa"']);
    expect(bodies(outbox.oldest(10, 16))).toEqual(['"aaaaaaaaaa"', '"b"']);
    outbox.close();
  });

  it('two processes cannot have one outbox', () => {
    const path = folder();
    const outbox = openOutbox({ folder: path, limitBytes: 1000 });
    expect(() => openOutbox({ folder: path, limitBytes: 1000 })).toThrow();
    outbox.close();
  });

  it('what waits when it is closed is told that it was not kept', async () => {
    const outbox = openOutbox({ folder: ':memory:', limitBytes: 5 });
    await outbox.keep(['"full"']);
    const waiting = outbox.keep(['"x"']);
    outbox.close();
    await expect(waiting).rejects.toThrow('closed');
    await expect(outbox.keep(['"y"'])).rejects.toThrow('closed');
  });
});
