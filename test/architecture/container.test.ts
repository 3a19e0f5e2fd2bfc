import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

describe('the container', () => {
  it('gets every room that the broker is made of, and no folder that does not exist', () => {
    const dockerfile = readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8');
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources]) => sources!.split(' '));
    expect(copied.filter((source) => !existsSync(join(ROOT, source)))).toEqual([]);
    const rooms = ['broker', 'adapters', 'federation', 'contexts', 'models'].filter((room) => existsSync(join(ROOT, room)));
    expect(rooms.filter((room) => !copied.includes(room))).toEqual([]);
  });
});
