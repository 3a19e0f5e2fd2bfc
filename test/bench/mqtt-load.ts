/**
 * Load for the MQTT benchmark: `mqtt-load.ts <port> <connections> <messages per connection>`. Every connection publishes QoS 1 with 20 messages on
 * their way. Prints messages acknowledged per second.
 */
import mqtt from 'mqtt';

const [port, connections, perConnection] = process.argv.slice(2).map(Number) as [number, number, number];
const WINDOW = 20;

const clients = await Promise.all(
  Array.from({ length: connections }, () => mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 })),
);
const began = performance.now();
await Promise.all(
  clients.map(
    (client, device) =>
      new Promise<void>((resolve, reject) => {
        let sent = 0;
        let acknowledged = 0;
        const send = () => {
          const payload = `{"temperature":${20 + (sent % 100) / 10},"humidity":${sent % 97},"n":${sent}}`;
          sent++;
          client.publish(`/json/benchKey/d${device}/attrs`, payload, { qos: 1 }, (error) => {
            if (error) return reject(error);
            if (++acknowledged === perConnection) return resolve();
            if (sent < perConnection) send();
          });
        };
        for (let n = 0; n < Math.min(WINDOW, perConnection); n++) send();
      }),
  ),
);
console.log((connections * perConnection * 1000) / (performance.now() - began));
process.exit(0);
