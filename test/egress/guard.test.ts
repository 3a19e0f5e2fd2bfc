import { describe, expect, it } from 'vitest';
import { egressGuard, isInnerAddress } from '../../broker/egress/guard.ts';

const look = (guard: ReturnType<typeof egressGuard>, host: string) =>
  new Promise<string | null>((resolve) => guard.lookup(host, { all: true }, (error) => resolve(error?.message ?? null)));

describe('the egress guard', () => {
  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.20.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '0.0.0.0',
    '::1',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
  ])('%s is not a public address', (address) => expect(isInnerAddress(address)).toBe(true));

  it.each(['8.8.8.8', '172.32.0.1', '2001:4860:4860::8888'])('%s is public', (address) =>
    expect(isInnerAddress(address)).toBe(false),
  );

  it('refuses inner addresses, by name too, and says what the operator can do', async () => {
    const guard = egressGuard({ privateAddresses: false, allow: [] });
    await expect(guard.check(new URL('http://127.0.0.1:80/'))).rejects.toThrow('MIZAR_EGRESS_ALLOW');
    await expect(guard.check(new URL('http://[::1]/'))).rejects.toThrow('not a public address');
    await expect(guard.check(new URL('http://localhost/'))).rejects.toThrow('not a public address');
    expect(await look(guard, 'localhost')).toContain('not a public address');
  });

  it('lets the hosts of the allow list through, and no others', async () => {
    const guard = egressGuard({ privateAddresses: false, allow: ['LocalHost'] });
    await expect(guard.check(new URL('http://localhost/'))).resolves.toBeUndefined();
    expect(await look(guard, 'localhost')).toBeNull();
    await expect(guard.check(new URL('http://127.0.0.1/'))).rejects.toThrow();
  });

  it('lets everything through where private addresses are allowed', async () => {
    await expect(
      egressGuard({ privateAddresses: true, allow: [] }).check(new URL('http://10.0.0.1/')),
    ).resolves.toBeUndefined();
  });
});
