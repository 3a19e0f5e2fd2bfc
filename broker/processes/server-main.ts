import { type Channel, channel, type Parcel } from './channel.ts';
import { type Server, serverProcess } from './server.ts';
import type { ServerStart } from './supervisor.ts';

/** What a process does that the supervisor has started: waits to be told what to serve, serves, and ends with the primary. */
export function runServerProcess(): void {
  // Whoever stops the broker tells all its processes: the primary says when servers are to go.
  process.on('SIGTERM', () => {});
  process.on('SIGINT', () => {});
  let link: Channel | undefined;
  process.once('disconnect', () => process.exit(0));
  process.once('message', (start) => {
    void serve(start as unknown as ServerStart).catch((error: unknown) => {
      console.error(error instanceof Error ? (error.stack ?? error.message) : error);
      process.exit(1);
    });
  });

  async function serve(start: ServerStart): Promise<void> {
    let server: Server | undefined;
    const offered = {
      server: {
        figures: () => server?.operations.figures(),
        async drain() {
          await server?.operations.drain();
          // After the answer is on its way.
          setImmediate(() => setImmediate(() => process.disconnect?.()));
        },
      },
    };
    const connected = channel((parcel) => void process.send?.(parcel as never), offered, start.config.waitingWrites);
    link = connected;
    process.on('message', (parcel) => connected.receive(parcel as unknown as Parcel));
    server = await serverProcess(start, connected);
    await server.listen();
    await connected.call('primary', 'listening', []);
  }
  process.once('disconnect', () => link?.broken());
}
