import type { Logger } from 'pino';
import type { SensorThingsWindow } from './api/sta/window.ts';
import type { Config } from './config.ts';
import { type ExternalBroker, externalBroker } from './transport/mqtt/external-broker.ts';

/** SensorThings topics on an MQTT broker of somebody else's. */
export async function staOnExternalBroker(
  { staMqttUrl: url }: Config,
  brokerId: string,
  logger: Logger,
  sta: SensorThingsWindow,
  origin: string,
): Promise<ExternalBroker> {
  let broker: ExternalBroker | undefined;
  const publish = async (topic: string, payload: string) => broker?.publish(topic, payload);
  const side = await sta.connectExternal({ url: url.replace(/\/\/[^@/]*@/, '//'), publish }, origin);
  broker = await externalBroker({
    logger,
    url,
    clientId: `mizar-sta-${brokerId}`,
    filters: side.filters,
    onMessage: side.publish,
    onSubscription: side.learned,
  });
  return broker;
}
