import { lookup as lookupOnce } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Everything that leaves the broker asks here first: notifications, forwards, @context fetches, webhooks. */
export interface EgressGuard {
  /** @throws Error that says why the target is refused. Resolves quickly when the host is an address or on the allow list. */
  check(target: URL): Promise<void>;
  /**
   * For those who connect with {@link lookup}, which sees every name: refuses addresses, which are not looked up.
   * @throws Error that says why the target is refused
   */
  checkAddress(target: URL): void;
  /** For connections, which look the name up themselves: what is allowed is what is contacted. */
  readonly lookup: LookupFunction;
}

export interface EgressRules {
  /** Whether private, loopback and link-local addresses may be contacted. */
  readonly privateAddresses: boolean;
  /** Hosts that may be contacted whatever their address. */
  readonly allow: readonly string[];
}

const inner = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  inner.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  ['::', 128],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  inner.addSubnet(network, prefix, 'ipv6');
}

/** True for loopback, private, link-local, multicast and reserved addresses, also when an IPv4 one is written as IPv6. */
export function isInnerAddress(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1]) return inner.check(mapped[1], 'ipv4');
  return inner.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

export function egressGuard(rules: EgressRules): EgressGuard {
  const allowed = new Set(rules.allow.map((host) => host.toLowerCase()));
  const addressAllowed = (host: string, address: string) =>
    rules.privateAddresses || allowed.has(host.toLowerCase()) || !isInnerAddress(address);
  const refusal = (host: string, address: string) =>
    new Error(
      `${host} is at ${address}, which is not a public address; add it to MIZAR_EGRESS_ALLOW or set MIZAR_EGRESS_PRIVATE=true if it may be contacted`,
    );
  const hostOf = (target: URL) => target.hostname.replace(/^\[|\]$/g, '');
  return {
    checkAddress(target) {
      const host = hostOf(target);
      if (isIP(host) && !addressAllowed(host, host)) throw refusal(host, host);
    },
    lookup: (host, options, found) =>
      lookupOnce(host, { ...options, all: true }, (error, addresses) => {
        const refused = error ? undefined : addresses.find(({ address }) => !addressAllowed(host, address));
        const problem = error ?? (refused ? refusal(host, refused.address) : null);
        if (options.all) found(problem, addresses);
        else found(problem, addresses?.[0]?.address ?? '', addresses?.[0]?.family);
      }),
    async check(target) {
      const host = hostOf(target);
      if (rules.privateAddresses || allowed.has(host.toLowerCase())) return;
      const addresses = isIP(host) ? [host] : (await lookup(host, { all: true })).map((found) => found.address);
      const refused = addresses.find((address) => !addressAllowed(host, address));
      if (refused !== undefined) throw refusal(host, refused);
    },
  };
}
