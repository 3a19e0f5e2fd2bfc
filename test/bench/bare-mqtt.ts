/** What the MQTT library can do: acknowledges every publication and does nothing else. Prints its port. */
import { createServer } from 'node:net';
import { Aedes } from 'aedes';

const aedes = await Aedes.createBroker({ authorizePublish: (_client, _packet, done) => done(null) });
const server = createServer({ noDelay: true }, (socket) => void aedes.handle(socket));
server.listen(0, '127.0.0.1', () => console.log((server.address() as { port: number }).port));
