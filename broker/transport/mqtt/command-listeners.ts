import type { Aedes, Client, PublishPacket, Subscription } from 'aedes';
import type { DeviceSession } from '../../domain/device.ts';

/** Where a device expects its commands. */
export interface Listening {
  readonly identity: string;
  readonly topic: string;
}

export interface CommandListenersOptions {
  sessionOf(client: Client): DeviceSession | undefined;
  /** The device that listens for commands with this filter; undefined: the filter is for something else. */
  listener(session: DeviceSession, filter: string): Promise<Listening | undefined>;
  /** A device has begun to listen. */
  onListening(identity: string): void;
  onError(error: unknown): void;
}

export interface CommandListeners {
  /**
   * Sends to every connection that listens to the commands of a device. Resolves with true when one of them has acknowledged it (QoS 0: when it is
   * written), with false if nobody listens, or who did went away without acknowledging.
   */
  send(
    identity: string,
    payload: string | Uint8Array,
    options: { readonly qos: 0 | 1; readonly retain: boolean },
  ): Promise<boolean>;
}

interface Connection {
  readonly listening: Map<string, Listening & { readonly qos: number }>;
  /** What was sent and is not acknowledged; acknowledgements come in the order of sending (MQTT 3.1.1, 4.6). */
  readonly unacknowledged: { readonly topic: string; settle(delivered: boolean): void }[];
}

/** Knows which connections listen for commands of which device: only a subscription says what its topic is, because of keys only hashes are kept. */
export function commandListeners(aedes: Aedes, options: CommandListenersOptions): CommandListeners {
  const connections = new Map<Client, Connection>();
  const byDevice = new Map<string, Set<Client>>();

  function connectionOf(client: Client): Connection {
    let connection = connections.get(client);
    if (connection === undefined) {
      connection = { listening: new Map(), unacknowledged: [] };
      connections.set(client, connection);
    }
    return connection;
  }

  async function listen(client: Client, filter: string, qos: number): Promise<void> {
    const session = options.sessionOf(client);
    if (session === undefined) return;
    const found = await options.listener(session, filter);
    if (found === undefined || client.closed) return;
    connectionOf(client).listening.set(filter, { ...found, qos });
    const clients = byDevice.get(found.identity) ?? new Set();
    byDevice.set(found.identity, clients.add(client));
    options.onListening(found.identity);
  }

  function unlisten(client: Client, filter: string): void {
    const connection = connections.get(client);
    const gone = connection?.listening.get(filter);
    if (connection === undefined || gone === undefined) return;
    connection.listening.delete(filter);
    if ([...connection.listening.values()].some(({ identity }) => identity === gone.identity)) return;
    const clients = byDevice.get(gone.identity);
    clients?.delete(client);
    if (clients?.size === 0) byDevice.delete(gone.identity);
  }

  aedes.on('subscribe', (subscriptions: readonly Subscription[], client: Client) => {
    for (const { topic, qos } of subscriptions) if (qos <= 2) listen(client, topic, qos).catch(options.onError);
  });
  // A session that goes on brings its subscriptions along without asking for them again.
  aedes.on('clientReady', (client: Client) => {
    const { subscriptions = {} } = client as unknown as { subscriptions?: Record<string, { readonly qos: number }> };
    for (const [filter, { qos }] of Object.entries(subscriptions)) listen(client, filter, qos).catch(options.onError);
  });
  aedes.on('unsubscribe', (filters: readonly string[], client: Client) => {
    for (const filter of filters) unlisten(client, filter);
  });
  // Its types know the event only where a packet is known, which sessions that end with the connection do not keep.
  (aedes as unknown as NodeJS.EventEmitter).on('ack', (packet: { readonly topic?: string } | undefined, client: Client) => {
    const waiting = connections.get(client)?.unacknowledged;
    const at = packet?.topic === undefined ? 0 : (waiting?.findIndex(({ topic }) => topic === packet.topic) ?? -1);
    if (at >= 0) waiting?.splice(at, 1)[0]?.settle(true);
  });
  aedes.on('clientDisconnect', (client: Client) => {
    const connection = connections.get(client);
    if (connection === undefined) return;
    for (const filter of [...connection.listening.keys()]) unlisten(client, filter);
    connections.delete(client);
    for (const { settle } of connection.unacknowledged) settle(false);
  });

  function sendTo(client: Client, identity: string, payload: string | Uint8Array, qos: 0 | 1): Promise<boolean> {
    const connection = connections.get(client);
    const own = [...(connection?.listening.values() ?? [])].find((one) => one.identity === identity);
    if (connection === undefined || own === undefined || client.closed) return Promise.resolve(false);
    const granted = Math.min(qos, own.qos) as 0 | 1;
    const packet = { cmd: 'publish', topic: own.topic, payload, qos: granted, retain: false, dup: false } as PublishPacket;
    return new Promise((resolve) => {
      if (granted === 1) connection.unacknowledged.push({ topic: own.topic, settle: resolve });
      client.publish(packet, (error) => {
        if (error) resolve(false);
        else if (granted === 0) resolve(true);
      });
    });
  }

  return {
    async send(identity, payload, { qos, retain }) {
      const clients = [...(byDevice.get(identity) ?? [])];
      if (clients.length === 0) return false;
      if (retain) keepRetained(clients, identity, payload);
      const sent = clients.map((client) => sendTo(client, identity, payload, qos));
      // The first acknowledgement is enough; without one the last word decides.
      return new Promise((resolve) => {
        for (const one of sent) void one.then((delivered) => delivered && resolve(true));
        void Promise.all(sent).then((all) => resolve(all.includes(true)));
      });
    },
  };

  /** Who subscribes later finds a retained command, as its provisioning asks. */
  function keepRetained(clients: readonly Client[], identity: string, payload: string | Uint8Array): void {
    const topics = clients.flatMap((client) => [...(connections.get(client)?.listening.values() ?? [])]);
    const topic = topics.find((one) => one.identity === identity)?.topic;
    if (topic === undefined) return;
    const packet = { cmd: 'publish', topic, payload: Buffer.from(payload as string), qos: 0, retain: true, dup: false };
    const { persistence } = aedes as unknown as { persistence: { storeRetained(packet: object): Promise<void> } };
    persistence.storeRetained(packet).catch(options.onError);
  }
}
